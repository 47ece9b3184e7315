"""How the checks of `doctor` are run; what they find is in tests/cli/test_cli_doctor.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from comfywatchman.daemon.doctor.examining import examine, found_in_time
from comfywatchman.daemon.doctor.finding import (
    Check,
    Finding,
    Findings,
    Subject,
    Verdict,
    fail,
    well,
)
from comfywatchman.domain.errors import DiskFailed

SUBJECT = Subject(None, None, {}, Path("/home/me"))


def fine(_: Subject) -> Findings:
    yield well("fine", "It is.")


def looked(*checks: Check) -> list[Finding]:
    return list(examine(SUBJECT, checks))


def test_a_check_that_hangs_holds_up_no_other_and_is_told() -> None:
    for_ever = threading.Event()

    def hangs(_: Subject) -> Iterator[Finding]:
        for_ever.wait()
        yield well("share", "It never came.")

    began = time.monotonic()
    first, second = looked(Check("share", hangs, seconds=0.1), Check("fine", fine))
    for_ever.set()

    assert time.monotonic() - began < 5
    assert (first.about, first.verdict) == ("share", Verdict.FAILED)
    assert first.remedy
    assert second.verdict is Verdict.OK


def test_a_bug_in_a_check_is_an_answer() -> None:
    def broken(_: Subject) -> Findings:
        raise KeyError("nothing")

    first, second = looked(Check("broken", broken), Check("fine", fine))

    assert first.verdict is Verdict.FAILED
    assert "KeyError" in first.cause
    assert second.verdict is Verdict.OK


def test_an_error_of_ours_keeps_its_cause_and_remedy() -> None:
    def refused(_: Subject) -> Findings:
        raise DiskFailed("It cannot be read.", remedy="Look at the disk.")

    [found] = looked(Check("disk", refused))

    assert (found.cause, found.remedy) == ("It cannot be read.", "Look at the disk.")
    assert found.facts["code"] == "disk-failed"


def test_what_needs_settings_is_skipped_without() -> None:
    [found] = looked(Check("fine", fine, needs="settings"))

    assert found.verdict is Verdict.SKIPPED


def test_neither_home_nor_what_looks_like_a_token_is_told() -> None:
    def leaks(_: Subject) -> Findings:
        token = "hf_" + "a" * 30
        yield fail(
            "x", f"/home/me/x has {token}", "Bearer abcdefgh", path=Path("/home/me/y"), many=[token]
        )

    [found] = looked(Check("x", leaks))

    assert found.cause == "~/x has ***"
    assert "abcdefgh" not in found.remedy
    assert found.facts == {"path": "~/y", "many": ["***"]}


def test_what_takes_too_long_or_is_not_there_is_not_found() -> None:
    for_ever = threading.Event()

    def missing() -> int:
        raise DiskFailed("It is gone.", remedy="Look.")

    assert found_in_time(lambda: 7, 5.0) == 7
    assert found_in_time(for_ever.wait, 0.05) is None
    assert found_in_time(missing, 5.0) is None
    for_ever.set()
