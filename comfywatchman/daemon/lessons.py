"""The loader lines in force besides the shipped ones: the user's, and what a server taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comfywatchman.comfyui.learned import Learned, node_type, read_learned
from comfywatchman.domain.errors import Trouble
from comfywatchman.parsing.tables import still_needed

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings


@dataclass
class Lessons:
    """The loader lines that are in force besides the shipped ones.

    Changed by the nodes thread, one assignment at a time; read by whoever reads workflows.
    """

    own: tuple[str, ...]
    """The user's."""
    learned: Learned = field(default_factory=Learned)
    lines: tuple[str, ...] = ()
    """The user's, and of the learned ones those that no other table has."""

    @classmethod
    def begin(cls, own: Sequence[str], learned: Learned) -> Lessons:
        """Return the lines to begin with.

        Raises:
            SettingsInvalid: one of the user's lines is none.
        """
        lessons = cls(tuple(own))
        lessons.take(learned)
        return lessons

    def take(self, learned: Learned) -> set[str]:
        """Put *learned* in force; return the node types whose lines are others now."""
        lines = (*self.own, *still_needed(learned.lines, self.own))
        changed = set(lines) ^ set(self.lines)
        self.learned, self.lines = learned, lines
        return {node_type(line) for line in changed}


def first_lessons(settings: Settings) -> tuple[Lessons, Trouble | None]:
    """Return the user's lines and what was learned before, and why that cannot be read.

    Raises:
        SettingsInvalid: one of the user's lines is no line of the loader table.
    """
    learned, trouble = read_learned(settings.state.directory)
    return Lessons.begin(settings.analyze.loaders, learned), trouble
