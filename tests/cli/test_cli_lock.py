"""``lock``, ``fetch --locked`` and ``analyze --locked``: a machine rebuilt from a file."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.shell import Shell
from tests.stories.daemon import KNOWN_PLACES, Tree, running
from tests.stories.made import Want, drop, has, text, workflow


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put(tree: Tree, hub: Hub, want: Want) -> Path:
    path = tree.models / want.where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(hub.named(want.name).read())
    return path


def written(shell: Shell, *paths: Path, more: tuple[str, ...] = ()) -> dict[str, Any]:
    told = shell("lock", *paths, "-o", "x.lock.json", *more)
    assert told.out == ""
    lock: dict[str, Any] = json.loads((shell.tree.base / "x.lock.json").read_text())
    return lock


def test_a_lock_has_what_is_here_and_what_would_be_fetched(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    here, gone = has(hub, "here.safetensors"), has(hub, "gone.safetensors", "vae")
    put(tree, hub, here)
    path = drop(tree.base / "w.json", here, gone)
    lock = written(shell, path)

    assert [(m["folder"], m["name"]) for m in lock["models"]] == [
        ("loras", "here.safetensors"),
        ("vae", "gone.safetensors"),
    ]
    for model in lock["models"]:
        served = hub.named(model["name"])
        assert (model["sha256"], model["size"]) == (served.sha256, served.size)
        assert [source["url"] for source in model["sources"]] == [
            f"https://huggingface.co/us/{model['folder']}/resolve/main/{model['name']}"
        ]
    assert lock["not_locked"] == []
    assert lock["workflows"] == [{"name": "w.json", "sha256": sha256(path)}]
    assert str(tree.base) not in json.dumps(lock)


def test_a_file_that_several_workflows_want_is_measured_once(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    here = has(hub, "here.safetensors")
    path = put(tree, hub, here)
    told = shell("lock", drop(tree.base / "a.json", here), drop(tree.base / "b.json", here))

    assert len(json.loads(told.out)["models"]) == 1
    assert told.err.count(str(path)) == 1


def test_the_order_is_stable_whatever_the_workflows_say_first(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    wants = [has(hub, f"{name}.safetensors") for name in "cab"]
    first = shell("lock", drop(tree.base / "w.json", *wants))
    again = shell("lock", drop(tree.base / "w.json", *wants[::-1]))

    assert json.loads(first.out)["models"] == json.loads(again.out)["models"]
    assert shell("lock", tree.base / "w.json").out == again.out
    names = [model["name"] for model in json.loads(first.out)["models"]]
    assert names == sorted(names)


def test_a_machine_is_rebuilt_byte_for_byte(shell: Shell, tree: Tree, hub: Hub) -> None:
    wants = [has(hub, "a.safetensors"), has(hub, "b.safetensors", "vae")]
    for want in wants:
        put(tree, hub, want)
    before = {
        name: sha256(path) for name, path in tree.placed().items() if name.endswith("tensors")
    }
    written(shell, drop(tree.base / "w.json", *wants))
    shutil.rmtree(tree.models)
    tree.models.mkdir()
    assert shell("lock", "w.json").out == (tree.base / "x.lock.json").read_text()
    planned = shell("fetch", "--locked", "x.lock.json", "--dry-run")
    told = shell("fetch", "--locked", "x.lock.json", "--json")

    assert planned.status == 1
    assert "missing  loras/a.safetensors" in planned.out
    assert told.status == 0
    assert {row["state"] for row in told.json["models"]} == {"present"}
    assert {name: sha256(path) for name, path in tree.placed().items()} == before
    asked = len(hub.requests)
    assert shell("fetch", "--locked", "x.lock.json").status == 0
    assert len(hub.requests) == asked


def test_other_bytes_under_the_name_are_told_and_left(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    written(shell, drop(tree.base / "w.json", want))
    other = tree.models / want.where
    other.write_bytes(weights("something else", 5000))
    told = shell("fetch", "--locked", "x.lock.json", "--json")

    (row,) = told.json["models"]
    assert (told.status, row["state"], row["error"]["code"]) == (1, "failed", "name-taken")
    assert other.read_bytes() == weights("something else", 5000)


def test_a_source_that_has_other_bytes_by_now_is_not_taken(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    want = has(hub, "a.safetensors")
    written(shell, drop(tree.base / "w.json", want))
    assert want.url is not None
    hub.add(want.url, weights("changed", 30_000))
    told = shell("fetch", "--locked", "x.lock.json", "--json")

    assert told.status == 1
    assert told.json["models"][0]["state"] == "failed"
    assert [name for name in tree.placed() if name.endswith("a.safetensors")] == []


def test_a_running_daemon_does_the_fetching(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    written(shell, drop(tree.base / "w.json", want))
    with running(tree):
        told = shell("fetch", "--locked", "x.lock.json")

    assert (told.status, told.out) == (0, "present  loras/a.safetensors\n")
    assert "The daemon" in told.err
    assert sha256(tree.models / want.where) == hub.named(want.name).sha256


def test_a_model_without_a_source_is_looked_for_by_its_hash(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    want = has(hub, "a.safetensors")
    path = drop(tree.base / "w.json", want)
    lock = written(shell, path)
    lock["models"][0]["sources"] = []
    (tree.base / "x.lock.json").write_text(json.dumps(lock))
    row = {"id": "1", "title": "", "file": want.name, "folder": "loras", "url": want.url}
    row |= {"size": lock["models"][0]["size"], "sha256": lock["models"][0]["sha256"]}
    (tree.base / "index.json").write_text(json.dumps([row]))
    backend = tree.base / "shelf.py"
    backend.write_text(
        (Path(__file__).parents[2] / "docs/examples/shelf_backend.py")
        .read_text()
        .replace("https://models.example/index.json", (tree.base / "index.json").as_uri())
    )
    assert shell("fetch", "--locked", "x.lock.json").status == 1
    tree.asking = KNOWN_PLACES.replace('"catalog"', f'"catalog", "{backend}"')
    tree.write_settings()
    told = shell("fetch", "--locked", "x.lock.json")

    assert told.status == 0, told.out
    assert sha256(tree.models / want.where) == lock["models"][0]["sha256"]


def test_what_cannot_be_locked_is_named_and_ends_with_1(shell: Shell, tree: Tree, hub: Hub) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"), Want("no.safetensors"))
    told = shell("lock", path)

    lock = json.loads(told.out)
    assert told.status == 1
    assert [model["name"] for model in lock["models"]] == ["a.safetensors"]
    assert [(left["name"], left["state"]) for left in lock["not_locked"]] == [
        ("no.safetensors", "missing")
    ]
    assert "not locked: loras/no.safetensors" in told.err


def test_offline_what_is_here_is_locked_with_the_address_of_the_workflow(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    want = has(hub, "a.safetensors")
    put(tree, hub, want)
    lock = written(shell, drop(tree.base / "w.json", want), more=("--offline",))

    assert hub.requests == []
    assert lock["models"][0]["sources"] == [{"url": want.url, "backend": "workflow"}]


def test_a_runner_without_comfyui_says_whether_a_workflow_is_locked(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    want = has(hub, "a.safetensors")
    written(shell, drop(tree.base / "w.json", want))
    shutil.rmtree(tree.root)
    good = shell("analyze", "--locked", "x.lock.json", tree.base / "w.json", "--json")
    more = drop(tree.base / "more.json", want, Want("new.safetensors"))
    lacking = shell("analyze", "--locked", "x.lock.json", more, "--json")

    (row,) = good.json["workflows"][0]["references"]
    assert (good.status, row["state"], row["path"]) == (0, "present", None)
    assert row["sha256"] == hub.named(want.name).sha256
    assert lacking.status == 1
    rows = {row["name"]: row for row in lacking.json["workflows"][0]["references"]}
    assert rows["new.safetensors"]["state"] == "missing"
    assert "lock file" in rows["new.safetensors"]["error"]["cause"]


def test_a_workflow_that_wants_other_bytes_than_the_lock_is_told(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    want = has(hub, "a.safetensors")
    written(shell, drop(tree.base / "w.json", want))
    other = Want(want.name, want.folder, want.url, "0" * 64)
    told = shell("analyze", "--locked", "x.lock.json", drop(tree.base / "o.json", other), "--json")

    (row,) = told.json["workflows"][0]["references"]
    assert row["hint"]["code"] == "other-bytes" or row["state"] == "missing"


def test_node_packs_are_part_of_a_lock_and_missing_ones_are_named(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    flow = workflow(has(hub, "a.safetensors"))
    flow["nodes"].append(
        {
            "id": 9,
            "type": "ZFancySampler",
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "widgets_values": [],
            "properties": {"cnr_id": "fancy-pack", "aux_id": "someone/fancy"},
        }
    )
    path = tree.base / "w.json"
    path.write_text(json.dumps(flow))
    lock = written(shell, path)
    told = shell("fetch", "--locked", "x.lock.json", "--json")

    (pack,) = lock["node_packs"]
    assert (pack["id"], pack["node_types"]) == ("fancy-pack", ["ZFancySampler"])
    assert told.status == 0
    assert [each["id"] for each in told.json["node_packs_missing"]] == ["fancy-pack"]
    flow["nodes"].append({**flow["nodes"][-1], "id": 10, "type": "ZOtherNode", "properties": {}})
    path.write_text(json.dumps(flow))
    states = shell("analyze", "--locked", "x.lock.json", path, "--json").json["workflows"][0]
    found = {row["type"]: row["state"] for row in states["node_types"]}
    assert found["ZFancySampler"] == "installed"
    assert found["ZOtherNode"] == "missing"


def test_a_file_that_is_no_lock_is_refused_with_a_remedy(shell: Shell, tree: Tree) -> None:
    for content in ("{", "[]", '{"lock_version": 2}', '{"models": [{"folder": "loras"}]}'):
        (tree.base / "no.json").write_text(content)
        told = shell("fetch", "--locked", "no.json")
        assert told.status == 2
        assert told.the_error()[0] == "settings-invalid"
    assert shell("fetch", "--locked", "nowhere.json").status == 3


def test_a_lock_cannot_lead_out_of_the_models(shell: Shell, tree: Tree, hub: Hub) -> None:
    model = {"folder": "loras", "name": "../../x.safetensors", "sha256": "0" * 64, "sources": []}
    (tree.base / "no.json").write_text(json.dumps({"lock_version": 1, "models": [model]}))

    assert shell("fetch", "--locked", "no.json").status == 2
    assert not (tree.root / "x.safetensors").exists()


def test_a_lock_is_written_over_an_earlier_one_and_over_nothing_else(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    assert shell("lock", path, "-o", "x.lock.json").status == 0
    assert shell("lock", path, "-o", "x.lock.json").status == 0
    told = shell("lock", path, "-o", "w.json")

    assert (told.status, path.read_text()) == (3, text(has(hub, "a.safetensors")))


def test_the_schema_of_a_lock_names_every_key(shell: Shell, tree: Tree, hub: Hub) -> None:
    schema = shell("schema", "lock").json
    lock = written(shell, drop(tree.base / "w.json", has(hub, "a.safetensors")))

    assert set(schema["$defs"]["Lock"]["properties"]) == set(lock)
    assert set(schema["$defs"]["LockedModel"]["properties"]) == set(lock["models"][0])


@pytest.mark.parametrize("content", ["{}", '{"nodes": [], "links": [], "version": 0.4}'])
def test_what_is_no_lock_file_is_refused(shell: Shell, tree: Tree, content: str) -> None:
    path = tree.base / "w.json"
    path.write_text(content)
    told = shell("fetch", "--locked", path)

    assert told.status == 2
    assert told.the_error()[0] == "settings-invalid"
