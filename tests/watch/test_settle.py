from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from comfywatchman.domain.files import Stamp
from comfywatchman.watch.settle import LONGEST_PAUSE, Rule, Settling

WORKFLOW = Path("/workflows/a.json")
LORA = Path("/models/loras/a.safetensors")
RULE = Rule(quick=0.05, slow=2.0)


@dataclass
class FakeDisk:
    """Glimpses of files that are not there."""

    files: dict[Path, tuple[Stamp, bool | None]] = field(default_factory=dict)
    ticks: int = 0

    def write(self, path: Path, *, size: int = 1, written: bool | None = False) -> None:
        self.ticks += 1
        inode = self.files[path][0].inode if path in self.files else self.ticks
        self.files[path] = (Stamp(1, inode, size, self.ticks, self.ticks), written)

    def chmod(self, path: Path) -> None:
        self.ticks += 1
        stamp, written = self.files[path]
        self.files[path] = (replace(stamp, ctime_ns=self.ticks), written)

    def close(self, path: Path) -> None:
        self.files[path] = (self.files[path][0], False)

    def look(self, path: Path) -> tuple[Stamp, bool | None] | None:
        return self.files.get(path)


def settling(rule: Rule = RULE, most: int = 100) -> Settling:
    return Settling(lambda _: rule, most=most)


def test_a_file_that_nobody_writes_rests_after_the_quick_time() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(WORKFLOW, written=False)
    paths.note(WORKFLOW, 10.0, disk.look)

    assert paths.next_look() == 10.05
    assert paths.settled(10.04, disk.look) == []
    assert paths.settled(10.05, disk.look) == [WORKFLOW]
    assert paths.waiting() == 0
    assert paths.next_look() is None


def test_a_file_renamed_into_place_rests_quickly_where_nobody_can_tell() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(WORKFLOW, written=None)
    paths.note(WORKFLOW, 0.0, disk.look, renamed=True)

    assert paths.settled(0.05, disk.look) == [WORKFLOW]


def test_a_chmod_after_the_rename_does_not_make_it_slow() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(WORKFLOW, written=None)
    paths.note(WORKFLOW, 0.0, disk.look, renamed=True)
    disk.chmod(WORKFLOW)
    paths.note(WORKFLOW, 0.01, disk.look)

    assert paths.settled(0.07, disk.look) == [WORKFLOW]


def test_a_write_after_the_rename_makes_it_slow() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(WORKFLOW, written=None)
    paths.note(WORKFLOW, 0.0, disk.look, renamed=True)
    disk.write(WORKFLOW, size=2, written=None)
    paths.note(WORKFLOW, 0.01, disk.look)

    assert paths.settled(1.0, disk.look) == []
    assert paths.settled(2.01, disk.look) == [WORKFLOW]


def test_where_nobody_can_tell_it_rests_after_the_slow_time() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(WORKFLOW, written=None)
    paths.note(WORKFLOW, 0.0, disk.look)

    assert paths.settled(1.99, disk.look) == []
    assert paths.settled(2.0, disk.look) == [WORKFLOW]


def test_a_file_that_keeps_growing_does_not_settle() -> None:
    disk, paths = FakeDisk(), settling()
    for tenth in range(1, 600):
        disk.write(LORA, size=tenth, written=None)
        paths.note(LORA, tenth / 10, disk.look)

        assert paths.settled(tenth / 10, disk.look) == []


def test_a_file_that_grew_without_a_notification_waits_again() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(LORA, size=100, written=None)
    paths.note(LORA, 0.0, disk.look)
    disk.write(LORA, size=200, written=None)

    assert paths.settled(2.0, disk.look) == []
    assert paths.next_look() == 4.0
    assert paths.settled(4.0, disk.look) == [LORA]


def test_a_preallocated_file_whose_size_never_changes_waits_while_it_is_written() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(LORA, size=6_000, written=None)
    paths.note(LORA, 0.0, disk.look)
    for second in range(2, 20, 2):
        disk.write(LORA, size=6_000, written=None)

        assert paths.settled(second, disk.look) == []


def test_while_somebody_writes_it_is_looked_at_ever_more_rarely() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(LORA, written=True)
    paths.note(LORA, 0.0, disk.look)
    looks: list[float] = []
    now = 0.0
    while now < 60:
        due = paths.next_look()
        assert due is not None
        looks.append(round(due - now, 6))
        now = due
        assert paths.settled(now, disk.look) == []

    assert looks[0] == 0.05
    assert looks == sorted(looks)
    assert looks[-1] <= LONGEST_PAUSE
    assert len(looks) < 70


def test_when_the_writer_closes_it_rests_after_the_quick_time() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(LORA, written=True)
    paths.note(LORA, 0.0, disk.look)
    for tenth in range(1, 300):
        paths.settled(tenth / 10, disk.look)
    disk.close(LORA)
    paths.note(LORA, 30.0, disk.look)

    assert paths.next_look() == 30.05
    assert paths.settled(30.05, disk.look) == [LORA]


def test_a_writer_that_closes_without_a_notification_is_noticed_within_a_second() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(LORA, written=True)
    paths.note(LORA, 0.0, disk.look)
    for tenth in range(1, 300):
        paths.settled(tenth / 10, disk.look)
    disk.close(LORA)

    assert paths.settled(31.1, disk.look) == [LORA]


def test_a_path_that_is_gone_is_forgotten() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(LORA)
    disk.write(WORKFLOW)
    paths.note(LORA, 0.0, disk.look)
    paths.note(WORKFLOW, 0.0, disk.look)
    disk.files.clear()
    paths.note(LORA, 0.01, disk.look)

    assert paths.settled(9.0, disk.look) == []
    assert paths.waiting() == 0
    assert paths.next_look() is None


def test_a_path_forgotten_and_noted_again_waits_from_the_beginning() -> None:
    disk, paths = FakeDisk(), settling()
    disk.write(LORA, written=None)
    paths.note(LORA, 0.0, disk.look)
    paths.forget(LORA)
    paths.note(LORA, 1.0, disk.look)

    assert paths.settled(2.0, disk.look) == []
    assert paths.settled(3.0, disk.look) == [LORA]


def test_news_without_end_do_not_hold_it_back_longer_than_the_rule_says() -> None:
    disk, paths = FakeDisk(), settling(Rule(quick=0.05, slow=0.5, longest=3.0))
    rested: list[float] = []
    for hundredth in range(0, 400, 2):
        disk.write(WORKFLOW, written=False)
        paths.note(WORKFLOW, hundredth / 100, disk.look)
        if paths.settled(hundredth / 100, disk.look):
            rested.append(hundredth / 100)

    assert rested == [3.0]


def test_of_too_many_paths_only_the_directory_is_remembered() -> None:
    disk, paths = FakeDisk(), settling(most=4)
    many = [Path(f"/models/loras/{number}.safetensors") for number in range(6)]
    for path in many:
        disk.write(path)
        paths.note(path, 0.0, disk.look)

    assert paths.waiting() == 4
    assert paths.dirty_directories() == []
    assert paths.settled(0.05, disk.look) == many[:4]
    assert paths.dirty_directories() == [Path("/models/loras")]
    assert paths.dirty_directories() == []


def test_many_paths_settle_without_looking_at_each_of_them_each_time() -> None:
    disk, paths = FakeDisk(), settling(most=20_000)
    looks = 0

    def look(path: Path) -> tuple[Stamp, bool | None] | None:
        nonlocal looks
        looks += 1
        return disk.look(path)

    for number in range(10_000):
        path = Path(f"/models/{number}")
        disk.write(path)
        paths.note(path, number / 10_000, look)
    settled = sum(len(paths.settled(tick / 1_000, look)) for tick in range(1_100))

    assert settled == 10_000
    assert looks == 20_000
