"""A hub, a scratch ComfyUI tree, and the settings of a program that uses both."""

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
def tree(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Tree:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    for name in ("COMFYUI_ROOT", "CIVITAI_API_KEY", "CIVITAI_API_TOKEN", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return Tree(tmp_path, hub.url, tuple(hub.hosts))
