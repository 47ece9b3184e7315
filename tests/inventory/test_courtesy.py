"""Neighbors on a disk, simulated: minutes of reading in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from comfywatchman.inventory.courtesy import TICK_SECONDS, Courtesy

MB = 1_000_000
ON_ITS_WAY = 8 * MB
"""What was asked for and has not come yet, while we read at full speed."""


@dataclass
class Disk:
    """A disk that we read at 1 GB/s whenever we may, and that others read too."""

    others: Callable[[float], float]
    """Bytes a second that others read, by the time."""
    echo: bool = False
    """Our reads are done by a helper of the kernel and counted as its own."""
    courtesy: Courtesy = field(default_factory=Courtesy)
    now: float = 0.0
    disk: float = 0.0
    own: float = 0.0
    yields: bool = False
    stepped_back: list[tuple[float, bool]] = field(default_factory=list)

    def run(self, until: float) -> None:
        number = 0
        while self.now < until:
            number += 1
            ours = 0.0 if self.yields else 1000 * MB * TICK_SECONDS
            self.disk += self.others(self.now) * TICK_SECONDS + ours
            self.own += 0.0 if self.echo else ours
            # What is on its way varies from tick to tick, and is nothing while we keep quiet.
            coming = 0 if self.yields else ON_ITS_WAY * (number * 7 % 10) / 10
            seen = int(self.disk - coming)
            before, self.now = self.yields, self.now + TICK_SECONDS
            self.yields = self.courtesy.tick(self.now, seen, int(self.own))
            if self.yields != before:
                self.stepped_back.append((self.now, self.yields))

    def share(self, since: float = 0.0) -> float:
        """Return for which part of the time since then we stepped back."""
        total, last, back = 0.0, since, False
        for at, yields in self.stepped_back:
            if at > since and back:
                total += at - max(last, since)
            last, back = at, yields
        return (total + (self.now - max(last, since) if back else 0.0)) / (self.now - since)


def quiet(_now: float) -> float:
    return 0.0


def test_alone_on_the_disk_we_read_at_full_speed() -> None:
    disk = Disk(quiet)
    disk.run(120.0)

    assert disk.share() < 0.02


def test_a_neighbor_is_let_first_within_a_third_of_a_second_for_as_long_as_it_reads() -> None:
    disk = Disk(lambda now: 10 * MB if 20 <= now < 40 else 0.0)
    disk.run(60.0)

    came = next(at for at, yields in disk.stepped_back if yields and at >= 20)
    went = next(at for at, yields in disk.stepped_back if not yields and at > came)
    assert came - 20 <= 0.33
    assert 40 <= went <= 41
    assert all(went <= at or at <= came for at, _ in disk.stepped_back)


def test_a_neighbor_who_reads_little_is_a_neighbor_too() -> None:
    disk = Disk(lambda now: 0.7 * MB if now >= 20 else 0.0)
    disk.run(60.0)

    assert disk.share(since=25.0) > 0.9


def test_a_trickle_is_no_neighbor() -> None:
    disk = Disk(lambda _now: 0.05 * MB)
    disk.run(60.0)

    assert disk.share() < 0.05


def test_our_own_reading_done_by_a_helper_does_not_hold_us_up() -> None:
    disk = Disk(quiet, echo=True)
    disk.run(600.0)

    assert disk.share() < 0.05


def test_behind_an_alarm_that_was_false_a_true_one_is_heard_again() -> None:
    disk = Disk(lambda now: 20 * MB if now >= 100 else 0.0, echo=True)
    disk.run(99.0)
    disk.run(300.0)

    assert disk.share(since=200.0) > 0.9
