"""What a file was recognized as, and by what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from comfywatchman.disk.heads.values import Tensor

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file is; `UNKNOWN` where nothing told, for a guess would be taken for knowledge."""

    kind: str = UNKNOWN
    """checkpoint, diffusion-model, vae, text-encoder, clip-vision, lora, controlnet, embedding,
    upscaler, …"""
    architecture: str = UNKNOWN
    """sd1, sdxl, flux, wan, t5-xxl, …"""
    variant: str | None = None
    """What tells siblings apart: inpainting, 14B i2v, rank 16, 4x."""
    parts: tuple[str, ...] = ()
    """Of a checkpoint: what else is in it."""
    evidence: tuple[str, ...] = ()
    """One sentence each, with the tensor or the key that told."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors below one prefix, by the rest of their names."""

    by_name: Mapping[str, Tensor]
    prefix: str = ""

    @classmethod
    def of(cls, tensors: Iterable[Tensor]) -> Tensors:
        return cls({tensor.name: tensor for tensor in tensors})

    def below(self, prefix: str) -> Tensors:
        if not prefix:
            return self
        inside = {
            name.removeprefix(prefix): tensor
            for name, tensor in self.by_name.items()
            if name.startswith(prefix)
        }
        return Tensors(inside, self.prefix + prefix)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def size(self, name: str, axis: int) -> int | None:
        """Return one dimension of a tensor; ``None`` where there is no such thing."""
        tensor = self.by_name.get(name)
        if tensor is None or not -len(tensor.shape) <= axis < len(tensor.shape):
            return None
        return tensor.shape[axis]

    def rank(self, name: str) -> int | None:
        """Return how many dimensions a tensor has."""
        tensor = self.by_name.get(name)
        return None if tensor is None else len(tensor.shape)

    def blocks(self, start: str) -> int:
        """Return how many blocks ``start0.``, ``start1.`` … there are, without a gap."""
        numbers = set()
        for name in self.by_name:
            if name.startswith(start):
                number = name[len(start) :].partition(".")[0]
                if number.isdecimal() and len(number) < 6:
                    numbers.add(int(number))
        count = 0
        while count in numbers:
            count += 1
        return count

    def any_starts(self, *starts: str) -> bool:
        return any(name.startswith(starts) for name in self.by_name)

    def told(self, *names: str) -> tuple[str, ...]:
        """Return the sentences that quote these tensors as evidence."""
        return tuple(
            f"tensor {self.prefix}{name} {list(self.by_name[name].shape)}"
            for name in names
            if name in self.by_name
        )


@dataclass(frozen=True, slots=True)
class Sign:
    """How an architecture shows: tensors that are there, and one dimension that is telling."""

    architecture: str
    needs: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    shape: tuple[str, int, tuple[int, ...]] | None = None
    """A tensor, an axis, and the sizes it may have there."""
    any_of: tuple[str, ...] = field(default=())

    def shows(self, tensors: Tensors) -> bool:
        if not all(name in tensors for name in self.needs):
            return False
        if any(name in tensors for name in self.lacks):
            return False
        if self.any_of and not any(name in tensors for name in self.any_of):
            return False
        if self.shape is None:
            return True
        name, axis, sizes = self.shape
        return tensors.size(name, axis) in sizes

    def evidence(self, tensors: Tensors) -> tuple[str, ...]:
        names = [*self.needs, *self.any_of]
        if self.shape is not None:
            names.append(self.shape[0])
        return tensors.told(*dict.fromkeys(names))


def first(signs: Iterable[Sign], tensors: Tensors) -> Sign | None:
    """Return the first sign that shows."""
    return next((sign for sign in signs if sign.shows(tensors)), None)
