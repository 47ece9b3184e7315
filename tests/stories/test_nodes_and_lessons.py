"""Node types: which are there, whose the missing ones are, and what a server teaches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from comfywatchman.demo.hub import Hub
from tests.comfyui.packing import node_map, pack, published
from tests.comfyui.serving_comfyui import SmallComfyUI, node_class, v1
from tests.stories.crowd import rows
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.made import has

LEARNED = "Fancy Adapter Loader"


def settings(url: str) -> str:
    return f'[watch]\nsettle_seconds = 0.3\n[comfyui]\nurl = "{url}"\nprobe_seconds = 0.3\n'


def saved(*nodes: dict[str, Any]) -> str:
    numbered = [
        {"id": number, "mode": 0, "inputs": [], "outputs": [], "properties": {}, **node}
        for number, node in enumerate(nodes, 1)
    ]
    return json.dumps({"nodes": numbered, "links": [], "version": 0.4})


def lines(daemon: Daemon) -> list[dict[str, Any]]:
    return rows(requests.get(f"{daemon.url}/api/v1/workflows", timeout=30).json(), "workflows")


def standing(daemon: Daemon, path: Path) -> dict[str, dict[str, Any]]:
    """Return the node types of a workflow as the API tells them now, by type."""
    for line in lines(daemon):
        if line["path"] == str(path):
            answer = requests.get(f"{daemon.url}/api/v1/workflows/{line['id']}", timeout=30)
            return {row["type"]: row for row in answer.json()["node_types"]}
    return {}


def wanted(daemon: Daemon, path: Path) -> list[str]:
    """Return the models and node types that a workflow lacks, as lists tell them."""
    for line in lines(daemon):
        if line["path"] == str(path):
            return [*line["lacking"], *line["missing_nodes"]]
    return []


def up(daemon: Daemon) -> bool | None:
    found: bool | None = requests.get(f"{daemon.url}/api/v1/status", timeout=30).json()[
        "comfyui_up"
    ]
    return found


def test_an_installed_pack_and_a_missing_one_are_told_without_reading_the_workflow_again(
    tmp_path: Path, hub: Hub
) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), settings(""))
    packs = tree.root / "custom_nodes"
    published(pack(packs, "fancy", "Fancy Node"), "fancy-pack")
    node_map(packs / "ComfyUI-Manager", {"someone/other-pack": ["Other Node"]})
    path = tree.workflows / "a.json"
    inner = {"id": 3, "type": "Other Node", "mode": 0}
    definition = {"id": "f" * 8 + "-0000-0000-0000-" + "0" * 12, "name": "s", "nodes": [inner]}
    graph = json.loads(saved({"type": "Fancy Node"}, {"type": definition["id"]}))
    path.write_text(json.dumps({**graph, "definitions": {"subgraphs": [definition]}}))

    with running(tree) as daemon:
        daemon.until("workflow.analyzed", workflow=path)
        found = daemon.when(
            lambda: (
                (now := standing(daemon, path)).get("Other Node", {}).get("state") == "missing"
                and now
            )
        )

        assert found["Fancy Node"]["state"] == "installed"
        assert found["Fancy Node"]["pack"]["id"] == "fancy-pack"
        assert found["Other Node"]["pack"]["url"] == "https://github.com/someone/other-pack"
        assert found["Other Node"]["nodes"] == ["2:3"]
        assert wanted(daemon, path) == ["Other Node (someone/other-pack)"]
        page = requests.get(f"{daemon.url}/", timeout=30).text
        assert "node Other Node (someone/other-pack)" in page
        assert up(daemon) is None

        pack(packs, "other", "Other Node")  # somebody installs it
        daemon.when(lambda: standing(daemon, path)["Other Node"]["state"] == "installed")
        assert wanted(daemon, path) == []
        assert len(daemon.events("workflow.analyzed")) == 1


def test_a_server_that_comes_up_teaches_a_loader_and_what_it_taught_outlives_it(
    tmp_path: Path, hub: Hub
) -> None:
    server = SmallComfyUI(
        {LEARNED: node_class("custom_nodes.fancy", {"adapter": v1(["None", "here.bin"])})},
        {"adapters": ["here.bin"], "loras": []},
    )
    with server:
        url = server.url
        server.port = server._server.server_address[1]
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), settings(url))
    (tree.models / "adapters").mkdir()
    (tree.models / "adapters" / "here.bin").write_bytes(b"x" * 100)
    want = has(hub, "wanted.bin", "adapters")
    note = {"type": "Note", "widgets_values": [f"get it from {want.url}"]}
    path = tree.workflows / "a.json"
    path.write_text(saved({"type": LEARNED, "widgets_values": ["wanted.bin"]}, note))

    with running(tree) as daemon:
        daemon.until("workflow.analyzed", workflow=path)
        daemon.when(lambda: up(daemon) is False)
        assert not (tree.models / "adapters" / "wanted.bin").exists()

        with server:  # ComfyUI is started
            daemon.until("model.placed", folder="adapters", name="wanted.bin")
            daemon.until("workflow.ready", workflow=path)
            assert standing(daemon, path)[LEARNED]["state"] == "installed"
            assert up(daemon) is True
        daemon.when(lambda: up(daemon) is False)

    (tree.models / "adapters" / "wanted.bin").unlink()
    later = tree.workflows / "b.json"
    with running(tree) as daemon:  # both were restarted, and ComfyUI does not run
        later.write_text(saved({"type": LEARNED, "widgets_values": ["wanted.bin"]}, note))
        daemon.until("workflow.analyzed", workflow=later)

        daemon.until("model.placed", folder="adapters", name="wanted.bin")
        assert up(daemon) is False


def test_a_server_that_answers_nonsense_is_told_once_and_nothing_else_suffers(
    tmp_path: Path, hub: Hub
) -> None:
    with SmallComfyUI() as server:
        server.bodies["/system_stats"] = b"<html>"
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts), settings(server.url))
        path = tree.workflows / "a.json"
        path.write_text(saved({"type": "KSampler"}))

        with running(tree) as daemon:
            daemon.until("workflow.ready", workflow=path)
            daemon.when(lambda: server.asked("/system_stats") >= 4)

            told = [line for line in daemon.events("error.met") if line.get("thread") == "nodes"]
            assert [line["error"]["code"] for line in told] == ["wrong-answer"]
            assert up(daemon) is False
