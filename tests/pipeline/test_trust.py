"""When a measure proves something, on clocks of every kind."""

from __future__ import annotations

import pytest

from comfywatchman.disk.devices import Device, Kind
from comfywatchman.domain.files import Measured, Reading, Stamp
from comfywatchman.pipeline.trust import judged, proves_in

SECOND = 1_000_000_000
NOW = 1_000_000.0
FINE = Device("sda", Kind.FLASH, "ext4", local=True)
SHARE = Device("nas:/models", Kind.NETWORK, "nfs4")


def stamp(changed: float, modified: float | None = None) -> Stamp:
    """Return the stamp of a file that was changed so many seconds ago."""
    ctime, mtime = (
        int((NOW - (changed if ago is None else ago)) * SECOND) for ago in (changed, modified)
    )
    return Stamp(1, 2, 3, mtime, ctime)


def read(seen: Stamp) -> Reading:
    return Reading(seen, Measured(3, "ab" * 32), int(NOW * SECOND))


@pytest.mark.parametrize(
    ("seen", "device", "racy"),
    [
        (stamp(0.1), FINE, False),
        (stamp(0.0101), FINE, True),
        (stamp(-0.0101), FINE, True),  # the clock was set back a little
        (stamp(-3600.5), FINE, False),  # or an hour
        (stamp(5.0, modified=0.0), FINE, True),  # its time was set by hand, to now
        (stamp(5.0, modified=1e6), FINE, False),  # or to the beginning of time
        (stamp(1.5), SHARE, True),
        (stamp(2.5), SHARE, False),
        (stamp(1.0), FINE, True),  # whole seconds: an old ext4, or a stick
        (stamp(3.0), FINE, False),
    ],
)
def test_a_reading_too_close_to_the_last_write_proves_nothing(
    seen: Stamp, device: Device, racy: bool
) -> None:
    assert judged(read(seen), device).racy is racy


@pytest.mark.parametrize(
    ("seen", "device", "least", "most"),
    [
        (stamp(10.5), FINE, 0.0, 0.0),
        (stamp(0.0101), FINE, 0.01, 0.03),
        (stamp(1.0), FINE, 1.0, 2.1),  # whole seconds
        (stamp(10.5), SHARE, 2.0, 2.0),  # another machine's clock: it was seen only now
        (stamp(-0.0101), FINE, 0.02, 0.05),
        (stamp(-3600.5), FINE, 0.0, 0.0),
    ],
)
def test_it_is_known_how_long_to_wait_for_a_reading_that_proves_something(
    seen: Stamp, device: Device, least: float, most: float
) -> None:
    wait = proves_in(seen, NOW, device, NOW)

    assert least <= wait <= most
    later = int((NOW + wait) * SECOND)
    assert not judged(Reading(seen, Measured(3, "ab" * 32), later), device).racy


def test_a_stamp_of_another_machine_that_was_seen_a_while_ago_is_not_waited_for() -> None:
    assert proves_in(stamp(10.5), NOW - 3, SHARE, NOW) == 0.0
