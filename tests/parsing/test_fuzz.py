from __future__ import annotations

import random

import pytest

from scripts.fuzz import MEDIA, mutant, run, seeds


def test_damaged_files_are_answered_every_time() -> None:
    files = [path.read_bytes() for path in sorted(MEDIA.iterdir()) if path.suffix != ".md"]

    outcome = run(1_500, 5, files + seeds()[len(files) : len(files) + 10])

    assert outcome.crashes == []
    assert outcome.slow == []
    assert outcome.by_child > 0


def test_the_same_number_makes_the_same_files() -> None:
    files = [b'{"nodes": [{"id": 1}]}', bytes(range(256))]
    first, second = random.Random(3), random.Random(3)

    assert [mutant(first, files) for _ in range(50)] == [mutant(second, files) for _ in range(50)]


@pytest.mark.trial
def test_a_hundred_thousand_damaged_files_are_answered_every_time() -> None:
    outcome = run(100_000, 1, seeds())

    assert outcome.crashes == []
    assert outcome.slow == []
