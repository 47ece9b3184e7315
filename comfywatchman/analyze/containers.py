"""Where in a file a workflow may lie: the whole of it, or texts inside an image.

A container is told by its first bytes, never by the name of the file. Another one is a function in
`_READERS` and its magic in `sniff`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.png import png_texts
from comfywatchman.domain.errors import WorkflowTooLarge

KEYS = ("workflow", "prompt", "parameters")
"""The texts that programs leave in images, in the order in which we believe them."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that may be a workflow."""

    data: bytes
    key: str | None = None
    """What the image calls it; ``None`` for a file that is nothing else."""


def sniff(source: BinaryIO) -> str:
    """Return what kind of file it is; everything unknown may still be JSON."""
    head = source.read(16)
    source.seek(0)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "json"


def embedded_texts(source: BinaryIO, container: str, limits: Limits) -> Sequence[Text]:
    """Return the texts of a file, the one to believe first in front.

    Raises:
        WorkflowTooLarge: a text is larger than we read.
        WorkflowUnreadable: the container is broken before any text was found.
    """
    return _READERS[container](source, limits)


def _json(source: BinaryIO, limits: Limits) -> Sequence[Text]:
    data = source.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise WorkflowTooLarge(
            f"The file is larger than {limits.max_bytes} bytes.",
            remedy="No real workflow is; look where the file comes from.",
        )
    return [Text(data)]


def _png(source: BinaryIO, limits: Limits) -> Sequence[Text]:
    return _in_order(png_texts(source, limits))


def _in_order(texts: Mapping[str, bytes]) -> Sequence[Text]:
    by_key = {key.lower(): data for key, data in texts.items()}
    return [Text(by_key[key], key) for key in KEYS if key in by_key]


_READERS: Mapping[str, Callable[[BinaryIO, Limits], Sequence[Text]]] = {
    "json": _json,
    "png": _png,
}
