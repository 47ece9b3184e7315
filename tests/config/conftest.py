from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.config.writing import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, mode: int = 0o600) -> Path:
        file = tmp_path / "config.toml"
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        return file

    return _write


@pytest.fixture
def home(tmp_path: Path) -> Mapping[str, str]:
    """An environment with a home of its own, in which nothing is set."""
    return {"HOME": str(tmp_path / "home")}
