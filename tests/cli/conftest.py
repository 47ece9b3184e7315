"""A hub, a scratch ComfyUI tree, and a shell on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from tests.cli.shell import Shell
from tests.stories.daemon import Tree


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture
def tree(tmp_path: Path, hub: Hub) -> Tree:
    return Tree(tmp_path, hub.url, tuple(hub.hosts))


@pytest.fixture
def shell(tree: Tree) -> Shell:
    return Shell(tree)
