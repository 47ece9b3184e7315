"""A file of a stranger, read at places that it names itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from comfywatchman.analyze.limits import Limits
from comfywatchman.domain.errors import WatchmanError, WorkflowTooLarge, WorkflowUnreadable

Texts = Iterator[tuple[str, bytes]]
"""Keys and their texts, in the order of the file."""

KEYS = ("workflow", "prompt", "parameters")
"""What programs call the texts that they leave in media, in the order in which we believe them."""

COMMENTS = frozenset({"comment", "description", "usercomment"})
"""Keys of texts that may hold one of the former: all of them in one JSON object, or parameters."""

WANTED = COMMENTS.union(KEYS)

_MOST_PIECES = 100_000
"""Chunks, boxes, pages of one file; a piece costs some microseconds."""


class Source:
    """The file, its size, and how much of it we are still willing to read."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self._most_text = self._text_left = limits.max_text_bytes
        self._pieces_left = _MOST_PIECES
        self.troubles: list[WatchmanError] = []
        """Of pieces that were stepped over; they count where nothing else is found."""

    def aside(self, texts: Texts) -> Texts:
        """Yield the texts of one piece; where it is broken, what follows it is read all the same.

        Raises:
            WorkflowTooLarge: they are larger than we read.
        """
        try:
            yield from texts
        except WorkflowUnreadable as error:
            self.troubles.append(error)

    def at(self, offset: int, length: int) -> bytes:
        """Return exactly *length* bytes.

        Raises:
            WorkflowUnreadable: the file does not have them.
        """
        self.reaches(offset, length)
        data = self.upto(offset, length)
        if len(data) < length:
            raise broken(offset, "it was cut while we read it")
        return data

    def upto(self, offset: int, length: int) -> bytes:
        """Return at most *length* bytes; fewer at the end of the file."""
        self._file.seek(offset)
        return self._file.read(length)

    def text(self, offset: int, length: int) -> bytes:
        """Return *length* bytes of text, counted.

        Raises:
            WorkflowTooLarge: that is more than we read of one file.
            WorkflowUnreadable: the file does not have them.
        """
        self.reaches(offset, length)
        self.spend(length)
        return self.at(offset, length)

    def reaches(self, offset: int, length: int) -> None:
        """Check that the file has *length* bytes at *offset*.

        Raises:
            WorkflowUnreadable: it does not.
        """
        if offset + length > self.size:
            raise broken(offset, f"{length} bytes should follow, {self.size - offset} do")

    @property
    def text_left(self) -> int:
        """Bytes of text that we still read."""
        return self._text_left

    def spend(self, length: int) -> None:
        """Count *length* bytes of text, for instance after unpacking.

        Raises:
            WorkflowTooLarge: that is more than we read of one file.
        """
        if length > self._text_left:
            raise WorkflowTooLarge(
                f"The texts in the file are larger than the {self._most_text} bytes that we read.",
                remedy="No real workflow is; look where the file comes from.",
            )
        self._text_left -= length

    def step(self) -> None:
        """Count a piece of the file.

        Raises:
            WorkflowTooLarge: there are more than any real file has.
        """
        self._pieces_left -= 1
        if self._pieces_left < 0:
            raise WorkflowTooLarge(
                f"The file consists of more than {_MOST_PIECES} pieces.",
                remedy="If it is a workflow, save it as JSON; otherwise there is nothing to do.",
            )


def broken(offset: int, what: str) -> WorkflowUnreadable:
    """Say what is wrong at byte *offset*."""
    return WorkflowUnreadable(
        f"The file is damaged or incomplete at byte {offset}: {what}.",
        remedy="Save it again, or export the workflow as JSON; it may still be being written.",
    )


def utf8(text: bytes) -> bytes:
    """Return text that should be Latin-1 as UTF-8, which many programs write all the same."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text
