"""Decides what becomes of a job that did not work: again, when, or never."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

from comfywatchman.domain.errors import Trouble, WatchmanError

HERE = frozenset({"disk-full", "folder-not-writable", "disk-failed", "root-offline"})
"""Troubles of this machine: they last until somebody acts, and pass at once when cured."""

HERE_SECONDS = 10.0

_BY_ITSELF = "It goes on by itself."
_BY_HAND = "run the command again: it goes on with what is there."
_PROMISE = re.compile(
    r"(?:It|They) (?:goes on|(?:is|are) (?:asked|fetched|looked for|put|read|tried) again)"
    r"[^.;]*(?:[.;] ?|$)(?:nothing to do\.)?"
)
"""What a command that ends now cannot keep."""

LONGEST_ASKED = 3600.0
"""Seconds; a source that asks us to wait longer is asked after that all the same."""

LONGEST_OF_A_COMMAND = 310.0
"""The same for a command: longer than any hub counts its requests for, and a person waits."""

PASSING = frozenset(
    {
        "source-unavailable",
        "rate-limited",
        "disk-failed",
        "disk-full",
        "folder-not-writable",
        "root-offline",
    }
)
"""Codes of troubles that may pass without anybody changing the workflow."""

OF_THE_SETTINGS = PASSING | {
    "choice-needed",
    "name-taken",
    "nothing-found",
    "source-missing",
    "unknown-folder",
    "unsafe-name",
    "verification-failed",
    "wrong-answer",
    "download-off",
    "download-too-large",
    "host-not-allowed",
    "login-needed",
    "not-given-out",
    "offline",
    "unsafe-file",
    "url-refused",
}
"""Codes that other settings, another network or time may cure: looked at again at every start."""


@dataclass(frozen=True, slots=True)
class Verdict:
    trouble: Trouble
    retry_in: float | None
    """Seconds; ``None`` ends the job."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with what does not work."""

    max_retries: int
    lasting: bool = True
    """Whether to wait for this machine to be cured: a daemon does, a command does not."""

    def judge(self, error: WatchmanError, attempts: int) -> Verdict:
        """Return when to try again after *attempts* earlier failures.

        What a source refuses for good is not asked again; what may pass is tried a few times
        with growing pauses, never sooner than the source asked for; what is wrong on this
        machine is looked at again every ten seconds.
        """
        trouble = error.trouble()
        if not error.retryable:
            return Verdict(trouble, None)
        if trouble.code not in HERE:
            again = self.again(attempts, error.retry_after)
        else:
            again = HERE_SECONDS if self.lasting else None
        return Verdict(self.promised(trouble, again), again)

    def promised(self, trouble: Trouble, again: float | None) -> Trouble:
        """Return *trouble* with a remedy that says who goes on: this program, or its user."""
        if again is not None:
            said = trouble.remedy if trouble.code not in HERE else f"{trouble.remedy} {_BY_ITSELF}"
            return replace(trouble, remedy=said)
        if self.lasting:
            return trouble
        said = _PROMISE.sub("", trouble.remedy).strip()
        said = said[:1].upper() + said[1:]
        return replace(trouble, remedy=f"{said} Then {_BY_HAND}" if said else f"Later, {_BY_HAND}")

    def again(self, attempts: int, retry_after: float | None) -> float | None:
        """Return seconds until a source may be asked once more, ``None`` when it was enough.

        A daemon goes on after that with pauses of minutes: an outage ends some time. No source
        is believed that asks for more than an hour.
        """
        asked = min(retry_after or 0.0, LONGEST_ASKED)
        if not self.lasting and asked > LONGEST_OF_A_COMMAND:
            return None
        if attempts < self.max_retries:
            return max(backoff(attempts), asked)
        if not self.lasting:
            return None
        return max(backoff(attempts - self.max_retries, first=30.0, most=900.0), asked)


def backoff(attempts: int, *, first: float = 1.0, most: float = 300.0) -> float:
    """Return seconds to wait after *attempts* failures: doubling, with jitter above half."""
    longest = min(most, first * 2.0 ** min(attempts, 30))
    return longest / 2 + random.uniform(0, longest / 2)
