"""Searches wait until the workflows are read that may say more about what is looked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from comfywatchman.domain.jobs import ResolveReference
from comfywatchman.state import jobs

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection

LONGEST_SECONDS = 120.0
"""A search waits no longer, and for as long again none does: reading may never come to an end."""


@dataclass(slots=True)
class Hold:
    """Since when searches wait; used by the thread that takes them.

    Two workflows that give different addresses for one name are a question to a person, whichever
    of them is read first. Only what was asked for before a search came to the head of its line is
    waited for, so that a stream of edits holds up none for long.
    """

    began: float | None = None
    """Unix seconds; ``None`` while none waits."""
    free_until: float = 0.0

    def rules(self, rules: jobs.Rules, now: float) -> jobs.Rules:
        """Return *rules* with what a search has to wait for at this moment."""
        if self.began is None or now < self.began:  # or the clock was set back
            self.began = now
        if now - self.began > LONGEST_SECONDS:
            self.began, self.free_until = now, now + LONGEST_SECONDS
        return rules if now < self.free_until else replace(rules, behind=self.began)

    def note(self, connection: Connection, rules: jobs.Rules, now: float) -> None:
        """Go on waiting only if there is a search that would have been handed out."""
        kind = ResolveReference.kind
        if jobs.claimable(connection, kind, now, replace(rules, behind=None)) is None:
            self.began = None
