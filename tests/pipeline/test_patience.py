"""What becomes of a job that did not work."""

from __future__ import annotations

import pytest

from comfywatchman.domain.errors import (
    BeingFetched,
    DiskFailed,
    DiskFull,
    FolderNotWritable,
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    UrlRefused,
    VerificationFailed,
    WatchmanError,
)
from comfywatchman.pipeline.patience import (
    HERE,
    HERE_SECONDS,
    LONGEST_ASKED,
    PASSING,
    Patience,
    backoff,
)

DAEMON = Patience(3)
COMMAND = Patience(3, lasting=False)


def met(kind: type[WatchmanError], retry_after: float | None = None) -> WatchmanError:
    return kind("It failed.", remedy="Do something.", retry_after=retry_after)


@pytest.mark.parametrize("kind", [SourceMissing, UrlRefused, VerificationFailed])
def test_what_is_refused_for_good_is_not_tried_again(kind: type[WatchmanError]) -> None:
    verdict = DAEMON.judge(met(kind), 0)

    assert verdict.retry_in is None
    assert verdict.trouble == met(kind).trouble()


@pytest.mark.parametrize("kind", [SourceUnavailable, RateLimited, BeingFetched])
def test_a_command_tries_what_may_pass_a_few_times_with_growing_pauses(
    kind: type[WatchmanError],
) -> None:
    pauses = [COMMAND.judge(met(kind), attempts).retry_in for attempts in range(5)]

    assert pauses[3:] == [None, None]
    for attempts, pause in enumerate(pauses[:3]):
        assert pause is not None
        assert 2.0**attempts / 2 <= pause <= 2.0**attempts


@pytest.mark.parametrize("kind", [SourceUnavailable, RateLimited, BeingFetched])
def test_a_daemon_waits_for_the_end_of_an_outage_with_pauses_of_minutes(
    kind: type[WatchmanError],
) -> None:
    pauses = [DAEMON.judge(met(kind), attempts).retry_in for attempts in range(200)]

    assert all(pause is not None for pause in pauses)
    assert all(15.0 <= pause <= 900.0 for pause in pauses[3:] if pause is not None)
    assert all(pause >= 450.0 for pause in pauses[10:] if pause is not None)


def test_a_source_that_asks_to_wait_for_days_is_asked_after_an_hour() -> None:
    assert DAEMON.judge(met(RateLimited, retry_after=1e6), 0).retry_in == LONGEST_ASKED


def test_a_command_does_not_wait_for_an_hour() -> None:
    assert COMMAND.judge(met(RateLimited, retry_after=3600.0), 0).retry_in is None
    assert COMMAND.judge(met(RateLimited, retry_after=300.0), 0).retry_in == 300.0


def test_a_source_is_never_asked_sooner_than_it_wants() -> None:
    assert DAEMON.judge(met(RateLimited, retry_after=77.0), 0).retry_in == 77.0


@pytest.mark.parametrize("kind", [DiskFull, FolderNotWritable, DiskFailed])
def test_what_is_wrong_here_is_looked_at_again_for_ever(kind: type[WatchmanError]) -> None:
    for attempts in (0, 3, 1000):
        assert DAEMON.judge(met(kind), attempts).retry_in == HERE_SECONDS


@pytest.mark.parametrize("kind", [DiskFull, FolderNotWritable, DiskFailed])
def test_a_command_does_not_wait_for_this_machine_to_be_cured(kind: type[WatchmanError]) -> None:
    assert COMMAND.judge(met(kind), 0).retry_in is None


def test_with_no_retries_nothing_is_tried_again() -> None:
    assert Patience(0, lasting=False).judge(met(SourceUnavailable), 0).retry_in is None


def test_what_passes_by_itself_is_what_errors_call_retryable() -> None:
    """The codes stand in three tables; none may say another thing than the error itself."""
    retryable = {kind.code for kind in WatchmanError.__subclasses__() if kind.retryable}

    assert retryable >= HERE
    assert retryable >= PASSING
    assert PASSING >= HERE


def test_pauses_grow_with_the_failures_and_have_an_end() -> None:
    for attempts in range(12):
        longest = min(300.0, 2.0**attempts)

        assert all(longest / 2 <= backoff(attempts) <= longest for _ in range(50))


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        ("Free 2.0 GB.", "Free 2.0 GB. Then run the command again: it goes on with what is there."),
        (
            "It goes on later with what is there; nothing to do.",
            "Later, run the command again: it goes on with what is there.",
        ),
        (
            "It is tried again later; check the network if it lasts.",
            "Check the network if it lasts. Then run the command again: it goes on with what is "
            "there.",
        ),
    ],
)
def test_a_command_that_ends_promises_nothing_that_only_a_daemon_does(
    remedy: str, told: str
) -> None:
    error = DiskFull if remedy.startswith("Free") else SourceUnavailable

    given_up = COMMAND.judge(error("It failed.", remedy=remedy), 3).trouble
    waiting = COMMAND.judge(SourceUnavailable("It failed.", remedy=remedy), 0).trouble

    assert given_up.remedy == told
    assert waiting.remedy == remedy


def test_a_daemon_says_that_it_goes_on_when_the_disk_has_room() -> None:
    assert DAEMON.judge(DiskFull("It failed.", remedy="Free 2.0 GB."), 9).trouble.remedy == (
        "Free 2.0 GB. It goes on by itself."
    )
