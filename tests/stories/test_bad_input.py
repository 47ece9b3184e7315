"""What strangers drop: every file and every reference gets its own answer, the rest goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from comfywatchman.demo.hub import Hub
from tests.stories.crowd import rows
from tests.stories.daemon import Daemon, Tree, running

GOOD = "https://huggingface.co/us/good/resolve/main/good.safetensors"


def workflow(name: str, url: str | None = None, sha256: str | None = None) -> dict[str, Any]:
    """Return a workflow with one LoRA loader."""
    node: dict[str, Any] = {
        "id": 1,
        "type": "LoraLoaderModelOnly",
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {"Node name for S&R": "LoraLoaderModelOnly"},
        "widgets_values": [name, 1.0],
    }
    if url is not None:
        declared = {"name": name, "url": url, "directory": "loras"}
        if sha256 is not None:
            declared |= {"hash": sha256, "hash_type": "SHA256"}
        node["properties"]["models"] = [declared]
    return {"nodes": [node], "links": [], "version": 0.4, "last_node_id": 1, "last_link_id": 0}


def report(daemon: Daemon, path: Path) -> dict[str, Any]:
    """Return the row of the report that the API has for *path*."""
    listed = rows(requests.get(f"{daemon.url}/api/v1/workflows", timeout=10).json(), "workflows")
    [line] = [row for row in listed if row["path"] == str(path)]
    answer = requests.get(f"{daemon.url}/api/v1/workflows/{line['id']}", timeout=10)
    answer.raise_for_status()
    return dict(answer.json())


FILES: dict[str, tuple[bytes, str, str | None]] = {
    "broken.json": (b'{"nodes": [', "unreadable", "workflow-unreadable"),
    "empty.json": (b"", "unreadable", "workflow-unreadable"),
    "other.json": (b'{"name": "a theme", "colors": []}', "not-a-workflow", None),
    "list.json": (b"[1, 2, 3]", "not-a-workflow", None),
    "deep.json": (b"[" * 10_000 + b"]" * 10_000, "unreadable", "workflow-too-deep"),
    "utf16.json": ("\ufeff{}".encode("utf-16"), "unreadable", "workflow-unreadable"),
    "image.png": (b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt", "unreadable", "workflow-unreadable"),
}


def test_files_that_are_no_workflows_get_a_code_each_and_a_good_one_is_fixed_beside_them(
    tree: Tree, hub: Hub
) -> None:
    hub.add(GOOD)
    for name, (content, _, _) in FILES.items():
        (tree.workflows / name).write_bytes(content)
    with (tree.workflows / "huge.json").open("wb") as huge:
        huge.write(b'{"nodes": [')
        for _ in range(200):
            huge.write(b" " * 1_000_000)
    (tree.workflows / "good.json").write_text(json.dumps(workflow("good.safetensors", GOOD)))
    with running(tree) as daemon:
        daemon.until("workflow.ready", workflow=str(tree.workflows / "good.json"))
        for name, (_, state, code) in FILES.items():
            path = tree.workflows / name
            daemon.until("workflow.analyzed", workflow=path)
            row = report(daemon, path)

            assert (name, row["state"]) == (name, state)
            if code is not None:
                assert (name, row["error"]["code"]) == (name, code)
                assert row["error"]["remedy"]
        daemon.until("workflow.analyzed", workflow=str(tree.workflows / "huge.json"))
        assert report(daemon, tree.workflows / "huge.json")["error"]["code"] == "workflow-too-large"

    assert list(tree.placed()) == ["loras/good.safetensors"]


NAMES = {
    "climbs": "../../climbs.safetensors",
    "absolute": "/etc/absolute.safetensors",
    "drive": "C:\\windows\\drive.safetensors",
    "nul": "nul\x00.safetensors",
    "long": "l" * 300 + ".safetensors",
    "newline": "new\nline/../../../x.safetensors",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_that_must_not_become_a_path_is_refused_with_a_code(
    tree: Tree, hub: Hub, kind: str
) -> None:
    hub.add(GOOD)
    (tree.workflows / "bad.json").write_text(json.dumps(workflow(NAMES[kind], GOOD)))
    (tree.workflows / "good.json").write_text(json.dumps(workflow("good.safetensors", GOOD)))
    with running(tree) as daemon:
        daemon.until("workflow.ready", workflow=str(tree.workflows / "good.json"))
        daemon.until("workflow.analyzed", workflow=str(tree.workflows / "bad.json"))
        row = report(daemon, tree.workflows / "bad.json")

    assert row["state"] == "blocked"
    assert [reference["error"]["code"] for reference in row["references"]] == ["unsafe-name"]
    assert list(tree.placed()) == ["loras/good.safetensors"]
    assert not (tree.base / "climbs.safetensors").exists()


URLS = {
    "loopback": "https://127.0.0.1:1/x/x.safetensors",
    "loopback by number": "https://2130706433/x.safetensors",
    "loopback by name": "https://localhost:1/x.safetensors",
    "private": "https://10.0.0.1/x.safetensors",
    "link-local": "https://169.254.169.254/latest/x.safetensors",
    "IPv6": "https://[::1]/x.safetensors",
    "file": "file:///etc/passwd",
    "ftp": "ftp://ftp.example.org/x.safetensors",
    "plain http": "http://example.org/x.safetensors",
    "password": "https://user:secret@huggingface.co/a/b/resolve/main/x.safetensors",
}


@pytest.mark.parametrize("kind", URLS)
def test_an_address_that_is_not_asked_is_told_with_a_code(tree: Tree, hub: Hub, kind: str) -> None:
    (tree.workflows / "bad.json").write_text(json.dumps(workflow("x.safetensors", URLS[kind])))
    with running(tree) as daemon:
        line = daemon.until("reference.unresolved")
        row = report(daemon, tree.workflows / "bad.json")

    assert line["error"]["code"] in {"url-refused", "host-not-allowed"}
    assert row["references"][0]["error"]["code"] == line["error"]["code"]
    assert "secret" not in b"".join(daemon.raw).decode()
    assert hub.requests == []
    assert tree.placed() == {}


def test_a_file_that_is_not_the_promised_one_is_never_placed(tree: Tree, hub: Hub) -> None:
    hub.add(GOOD)
    (tree.workflows / "bad.json").write_text(
        json.dumps(workflow("good.safetensors", GOOD, sha256="0" * 64))
    )
    with running(tree) as daemon:
        line = daemon.until("reference.unresolved")

    assert line["error"]["code"] == "wrong-answer"
    assert tree.placed() == {}


def test_bytes_that_are_spoiled_on_the_way_are_put_aside_and_fetched_once_more(
    tree: Tree, hub: Hub
) -> None:
    file = hub.add(GOOD)
    hub.fault("corrupt", "good", after=10_000)
    (tree.workflows / "one.json").write_text(json.dumps(workflow("good.safetensors", GOOD)))
    with running(tree) as daemon:
        daemon.until("download.quarantined")
        daemon.until("workflow.ready")

    assert (tree.models / "loras/good.safetensors").read_bytes() == file.read()
