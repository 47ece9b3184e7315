from __future__ import annotations

from pathlib import Path

import pytest

from tests.comfyui.machine import LINUX, MAC, WINDOWS, Machine


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a current directory, and a settings directory, with nothing in it."""
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nowhere"))


@pytest.fixture(params=[LINUX, MAC, WINDOWS])
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    return Machine(tmp_path / "home", request.param)


@pytest.fixture
def linux(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "home")
