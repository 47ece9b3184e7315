"""How much of a stranger's file we read."""

from __future__ import annotations

from dataclasses import dataclass

from comfywatchman.domain.errors import WorkflowTooLarge

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes. Real workflows stay far below all of these."""

    max_bytes: int = 64 * _MIB
    """Of a JSON file, or of one text inside an image."""
    max_hashed_bytes: int = 1024 * _MIB
    """Of a file whose SHA-256 is told; of a larger image or film only the texts are read."""
    max_text_bytes: int = 16 * _MIB
    """Of all texts of one image together, after unpacking."""
    max_nodes: int = 500_000
    """Of all graphs in a file, as it lists them."""
    max_opened: int = 50_000
    """Nodes inside subgraphs and group nodes, counted once for each place where they are used."""
    max_mentions: int = 20_000
    """Places that name a model."""
    max_values: int = 2_000_000
    """Values of widgets that are kept in a file of many megabytes; each takes 60 bytes and more."""
    max_steps: int = 200_000
    """Stations along links, from widgets to where their values come from; real ones have 100."""
    max_answer_bytes: int = 8 * _MIB
    """Of all that is told about a file, about; ten thousand models take two."""


class Steps:
    """Counts down what may be done for one file."""

    __slots__ = ("_left", "_most", "_what")

    def __init__(self, most: int, what: str) -> None:
        self._left = self._most = most
        self._what = what

    def take(self, number: int = 1) -> None:
        """Count *number* more.

        Raises:
            WorkflowTooLarge: that is more than was allowed.
        """
        self._left -= number
        if self._left < 0:
            raise WorkflowTooLarge(
                f"The workflow has more than {self._most} {self._what}.",
                remedy="No real workflow does; look where the file comes from.",
            )


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be done for one file, all its graphs together."""

    listed: Steps
    opened: Steps
    followed: Steps
    kept: Steps


def budget(limits: Limits) -> Budget:
    return Budget(
        Steps(limits.max_nodes, "nodes"),
        Steps(limits.max_opened, "nodes inside subgraphs, each place counted"),
        Steps(limits.max_steps, "stations along its links"),
        Steps(limits.max_values, "values of widgets"),
    )
