"""Whether a stamp proves that a file is as it was measured, and from when on it does."""

from __future__ import annotations

from dataclasses import replace

from comfywatchman.disk.devices import Device
from comfywatchman.domain.files import Reading, Stamp
from comfywatchman.watch.sweep import COARSE_NS, granularity, trusted


def judged(reading: Reading, device: Device) -> Reading:
    """Return *reading* with its word on whether a later write could go unseen."""
    coarse = granularity([reading.stamp], device.file_system)
    return replace(reading, racy=not trusted(reading.stamp, reading.at_ns, coarse))


def proves_in(stamp: Stamp, noted_at: float, device: Device, now: float) -> float:
    """Return in how many seconds a measure will prove something; 0 for now.

    Where stamps are coarse, or come from another machine whose clock is not ours, the stamp must
    also have been seen that long ago: then a write since has another one, whatever its clock says.

    Args:
        stamp: of the file.
        noted_at: when this stamp was first seen, seconds since the epoch.
        device: what the file lies on.
        now: seconds since the epoch.
    """
    coarse_ns = granularity([stamp], device.file_system)
    now_ns = int(now * 1e9)
    waits = [0.0]
    if not trusted(stamp, now_ns, coarse_ns):
        newest = max(stamp.mtime_ns, stamp.ctime_ns)
        # A clock set back can leave a stamp ahead of now; then twice as long is waited.
        waits.append((coarse_ns + max(0, min(coarse_ns, newest - now_ns)) + 1_000_000) / 1e9)
    if coarse_ns >= COARSE_NS:
        waits.append(noted_at + coarse_ns / 1e9 - now)
    return max(waits)
