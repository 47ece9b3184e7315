"""A kill in the middle of an upgrade leaves the old database or the new one, and its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.state.test_carrying import of_version

PROGRAM = Path(__file__).with_name("killed_migrations.py")


def killing(tmp_path: Path, step: int) -> Any:
    database = of_version(tmp_path / "state", "0001")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(database), str(step)],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(PROGRAM.parents[2])},
    )
    return json.loads(done.stdout)


def test_a_kill_at_some_statements_of_an_upgrade_loses_nothing(tmp_path: Path) -> None:
    found = killing(tmp_path, 29)

    assert found["wrong"] == {}
    assert found["kills"] >= 2


@pytest.mark.trial
def test_a_kill_at_every_statement_of_an_upgrade_loses_nothing(tmp_path: Path) -> None:
    found = killing(tmp_path, 1)

    assert found["wrong"] == {}
    assert found["kills"] >= 50
