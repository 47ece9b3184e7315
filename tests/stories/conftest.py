"""A hub and a scratch ComfyUI tree for each story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Tree


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture
def tree(tmp_path: Path, hub: Hub) -> Tree:
    return Tree(tmp_path, hub.url, tuple(hub.hosts))
