"""What it proves that known files are not there."""

from __future__ import annotations

import pytest

from comfywatchman.watch.absence import MARGIN_NS, Absence, Ground, judge

SECOND = 1_000_000_000
NOTED = 100 * SECOND
A, B = 1, 2
"""Devices; the missing files were on A."""


@pytest.mark.parametrize(
    ("ground", "means"),
    [
        # a directory on their device that was changed since: somebody emptied it
        (Ground(A, 200 * SECOND, alive=False), Absence.REMOVED),
        # not changed since: a bind mount is missing, and what lies under it is seen
        (Ground(A, 1 * SECOND, alive=False), Absence.OLDER),
        # changed just before they were noted: a clock of whole seconds
        (Ground(A, NOTED - MARGIN_NS + 1, alive=False), Absence.REMOVED),
        # another file of theirs is there: so is their drive
        (Ground(A, 1 * SECOND, alive=True), Absence.REMOVED),
        (Ground(B, 1 * SECOND, alive=True), Absence.REMOVED),
        # the place of a drive that is not mounted, whatever happened there meanwhile
        (Ground(B, 200 * SECOND, alive=False), Absence.OTHER_DEVICE),
        # files on its own device were known in it before: the missing ones were links
        (Ground(B, 200 * SECOND, alive=False, known_ns=50 * SECOND), Absence.REMOVED),
        # files on its own device are known since: somebody wrote there without the drive
        (Ground(B, 200 * SECOND, alive=False, known_ns=150 * SECOND), Absence.OTHER_DEVICE),
        # another drive that got the number of theirs
        (Ground(A, 200 * SECOND, alive=False, stranger=True), Absence.OTHER_DEVICE),
    ],
)
def test_an_absence_is_a_removal_only_where_it_can_be_nothing_else(
    ground: Ground, means: Absence
) -> None:
    assert judge(ground, {A}, NOTED) is means
