"""What a check is, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.installation import Place
    from comfywatchman.domain.errors import Trouble


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and will not always, or not as well as it could."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be looked at, or there is nothing to look at; the cause says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of a check."""

    about: str
    """What was looked at: a word for the kind, and perhaps which one."""
    verdict: Verdict
    cause: str
    """What was seen."""
    remedy: str = ""
    """What to do; empty where there is nothing."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """Further values for a bug report."""


Findings: TypeAlias = Iterable[Finding]


@dataclass(frozen=True, slots=True)
class Subject:
    """The installation that is looked at."""

    loaded: Loaded | None
    """``None`` where the settings cannot be read."""
    place: Place | None
    """``None`` where ComfyUI was not found."""
    environ: Mapping[str, str]
    home: Path
    unread: Trouble | None = None
    """Why the settings cannot be read."""
    offline: bool = False
    """Whether nobody is asked over the network."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at, by itself; it may take *seconds*."""

    about: str
    look: Callable[[Subject], Findings]
    seconds: float = 10.0
    needs: str = ""
    """``settings`` or ``comfyui``, where there is nothing to look at without."""


def well(about: str, cause: str, **facts: object) -> Finding:
    return Finding(about, Verdict.OK, cause, facts=facts)


def warn(about: str, cause: str, remedy: str, **facts: object) -> Finding:
    return Finding(about, Verdict.WARNING, cause, remedy, facts)


def fail(about: str, cause: str, remedy: str, **facts: object) -> Finding:
    return Finding(about, Verdict.FAILED, cause, remedy, facts)


def skip(about: str, cause: str) -> Finding:
    return Finding(about, Verdict.SKIPPED, cause)


def troubled(about: str, trouble: Trouble, verdict: Verdict = Verdict.FAILED) -> Finding:
    return Finding(about, verdict, trouble.cause, trouble.remedy, {"code": trouble.code})
