"""A database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.state import store
from comfywatchman.state.keeper import Keeper, Reader


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = store.open_keeper(tmp_path / "state")
    yield keeper
    keeper.close()


@pytest.fixture
def reader(tmp_path: Path, keeper: Keeper) -> Iterator[Reader]:
    reader = store.open_reader(tmp_path / "state")
    assert reader is not None
    yield reader
    reader.close()
