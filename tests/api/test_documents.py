"""Every sample of docs/python.md runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import comfywatchman
from comfywatchman.api.suites import BackendSuite, HandlerSuite
from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "python.md").read_text(encoding="utf-8")
SAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def at_home(tree: Tree, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a reader has: settings, a workflow in the current directory, a hub."""
    monkeypatch.setenv("COMFYWATCHMAN_CONFIG", str(tree.config))
    monkeypatch.chdir(tree.base)
    want = has(hub, "detail.safetensors")
    drop(tree.base / "workflow.json", want, Want("nobody-has-it.safetensors", "vae"))
    (tree.base / "workflows").mkdir()
    drop(tree.base / "workflows/one.json", want)


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda text: text.strip().splitlines()[0])
def test_a_sample_runs_as_written(sample: str) -> None:
    namespace: dict[str, object] = {"__name__": "sample"}
    exec(compile(sample, "docs/python.md", "exec"), namespace)
    for made in list(namespace.values()):
        if isinstance(made, type) and issubclass(made, BackendSuite | HandlerSuite):
            if made in {BackendSuite, HandlerSuite}:
                continue
            for name in dir(made):
                if name.startswith("test_"):
                    getattr(made(), name)()


def test_there_are_samples_for_every_class() -> None:
    used = "\n".join(SAMPLES)

    for name in ("ComfyFixerCore", "WorkflowScanner", "ModelInventory", "ModelSearch"):
        assert name in used
    for name in ("DownloadManager", "StateManager", "SearchBackend", "DownloadHandler"):
        assert name in used


def test_every_public_name_is_in_the_document() -> None:
    assert [name for name in comfywatchman.__all__ if name not in TEXT] == []


@pytest.mark.parametrize("name", ["shelf_backend", "share_handler"])
def test_the_document_shows_the_example_as_the_file_has_it(name: str) -> None:
    code = (DOCS / "examples" / f"{name}.py").read_text(encoding="utf-8")

    assert code in "\n".join(SAMPLES)
