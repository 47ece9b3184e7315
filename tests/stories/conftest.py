"""A hub and a scratch ComfyUI tree for each story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Tree, running
from tests.stories.stage import SHORT_REST, Stage


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture
def tree(tmp_path: Path, hub: Hub) -> Tree:
    return Tree(tmp_path, hub.url, tuple(hub.hosts))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One daemon for all stories of a module, each of which uses names of its own.

    It takes a model for whole after a short rest, so that nobody waits for that.
    """
    with Hub() as hub:
        tree = Tree(tmp_path_factory.mktemp("stage"), hub.url, tuple(hub.hosts), SHORT_REST)
        with running(tree) as daemon:
            yield Stage(tree, hub, daemon)
