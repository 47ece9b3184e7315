"""The daemon at work for a while under everything at once; ``make soak`` is the long form."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts.soak import MEASURES, Result, Sample, soak

SECONDS, PAUSE = 24.0, 0.17
"""As much happens as in 40 s of `make soak`."""


def grown(found: Result, name: str) -> float:
    """Return by how much the least of the last third is above the most of the first."""
    third = len(found.samples) // 3
    values = [MEASURES[name](sample) for sample in found.samples]
    return min(values[-third:]) - max(values[:third])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_under_random_changes_and_faults_nothing_leaks_and_every_state_is_right(
    tmp_path: Path,
) -> None:
    found = soak(tmp_path, SECONDS, seed=7, pause=PAUSE)

    assert found.settled
    assert found.differences == []
    assert found.troubles == []
    assert found.done["drop"] > 5
    assert found.done.total() > 60
    assert found.done["reload"] > 0
    assert grown(found, "threads") <= 0
    assert grown(found, "file descriptors") <= 0
    assert grown(found, "anonymous memory, MB") < 10


def test_a_leak_is_seen() -> None:
    """The measure itself: one descriptor more with each sample is told."""
    leaking = [Sample(float(at), 20, 20 + at, 50.0) for at in range(30)]

    assert grown(Result(Counter(), leaking, True, [], []), "file descriptors") > 0
