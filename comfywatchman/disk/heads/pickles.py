"""Pickles, read opcode by opcode and never run: what they import, and the tensors they hold.

`pickletools.genops` parses, a little machine follows the stack as far as is needed to say which
names are imported and what a state dict of torch would hold. Nothing is imported, nothing is made.

Source: torch ``_utils.py`` and ``serialization.py`` for the shape of a saved tensor.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO

from comfywatchman.disk.heads.imports import verdict_of
from comfywatchman.disk.heads.machine import Machine, Made, Name, TooMuchError
from comfywatchman.disk.heads.values import Import, Scan, Tensor

_MOST_OPCODES = 2_000_000
"""A checkpoint of a thousand tensors has thirty thousand."""
_MOST_BYTES = 1 << 30
"""Of one stream of pickles, what is skipped included."""
_LONGEST_ARGUMENT = 1 << 20
"""A longer one, such as the bytes of an array, is passed over."""
_LONGEST_LINE = 1 << 20
_MOST_PICKLES = 64
_MOST_TENSORS = 100_000
_MOST_DICTIONARIES = 16

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""First of the five pickles of torch's old format (serialization.py, MAGIC_NUMBER)."""
_TORCH_PICKLES = 5

_TENSOR_MAKERS = frozenset(
    {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_qtensor", "_rebuild_meta_tensor_no_storage"}
)
_PARAMETER_MAKERS = frozenset({"_rebuild_parameter", "_rebuild_parameter_with_state"})
_CONTAINERS = ("state_dict", "params_ema", "params", "model", "model_state_dict", "ema", "weights")
"""Keys below which training tools put the state dict."""


class _Skipped(bytes):
    """Stands for bytes that nobody read; only its length is theirs."""

    def __new__(cls, length: int) -> _Skipped:
        made = super().__new__(cls)
        made.length = length
        return made

    length: int

    def __len__(self) -> int:
        return self.length


@dataclass(slots=True)
class _Limited:
    """A stream that gives only so much, so that a lying length costs nothing."""

    file: BinaryIO
    left: int = _MOST_BYTES
    offset: int = 0

    def read(self, count: int) -> bytes:
        if count > self.left:
            raise TooMuchError(f"an argument of {count} bytes")
        if count > _LONGEST_ARGUMENT:
            return self._skip(count)
        return self._took(self.file.read(count))

    def readline(self) -> bytes:
        line = self.file.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise TooMuchError("a line without end")
        return self._took(line)

    def tell(self) -> int:
        return self.offset

    def _skip(self, count: int) -> bytes:
        self.file.seek(count - 1, 1)
        if not self.file.read(1):
            return b""
        self._count(count)
        return _Skipped(count)

    def _took(self, data: bytes) -> bytes:
        self._count(len(data))
        return data

    def _count(self, count: int) -> None:
        self.left -= count
        self.offset += count


@dataclass(frozen=True, slots=True)
class Pickled:
    """What a stream of pickles holds."""

    scan: Scan
    tensors: tuple[Tensor, ...] = ()


def read_pickles(file: BinaryIO) -> Pickled:
    """Follow the pickles of a stream from where it stands; nothing is run.

    A stream has one pickle, or the five of torch's old format before its raw weights; what follows
    another pickle and begins as one is followed as well.
    """
    stream = _Limited(file)
    imports: dict[Name, None] = {}
    results: list[object] = []
    error: str | None = None
    trailing = False
    while len(results) < _MOST_PICKLES:
        expected = _expected(results)
        if not expected:
            begins = _peek(file)
            trailing = len(begins) > 0
            if not (len(begins) == 2 and begins[0] == 0x80 and begins[1] <= 5):
                break
            trailing = False
        machine = Machine(imports)
        try:
            _follow(stream, machine)
        except TooMuchError as too_much:
            error = f"it holds {too_much}"
            break
        except (ValueError, OverflowError, IndexError, TypeError, Warning) as broken:
            # pickletools warns of odd escapes, which some would rather have as errors.
            error = f"it breaks off: {str(broken)[:200]}"
            break
        results.append(machine.result)
    found = tuple(
        Import(name.module, name.name, verdict_of(name.module, name.name)) for name in imports
    )
    return Pickled(Scan(len(results), found, error, trailing), _tensors(results))


def _expected(results: list[object]) -> bool:
    """Whether another pickle has to follow, whatever it begins with."""
    old_torch = bool(results) and results[0] == _TORCH_MAGIC
    return not results or (old_torch and len(results) < _TORCH_PICKLES)


def _peek(file: BinaryIO) -> bytes:
    begins = file.read(2)
    file.seek(-len(begins), 1)
    return begins


def _follow(stream: _Limited, machine: Machine) -> None:
    opcodes = pickletools.genops(stream)  # type: ignore[arg-type]  # it reads, reads lines, tells
    for number, (opcode, argument, _) in enumerate(opcodes):
        if number > _MOST_OPCODES:
            raise TooMuchError("more opcodes than any checkpoint has")
        machine.step(opcode.name, argument)


def _tensors(results: list[object]) -> tuple[Tensor, ...]:
    """Return the tensors of the first state dict that is found in what the pickles gave."""
    for result in results:
        found = tuple(islice(_in_dict(result, set()), _MOST_TENSORS))
        if found:
            return found
    return ()


def _in_dict(value: object, seen: set[int]) -> Iterator[Tensor]:
    if not isinstance(value, Made) or id(value) in seen or len(seen) > _MOST_DICTIONARIES:
        return  # a dictionary may hold itself
    seen.add(id(value))
    for key, item in value.items:
        tensor = _tensor(key, item)
        if tensor is not None:
            yield tensor
        elif key in _CONTAINERS:
            yield from _in_dict(item, seen)
        elif key == "string_to_param" and isinstance(item, Made):
            # An embedding of A1111: {"string_to_param": {"*": tensor}}.
            params = (_tensor(f"{key}.{token}", each) for token, each in item.items[:8])
            yield from (param for param in params if param is not None)


def _tensor(key: object, value: object) -> Tensor | None:
    """Return the tensor that a call to one of torch's makers would have given."""
    made = _maker_of(value)
    if not isinstance(key, str) or made is None:
        return None
    maker, arguments = made
    if maker in _PARAMETER_MAKERS and arguments:
        # Its first argument is the tensor; a parameter of a parameter is nobody's.
        made = _maker_of(arguments[0])
        if made is None:
            return None
        maker, arguments = made
    if maker not in _TENSOR_MAKERS or len(arguments) < 3 or not _is_shape(arguments[2]):
        return None
    dtype, width = _dtype(arguments[0])
    found = Tensor(key[:1024], dtype, arguments[2], None)
    return found if width is None else replace(found, size=found.parameters * width)


def _maker_of(value: object) -> tuple[str, tuple[Any, ...]] | None:
    if not isinstance(value, Made) or not isinstance(value.maker, Name):
        return None
    return (value.maker.name, value.arguments) if isinstance(value.arguments, tuple) else None


def _is_shape(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= 32
        and all(type(size) is int and 0 <= size < 1 << 48 for size in value)
    )


_STORAGES = {
    "DoubleStorage": ("F64", 8), "FloatStorage": ("F32", 4), "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2), "LongStorage": ("I64", 8), "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1), "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}  # fmt: skip


def _dtype(storage: object) -> tuple[str, int | None]:
    """Return dtype and width of ``("storage", torch.HalfStorage, "0", "cpu", 320)``."""
    if isinstance(storage, Made) and isinstance(storage.arguments, tuple):
        for part in storage.arguments:
            if isinstance(part, Name) and part.name in _STORAGES:
                return _STORAGES[part.name]
    return "unknown", None
