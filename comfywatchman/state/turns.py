"""Whose turn it is at a host, and until when it is left alone: one budget for all processes.

It lies beside the answers, in the same file; losing it costs politeness for a while and nothing
else. Times are those of the monotonic clock, which all processes of a machine share until it is
started anew: what lies too far ahead is from before that, and does not count.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from comfywatchman.state.answers import Answers

Why = Literal["limited", "failed"]

TABLES = """
CREATE TABLE IF NOT EXISTS turns (
  host TEXT NOT NULL, span REAL NOT NULL, next_at REAL NOT NULL, PRIMARY KEY (host, span)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quiet (
  host TEXT PRIMARY KEY, until REAL NOT NULL, why TEXT NOT NULL
) WITHOUT ROWID;
"""
_FARTHEST = 3700.0
"""Seconds; nobody is left alone for longer."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The budgets of hosts; for all threads and processes."""

    answers: Answers

    def reserve(
        self, host: str, rates: Sequence[tuple[int, float]], now: float, longest: float
    ) -> float | None:
        """Take the next turn at *host*; return how many seconds it is away.

        ``None``, and nothing is taken, where that is more than *longest*. *rates* allow so many
        requests in so many seconds: a burst of that size at once, and then one after the other.
        """

        def change(connection: sqlite3.Connection) -> float | None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                return _reserved(connection, host, rates, now, longest)
            finally:
                connection.execute("COMMIT")

        unknown: float | None = 0.0
        return self.answers.safely(change, unknown)

    def quiet(self, host: str, now: float) -> tuple[float, Why] | None:
        """Return for how many seconds *host* is to be left alone yet, and why; ``None``: not."""
        row = self.answers.safely(
            lambda c: c.execute("SELECT until, why FROM quiet WHERE host = ?", (host,)).fetchone(),
            None,
        )
        if row is None or not 0 < row[0] - now < _FARTHEST:
            return None
        return row[0] - now, row[1]

    def be_quiet(self, host: str, until: float, why: Why) -> None:
        """Have everybody leave *host* alone until then."""
        statement = (
            "INSERT INTO quiet VALUES (?, ?, ?) ON CONFLICT (host) DO UPDATE "
            "SET until = excluded.until, why = excluded.why"
        )
        self.answers.safely(lambda c: c.execute(statement, (host, until, why)), None)

    def is_back(self, host: str) -> None:
        """Note that *host* answers again."""
        statement = "DELETE FROM quiet WHERE host = ? AND why = 'failed'"
        self.answers.safely(lambda c: c.execute(statement, (host,)), None)


def _reserved(
    connection: sqlite3.Connection,
    host: str,
    rates: Sequence[tuple[int, float]],
    now: float,
    longest: float,
) -> float | None:
    # Of each rate the time at which the budget would be whole again; its last span of that is free.
    whole: dict[float, float] = {}
    wait = 0.0
    for limit, span in rates:
        row = connection.execute(
            "SELECT next_at FROM turns WHERE host = ? AND span = ?", (host, span)
        ).fetchone()
        at = now if row is None or row[0] - now > _FARTHEST + span else max(now, row[0])
        each = span / limit
        wait = max(wait, at - now - (span - each))
        whole[span] = at + each
    if wait > longest:
        return None
    for span, at in whole.items():
        connection.execute("INSERT OR REPLACE INTO turns VALUES (?, ?, ?)", (host, span, at))
    return wait
