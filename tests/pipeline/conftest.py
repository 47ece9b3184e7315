"""A desk over a database of each test's own, and a scratch ComfyUI tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.domain.files import Folders
from comfywatchman.pipeline.desk import Desk
from comfywatchman.state import store
from comfywatchman.state.keeper import Keeper, Reader
from tests.pipeline.office import Office
from tests.pipeline.shop import Bench


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


@pytest.fixture
def office(keeper: Keeper, reader: Reader) -> Office:
    told: list[object] = []
    return Office(Desk(keeper, reader, [told.append]), keeper, reader, told)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name in ("loras", "vae", "embeddings"):
        (tmp_path / "ComfyUI/models" / name).mkdir(parents=True)
    return read_layout(tmp_path / "ComfyUI").folders


@pytest.fixture
def bench(office: Office, folders: Folders) -> Bench:
    return Bench(office, folders)
