"""The outer fields of an ONNX file, which is a protocol buffer; weights are passed over.

Source: onnx/onnx.proto; protobuf's encoding guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from comfywatchman.disk.heads.values import Head, Tensor

_MOST_FIELDS = 2_000_000
_LONGEST_TEXT = 64 << 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _DOMAIN, _MODEL_VERSION = 1, 2, 3, 4, 5
_GRAPH, _OPERATORS, _PROPERTIES = 7, 8, 14
_NODE, _GRAPH_NAME, _INITIALIZER, _INPUT, _OUTPUT = 1, 2, 5, 11, 12
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
_KEY, _VALUE = 1, 2

_DTYPES = {
    1: ("F32", 4), 2: ("U8", 1), 3: ("I8", 1), 4: ("U16", 2), 5: ("I16", 2), 6: ("I32", 4),
    7: ("I64", 8), 9: ("BOOL", 1), 10: ("F16", 2), 11: ("F64", 8), 12: ("U32", 4), 13: ("U64", 8),
    16: ("BF16", 2), 17: ("F8_E4M3", 1), 19: ("F8_E5M2", 1),
}  # fmt: skip


class _BrokenError(ValueError):
    """The bytes contradict the format."""


@dataclass(slots=True)
class _Span:
    """A message: the bytes from *at* to *end* of the file."""

    file: BinaryIO
    at: int
    end: int
    left: list[int]
    """How many fields may still be read, in a list that all messages share."""

    def fields(self) -> Iterator[tuple[int, int, int]]:
        """Yield (number, wire type, value); for bytes the value is their length, and `at` stands
        where they begin.
        """
        while self.at < self.end:
            self.left[0] -= 1
            if self.left[0] < 0:
                raise _BrokenError("it has more fields than any model")
            tag = self._varint()
            number, kind = tag >> 3, tag & 7
            if number == 0:
                raise _BrokenError("a field has no number")
            yield number, kind, self._value(kind)

    def _value(self, kind: int) -> int:
        if kind == _VARINT:
            return self._varint()
        if kind in {_FIXED64, _FIXED32}:
            width = 8 if kind == _FIXED64 else 4
            self.skip(width)
            return 0
        if kind != _BYTES:
            raise _BrokenError("a field has a type that the format does not know")
        length = self._varint()
        if self.at + length > self.end:
            raise EOFError
        return length

    def skip(self, count: int) -> None:
        self.at += count

    def text(self, length: int) -> str:
        self.file.seek(self.at)
        data = self.file.read(min(length, _LONGEST_TEXT))
        self.at += length
        return data.decode("utf-8", "replace")

    def below(self, length: int) -> _Span:
        made = _Span(self.file, self.at, self.at + length, self.left)
        self.at += length
        return made

    def _varint(self) -> int:
        self.file.seek(self.at)
        data = self.file.read(10)
        value = 0
        for number, byte in enumerate(data):
            value |= (byte & 0x7F) << (7 * number)
            if byte < 0x80:
                self.at += number + 1
                return value & 0xFFFF_FFFF_FFFF_FFFF
        if len(data) < 10:
            raise EOFError
        raise _BrokenError("a number in it has no end")


@dataclass(slots=True)
class _Model:
    facts: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)
    """Files beside it that hold its weights."""
    nodes: int = 0


def head(file: BinaryIO, size: int) -> Head:
    """Return producer, versions, inputs, outputs and the initial tensors of a model."""
    model = _Model()
    problem = None
    warnings: list[str] = []
    try:
        _model(_Span(file, 0, size, [_MOST_FIELDS]), model)
    except EOFError:
        problem = "it is truncated: a part of it promises more bytes than there are"
    except _BrokenError as error:
        problem = f"it is no ONNX file: {error}"
    if model.nodes:
        model.facts["nodes"] = str(model.nodes)
    for name, found in (("inputs", model.inputs), ("outputs", model.outputs)):
        if found:
            model.facts[name] = ", ".join(found[:32])
    if model.elsewhere:
        warnings.append(f"its weights lie in other files: {', '.join(sorted(model.elsewhere)[:8])}")
    known = "ir_version" in model.facts and (model.nodes > 0 or model.tensors)
    if problem is None and not known:
        problem = "it is no ONNX file: it has no graph"
    return Head(
        "onnx",
        tuple(model.tensors),
        model.metadata,
        model.facts,
        problem=problem,
        warnings=tuple(warnings),
    )


def _model(span: _Span, model: _Model) -> None:
    for number, kind, value in span.fields():
        if kind == _VARINT:
            names = {_IR_VERSION: "ir_version", _MODEL_VERSION: "model_version"}
            if number in names:
                model.facts[names[number]] = str(value)
        elif kind == _BYTES:
            _model_bytes(span, number, value, model)


def _model_bytes(span: _Span, number: int, length: int, model: _Model) -> None:
    texts = {_PRODUCER: "producer", _PRODUCER_VERSION: "producer_version", _DOMAIN: "domain"}
    if number in texts:
        model.facts[texts[number]] = span.text(length)
    elif number == _GRAPH:
        _graph(span.below(length), model)
    elif number == _OPERATORS:
        domain, version = _pair(span.below(length))
        model.facts.setdefault("operators", f"{domain or 'ai.onnx'} {version}")
    elif number == _PROPERTIES:
        key, text = _pair(span.below(length))
        if len(model.metadata) < 1000:
            model.metadata[key[:1024]] = text
    else:
        span.skip(length)


def _pair(span: _Span) -> tuple[str, str]:
    """Return the first two fields: key and value, or domain and version."""
    found = {_KEY: "", _VALUE: ""}
    for number, kind, value in span.fields():
        text = span.text(value) if kind == _BYTES else str(value)
        if number in found:
            found[number] = text
    return found[_KEY], found[_VALUE]


def _graph(span: _Span, model: _Model) -> None:
    for number, kind, value in span.fields():
        if kind != _BYTES:
            continue
        if number == _INITIALIZER:
            _initializer(span.below(value), model)
        elif number in {_INPUT, _OUTPUT}:
            names = model.inputs if number == _INPUT else model.outputs
            below = span.below(value)
            if len(names) < 1000:
                names.append(_first_text(below))
        elif number == _GRAPH_NAME:
            model.facts["graph"] = span.text(value)[:200]
        else:
            model.nodes += number == _NODE
            span.skip(value)


def _first_text(span: _Span) -> str:
    for number, kind, value in span.fields():
        if kind == _BYTES:
            if number == 1:
                return span.text(value)[:200]
            span.skip(value)
    return ""


def _initializer(span: _Span, model: _Model) -> None:
    dims: list[int] = []
    dtype, name, size = 0, "", None
    for number, kind, value in span.fields():
        if number == _DIMS and kind == _VARINT:
            dims.append(value)
        elif number == _DATA_TYPE and kind == _VARINT:
            dtype = value
        elif kind == _BYTES and number == _DIMS:
            dims += _packed(span.below(value))
        elif kind == _BYTES and number == _TENSOR_NAME:
            name = span.text(value)[:1024]
        elif kind == _BYTES and number == _EXTERNAL:
            key, text = _pair(span.below(value))
            if key == "location":
                model.elsewhere.add(text[:200])
        elif kind == _BYTES:
            size = value if number == _RAW_DATA else size
            span.skip(value)
        if len(dims) > 32:
            raise _BrokenError("a tensor in it has more dimensions than any")
    if any(each >= 1 << 48 for each in dims):
        raise _BrokenError("a tensor in it is larger than any disk")
    called, width = _DTYPES.get(dtype, (f"type {dtype}", 0))
    tensor = Tensor(name, called, tuple(dims), size)
    if size is None and width:
        tensor = Tensor(name, called, tuple(dims), tensor.parameters * width)
    model.tensors.append(tensor)


def _packed(span: _Span) -> list[int]:
    found: list[int] = []
    while span.at < span.end and len(found) <= 32:
        found.append(span._varint())  # noqa: SLF001 - a list of numbers is no list of fields
    return found
