from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.download.killing import Trial, files


@pytest.mark.parametrize(
    ("kills", "count", "size", "wait"),
    [
        (5, 3, 2_000_000, 0.3),
        pytest.param(
            1000, 20, 50_000_000, 1.2, marks=[pytest.mark.trial, pytest.mark.timeout(4 * 3600)]
        ),
    ],
)
def test_a_process_killed_again_and_again_loses_no_file_and_nothing_that_had_come(
    tmp_path: Path, kills: int, count: int, size: int, wait: float
) -> None:
    trial = Trial(
        tmp_path,
        files(count, size),
        random.Random(6),
        bytes_per_second=size,
        longest_wait=wait,
        most_bytes=size,
    )

    tally = trial.run(kills)

    print(tally)  # noqa: T201 - for `make trial`
    assert tally.wrong == []
    assert tally.kills == kills
    assert tally.placed == tally.rounds * count > 0
    assert tally.again_share < 0.02
    assert tally.in_transfer > kills / 4
