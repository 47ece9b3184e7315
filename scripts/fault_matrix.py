"""Every fault of the stand-in hubs at every moment from every kind of source, as a table.

    python scripts/fault_matrix.py

needs the team's stand-in hubs beside the checkout. Ends with 1 if any cell is wrong.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.download.hubs import STANDIN, standing_in  # noqa: E402 - the path comes first
from tests.download.matrix import (  # noqa: E402 - the path comes first
    FAULTS,
    PHASES,
    SOURCES,
    Came,
    Cell,
    cells,
    run,
    summary,
)


def main() -> int:
    if not STANDIN.exists():
        print("the stand-in hubs are not beside this checkout: nothing was tried")
        return 0
    status = 0
    for lasting in (False, True):
        began = time.monotonic()
        found = _run(lasting=lasting)
        _print(found, lasting=lasting)
        told = summary(found)
        print(
            f"{told['right']} of {told['cells']} cells right, {told['placed']} placed, "
            f"{time.monotonic() - began:.0f} s"
        )
        for line in told["wrong"]:
            status = 1
            print(f"  WRONG {line}")
        print()
    return status


def _run(*, lasting: bool) -> dict[Cell, Came]:
    with tempfile.TemporaryDirectory() as directory, standing_in() as hubs:
        place = Path(directory) / "tree"
        place.mkdir()
        return {cell: run(cell, hubs, place) for cell in cells(lasting=lasting)}


def _print(found: Mapping[Cell, Came], *, lasting: bool) -> None:
    """Print a row for each fault and source, a column for each phase."""
    print(f"fault {'that lasts' if lasting else 'that happens once'}")
    print(f"{'':30}{'':30}" + "".join(f"{phase:20}" for phase in PHASES))
    for fault in FAULTS:
        what = f"{fault.kind} {' '.join(str(v) for v in fault.more.values())}"[:29]
        same: Counter[tuple[str, ...]] = Counter()
        rows = []
        for source in SOURCES:
            came = [found[cell] for cell in found if (cell.fault, cell.source) == (fault, source)]
            outcomes = tuple(each.outcome + ("" if each.wrong is None else " !") for each in came)
            same[outcomes] += 1
            rows.append((source.name, outcomes))
        if len(same) == 1:
            rows = [("all six", rows[0][1])]
        for name, outcomes in rows:
            print(f"{what:30}{name:30}" + "".join(f"{each:20}" for each in outcomes))
            what = ""


if __name__ == "__main__":
    sys.exit(main())
