from __future__ import annotations

from pathlib import Path

from comfywatchman.domain.files import Measured, Reading, Stamp
from comfywatchman.domain.messages import ModelPlaced
from comfywatchman.state import hashes, models, placed
from comfywatchman.state.keeper import Keeper, Reader

HASH = "ab" * 32
PLACE = Path("/m/loras/x")


def place(keeper: Keeper, path: Path = PLACE, *, promised: bool, sha256: str = HASH) -> None:
    """Note a placement, and the file as the inventory has it then."""
    event = ModelPlaced("loras", "x", path, Measured(5, sha256), "workflow", promised=promised)
    keeper.write(lambda c: placed.note(c, event, 1.0))
    hold(keeper, path, sha256)


def hold(keeper: Keeper, path: Path, sha256: str) -> None:
    stamp = Stamp(1, hash(sha256) % 1000, 5, 4, 5)
    reading = Reading(stamp, Measured(5, sha256), at_ns=6)
    keeper.write(lambda c: models.note(c, path, stamp, whole=True))
    keeper.write(lambda c: hashes.measured(c, path, reading))


def test_every_placement_is_written_down(keeper: Keeper, reader: Reader) -> None:
    for promised in (True, False):
        place(keeper, promised=promised)

    rows = reader.read(
        lambda c: c.exec_driver_sql("SELECT name, sha256, promised FROM placements").all()
    )
    assert [tuple(row) for row in rows] == [("x", HASH, 1), ("x", HASH, 0)]


def test_what_nobody_promised_is_unverifiable(keeper: Keeper, reader: Reader) -> None:
    place(keeper, promised=False)
    place(keeper, Path("/m/loras/y"), promised=True, sha256="cd" * 32)

    assert reader.read(placed.unverifiable) == {PLACE}
    assert reader.read(lambda c: placed.unverifiable(c, {PLACE})) == {PLACE}
    assert reader.read(lambda c: placed.unverifiable(c, {Path("/m/loras/y")})) == frozenset()


def test_bytes_that_another_source_promised_later_are_verified(
    keeper: Keeper, reader: Reader
) -> None:
    place(keeper, promised=False)
    place(keeper, Path("/m/loras/y"), promised=True)

    assert reader.read(placed.unverifiable) == frozenset()


def test_a_file_that_was_changed_or_removed_since_is_not_ours_to_doubt(
    keeper: Keeper, reader: Reader
) -> None:
    place(keeper, promised=False)
    hold(keeper, PLACE, "ef" * 32)
    changed = reader.read(placed.unverifiable)
    hold(keeper, PLACE, HASH)
    keeper.write(lambda c: models.forget(c, PLACE))

    assert changed == frozenset()
    assert reader.read(placed.unverifiable) == frozenset()
