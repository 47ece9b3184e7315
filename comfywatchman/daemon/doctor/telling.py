"""Whether those who are to be told can be: keys, addresses, packages, and what was given up."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from comfywatchman.daemon.doctor.finding import (
    Finding,
    Findings,
    Subject,
    fail,
    skip,
    troubled,
    warn,
    well,
)
from comfywatchman.daemon.notices.inspecting import notices_now
from comfywatchman.daemon.notices.posting import hindrance
from comfywatchman.daemon.notices.targets import targets_of
from comfywatchman.daemon.notices.telling import policy_of


def notices(subject: Subject) -> Findings:
    """Look at each receiver without telling it anything; `notify test` does that."""
    assert subject.loaded is not None  # noqa: S101 - the check needs them
    settings = subject.loaded.settings
    targets = targets_of(settings.notify)
    if not targets:
        yield skip("notices", "The settings name nobody to be told.")
        return
    policy = policy_of(settings, subject.environ)
    for target in targets:
        trouble = hindrance(target, policy) if target.kind == "webhook" else None
        if trouble is not None:
            yield troubled("notices", trouble)
        elif target.kind == "chat" and find_spec("apprise") is None:
            yield fail(
                "notices",
                f"{target.name} needs the package apprise, which is not installed.",
                "pip install apprise",
            )
        else:
            yield well("notices", f"{target.name} can be told.")
    yield from _given_up(subject)


def _given_up(subject: Subject) -> Iterator[Finding]:
    assert subject.loaded is not None  # noqa: S101 - as above
    now = notices_now(subject.loaded.settings)
    if now.dead:
        yield warn(
            "notices",
            f"{now.dead} notices were given up.",
            "`comfywatchman notify` says to whom and why, `notify retry` tries again.",
        )
