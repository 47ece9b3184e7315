from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfywatchman.disk.walk import Listing, walk
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.watch.sweep import (
    COARSE_NS,
    FINE_NS,
    Drift,
    Moved,
    Sweep,
    compare,
    granularity,
    trusted,
)

LORAS, VAE = Path("/models/loras"), Path("/models/vae")
TROUBLE = Trouble("disk-failed", "EIO", "Look at the disk.")


@dataclass
class Noted:
    """What rows say of every directory."""

    last: int = 0
    first: int | None = None
    count: int = 0

    def noted_ns(self, _directory: Path) -> int:
        return self.last

    def first_noted_ns(self, _directory: Path, _devices: Collection[int]) -> int | None:
        return self.first

    def count_on(self, _directory: Path, _devices: Collection[int]) -> int:
        return self.count


def stamp(inode: int, *, size: int = 10, mtime: int = 1, ctime: int = 1) -> Stamp:
    return Stamp(1, inode, size, mtime, ctime)


def listing(
    directory: Path,
    files: dict[str, Stamp],
    *,
    trouble: Trouble | None = None,
    unclear: tuple[str, ...] = (),
) -> Listing:
    return Listing(
        os.fsencode(directory),
        os.fsencode(directory),
        tuple(files.items()),
        False,
        trouble,
        unclear,
        identity=(1, 99),
        changed_ns=1,
    )


def test_what_is_new_different_and_gone_is_told_apart() -> None:
    known = {"same": stamp(1), "other": stamp(2), "gone": stamp(3)}

    drift = compare(
        listing(LORAS, {"same": stamp(1), "other": stamp(2, ctime=2), "new": stamp(4)}), known
    )

    assert drift == Drift(
        LORAS,
        added=(("new", stamp(4)),),
        changed=(("other", stamp(2, ctime=2)),),
        removed=(("gone", stamp(3)),),
    )


def test_an_unchanged_directory_has_no_drift() -> None:
    assert not compare(listing(LORAS, {"a": stamp(1)}), {"a": stamp(1)})


def test_from_a_directory_that_could_not_be_read_nothing_is_removed() -> None:
    drift = compare(listing(LORAS, {"new": stamp(2)}, trouble=TROUBLE), {"a": stamp(1)})

    assert drift == Drift(LORAS, added=(("new", stamp(2)),))


def test_a_file_that_could_not_be_looked_at_is_not_removed() -> None:
    assert not compare(listing(LORAS, {}, unclear=("a",)), {"a": stamp(1)})


def test_a_file_that_went_here_and_came_there_has_moved() -> None:
    sweep = Sweep()
    sweep.take(listing(VAE, {"b": stamp(1, ctime=5), "new": stamp(2)}), {})
    sweep.take(listing(LORAS, {}), {"a": stamp(1), "gone": stamp(3)})
    outcome = sweep.outcome(Noted())

    assert outcome.moved == (Moved(LORAS / "a", VAE / "b", stamp(1), stamp(1, ctime=5)),)
    assert list(outcome.added()) == [(VAE / "new", stamp(2))]
    assert list(outcome.removed()) == [(LORAS / "gone", stamp(3))]
    assert dict(outcome.counts()) == {"added": 1, "changed": 0, "moved": 1, "removed": 1}


def test_a_hard_link_beside_a_moved_file_is_new() -> None:
    sweep = Sweep()
    sweep.take(listing(LORAS, {"b": stamp(1), "c": stamp(1)}), {"a": stamp(1)})
    outcome = sweep.outcome(Noted())

    assert [move.after for move in outcome.moved] == [LORAS / "b"]
    assert list(outcome.added()) == [(LORAS / "c", stamp(1))]


def test_a_file_of_the_same_inode_and_another_size_has_not_moved() -> None:
    sweep = Sweep()
    sweep.take(listing(LORAS, {"b": stamp(1, size=11)}), {"a": stamp(1)})

    assert sweep.outcome(Noted()).moved == ()


def test_directories_that_are_gone_are_told_but_not_those_out_of_reach() -> None:
    sweep = Sweep()
    sweep.take(listing(Path("/models"), {}), {})
    sweep.take(listing(VAE, {}, trouble=TROUBLE), {})

    known = [os.fsencode(each) for each in (LORAS, VAE, VAE / "deep")]
    assert sweep.gone(known) == [os.fsencode(LORAS)]
    assert sweep.take_gone(LORAS, {"a": stamp(1)}).removed == (("a", stamp(1)),)


def test_a_real_tree_swept_twice_tells_exactly_what_was_done_to_it(tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    for number in range(10):
        (tmp_path / "loras" / f"{number}").write_bytes(b"x" * (number + 1))
    known = {one.directory: dict(one.files) for one in walk(tmp_path, lambda _: True)}
    (tmp_path / "vae").mkdir()
    (tmp_path / "loras" / "0").rename(tmp_path / "vae" / "zero")
    (tmp_path / "loras" / "1").unlink()
    (tmp_path / "loras" / "2").write_bytes(b"yyy")
    (tmp_path / "loras" / "new").write_bytes(b"new")

    sweep = Sweep()
    for one in walk(tmp_path, lambda _: True):
        sweep.take(one, known.get(one.directory, {}))
    outcome = sweep.outcome(Noted())

    loras = tmp_path / "loras"
    assert [(move.before, move.after) for move in outcome.moved] == [
        (loras / "0", tmp_path / "vae" / "zero")
    ]
    assert [path for path, _ in outcome.added()] == [loras / "new"]
    assert [path for path, _ in outcome.changed()] == [loras / "2"]
    assert [path for path, _ in outcome.removed()] == [loras / "1"]


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("mtime", "ctime", "proven"),
    [
        (100 * SECOND, 100 * SECOND, True),
        (100 * SECOND, 200 * SECOND - FINE_NS // 2, False),  # written just before the measure
        (200 * SECOND, 100 * SECOND, False),
        (100 * SECOND, 200 * SECOND + FINE_NS // 2, False),  # written just after it began
        (0, 100 * SECOND, True),  # a copy that brought its time with it
        (900 * SECOND, 100 * SECOND, True),  # a time in the future, set by hand
        (900 * SECOND, 900 * SECOND, True),  # the clock was wrong and was set back
    ],
)
def test_a_stamp_is_trusted_unless_the_file_was_written_while_it_was_measured(
    mtime: int, ctime: int, proven: bool
) -> None:
    assert trusted(stamp(1, mtime=mtime, ctime=ctime), 200 * SECOND) is proven


def test_on_a_coarse_clock_two_seconds_are_doubtful() -> None:
    assert not trusted(stamp(1, mtime=SECOND, ctime=199 * SECOND), 200 * SECOND, COARSE_NS)


@pytest.mark.parametrize(
    ("changes", "file_system", "wanted"),
    [
        ([SECOND + 1, 2 * SECOND], "ext4", FINE_NS),
        ([SECOND, 2 * SECOND], "ext4", COARSE_NS),  # stored in whole seconds, whatever its name
        ([SECOND + 1], "nfs4", COARSE_NS),
        ([], "ext4", FINE_NS),
    ],
)
def test_the_granularity_is_seen_in_the_stamps_or_known_by_the_type(
    changes: list[int], file_system: str, wanted: int
) -> None:
    assert granularity([stamp(1, ctime=change) for change in changes], file_system) == wanted
