"""``search``, ``explain``, ``cache`` and ``--offline``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state import choices, jobs, store
from scripts.hub_traps import CIVITAI_TOKEN, STANDIN, stand_in
from tests.cli.shell import Shell
from tests.stories.daemon import Tree, running
from tests.stories.hubs import tree_for
from tests.stories.made import Want, drop, has

beside = pytest.mark.skipif(not STANDIN.is_dir(), reason="the stand-in lies beside the checkout")


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with stand_in(tmp_path_factory.mktemp("hashes") / "hashes.json") as hubs:
        yield hubs


def steps(row: dict[str, Any]) -> dict[str, str]:
    return {step["where"]: step["result"] for step in row["steps"]}


# -- explain


def test_every_step_is_named_and_what_to_do_next(shell: Shell, tree: Tree, hub: Hub) -> None:
    known, unknown = has(hub, "a.safetensors"), Want("nobody.safetensors")
    path = drop(tree.base / "w.json", known, unknown)

    told = shell("explain", path, "--json")

    assert told.status == 1
    first, second = told.json["references"]
    assert steps(first) == {"disk": "missing", "workflow": "answered", "catalog": "empty"}
    assert [q["method"] for step in first["steps"] for q in step["questions"]] == ["HEAD"]
    assert first["chosen"] == known.url
    assert first["next"] == f"comfywatchman fix {path}"
    assert steps(second) == {"disk": "missing", "workflow": "empty", "catalog": "empty"}
    assert second["error"]["code"] == "nothing-found"
    assert "add its address to the workflow" in second["next"]


def test_what_is_here_needs_nothing(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    path = drop(tree.base / "w.json", want)
    assert shell("fix", path).status == 0

    told = shell("explain", path, "loras/a.safetensors", "--json")

    assert told.status == 0
    (row,) = told.json["references"]
    assert str(tree.models / "loras") in row["steps"][0]["detail"]
    assert row["next"] == "Nothing to do."


def test_a_gated_file_is_explained_with_its_page(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    hub.gate("us/loras")
    path = drop(tree.base / "w.json", want)

    (row,) = shell("explain", path, "--json").json["references"]

    assert row["error"]["code"] == "login-needed"
    assert "https://huggingface.co/us/loras" in row["next"]


def test_a_reference_that_no_node_asks_for_is_said_so(shell: Shell, tree: Tree) -> None:
    path = drop(tree.base / "w.json", Want("a.safetensors"))

    told = shell("explain", path, "other.safetensors")

    assert told.status == 1
    assert told.the_error()[0] == "nothing-found"


def test_an_unreadable_file_is_told_as_that(shell: Shell, tree: Tree) -> None:
    path = tree.base / "w.json"
    path.write_text("{not json")

    assert shell("explain", path).status == 3


def test_what_the_daemon_came_to_is_said_once(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    hub.gate("us/loras")
    path = drop(tree.workflows / "w.json", want)
    assert shell("fix", path).status == 1

    (line,) = (row for row in shell("explain", path).out.splitlines() if "  daemon: " in row)

    assert line.count("wants a login and accepted terms") == 1


def test_a_login_that_a_fetch_lacked_comes_before_the_next_fix(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    """What is published about a file says nothing of it: only the transfer was refused."""
    want = has(hub, "a.safetensors")
    path = drop(tree.workflows / "w.json", want)
    source = Candidate("workflow", str(want.url), want.name)
    trouble = Trouble("login-needed", "It wants a login.", "Set a token.")
    keeper = store.open_keeper(tree.state)
    keeper.write(lambda c: jobs.enqueue(c, [FetchModel("loras", want.name, (source,))], 1.0))
    row = keeper.write(lambda c: jobs.claim(c, "fetch", 2.0))
    assert row is not None
    keeper.write(lambda c: jobs.fail(c, row.id, trouble, 3.0))
    keeper.close()

    (told,) = shell("explain", path, "--json").json["references"]

    assert told["chosen"] == want.url
    assert told["next"] == f"Set a token. Then: comfywatchman fix {path}"


def test_what_a_person_chose_is_told(shell: Shell, tree: Tree, hub: Hub) -> None:
    path = drop(tree.workflows / "w.json", has(hub, "a.safetensors"))
    answer = Candidate("workflow", "https://hub.example/other", "other.safetensors")
    keeper = store.open_keeper(tree.state)
    keeper.write(lambda c: choices.settle(c, "loras", "a.safetensors", answer))
    keeper.close()

    (row,) = shell("explain", path, "--json").json["references"]

    assert steps(row)["choice"] == "answered"
    assert row["chosen"] == answer.url


def test_for_people_it_is_words(shell: Shell, tree: Tree, hub: Hub) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))

    out = shell("explain", path).out

    assert "loras/a.safetensors: missing" in out
    assert "wanted by: node 1" in out
    assert "asked 302: HEAD" in out
    assert f"SHA-256 {hub.named('a.safetensors').sha256}" in out
    assert "next: comfywatchman fix" in out


@pytest.mark.shared
@beside
@pytest.mark.parametrize(
    ("name", "code", "link"),
    [
        ("gated_early_bird_v2.safetensors", "login-needed", "https://civitai.com/models/"),
        ("archived_thing.safetensors", "not-given-out", "https://civitai.com/models/"),
        ("no_hash_on_record.safetensors", "choice-needed", "https://civitai.com/models/"),
    ],
)
def test_what_a_person_can_do_has_the_exact_link(
    hubs: Any, tmp_path: Path, name: str, code: str, link: str
) -> None:
    tree = tree_for(hubs, tmp_path)
    path = drop(tree.base / "w.json", Want(name))

    (row,) = Shell(tree)("explain", path, "--json").json["references"]

    assert row["error"]["code"] == code
    assert link in row["next"]
    assert set(steps(row)) == {*("disk", "workflow", "hfcache", "civitai", "huggingface", "github")}


# -- search


@pytest.mark.shared
@beside
def test_a_name_words_an_address_and_a_hash_find_the_same_file(hubs: Any, tmp_path: Path) -> None:
    shell = Shell(tree_for(hubs, tmp_path, (CIVITAI_TOKEN,)))
    name = "realisticVisionV60B1_v51VAE.safetensors"
    by_name = shell("search", name, "--folder", "checkpoints", "--json").json["candidates"]
    sha256 = by_name[0]["sha256"]

    by_words = shell("search", "realistic vision", "--json").json["candidates"]
    by_hash = shell("search", sha256[:10].upper(), "--json").json["candidates"]
    by_air = shell("search", "urn:air:sd1:checkpoint:civitai:4201@130072", "--json")

    assert by_name[0]["grade"] == "D"
    for found in (by_words, by_hash, by_air.json["candidates"]):
        assert sha256 in [candidate["sha256"] for candidate in found]
    assert {candidate["grade"] for candidate in by_words} == {"E"}


@pytest.mark.shared
@beside
@pytest.mark.parametrize(
    "query", ["urn:air:sd1:lora:civitai:58390@62833", "https://civitai.com/models/58390"]
)
def test_an_address_without_a_name_is_not_searched_by_its_pieces(
    hubs: Any, tmp_path: Path, query: str
) -> None:
    found = Shell(tree_for(hubs, tmp_path, (CIVITAI_TOKEN,)))("search", query, "--json").json

    urls = [q["url"] for step in found["steps"] for q in step["questions"]]
    assert found["candidates"][0]["filename"] == "add_detail.safetensors"
    assert "You gave this address." in found["candidates"][0]["evidence"]
    assert not any("query=" in url or "author=" in url for url in urls)


@pytest.mark.shared
@beside
def test_a_download_that_will_want_a_key_says_so_before(hubs: Any, tmp_path: Path) -> None:
    name = "realisticVisionV60B1_v51VAE.safetensors"
    path = drop(tmp_path / "w.json", Want(name, "checkpoints"))

    (row,) = Shell(tree_for(hubs, tmp_path))("explain", path, "--json").json["references"]

    assert row["chosen"] is not None
    assert "CIVITAI_API_KEY" in row["next"]


def test_one_backend_alone_is_asked(shell: Shell, hub: Hub) -> None:
    hub.add("https://huggingface.co/us/x/resolve/main/a.safetensors")

    told = shell("search", "hf://us/x/a.safetensors", "--backend", "workflow", "--json")

    assert told.status == 0
    assert [step["where"] for step in told.json["steps"]] == ["workflow"]


def test_nothing_found_ends_with_status_1(shell: Shell) -> None:
    assert shell("search", "nobody_has_this.safetensors").status == 1


def test_a_backend_that_is_not_there_is_wrong_usage(shell: Shell) -> None:
    told = shell("search", "x.safetensors", "--backend", "civitia")

    assert told.status == 2
    assert "--backend: civitia: unknown backend, the nearest is civitai" in told.err


# -- offline and cache


def test_offline_asks_nobody_and_says_what_it_would_have_asked(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))

    told = shell("explain", path, "--offline", "--json")
    fixed = shell("fix", path, "--offline", "--json")

    assert hub.requests == []
    (row,) = told.json["references"]
    assert row["error"]["code"] == "offline"
    assert f"HEAD {hub.url}/us/loras/resolve/main/a.safetensors" in row["error"]["cause"]
    assert fixed.json["workflows"][0]["references"][0]["error"]["code"] == "offline"


def test_offline_uses_what_was_answered_before(shell: Shell, tree: Tree, hub: Hub) -> None:
    tree.state.mkdir()
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    online = shell("explain", path, "--json").json["references"][0]
    asked = len(hub.requests)

    offline = shell("explain", path, "--offline", "--json").json["references"][0]

    assert len(hub.requests) == asked
    assert offline["candidates"] == online["candidates"]
    assert offline["chosen"] == online["chosen"]


def test_a_daemon_that_is_offline_asks_nobody(tree: Tree, hub: Hub) -> None:
    drop(tree.workflows / "w.json", has(hub, "a.safetensors"))

    with running(tree, "--offline") as daemon:
        line = daemon.until("reference.unresolved", name="a.safetensors")

    assert line["error"]["code"] == "offline"
    assert hub.requests == []


def test_the_cache_is_counted_and_cleared(shell: Shell, tree: Tree, hub: Hub) -> None:
    tree.state.mkdir()
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"), Want("x.safetensors", url=None))
    shell("explain", path)

    stats = shell("cache", "stats", "--json").json
    assert stats["answers"] == 1
    assert stats["shares"][0]["verdict"] == "found"
    assert "1 answers" in shell("cache").out
    assert "would go" in shell("cache", "clear", "--dry-run").err
    assert shell("cache", "stats", "--json").json["answers"] == 1
    assert shell("cache", "clear", "--negative").err == "0 answers are gone.\n"
    assert shell("cache", "clear").err == "1 answers are gone.\n"
    assert shell("cache", "stats", "--json").json["answers"] == 0


def test_without_a_state_the_cache_is_empty(shell: Shell, tree: Tree) -> None:
    assert shell("cache", "stats", "--json").json["answers"] == 0
    assert not tree.state.exists()


# -- of the user's own


def test_a_catalog_of_the_users_own_comes_first(shell: Shell, tree: Tree, hub: Hub) -> None:
    plain = hub.add_plain("mine.safetensors", digest=True)
    entry = {"folder": "loras", "name": "mine.safetensors", "sources": [{"url": plain}]}
    (tree.base / "own.json").write_text(json.dumps({"format": 1, "entries": [entry]}))
    tree.asking += f'\ncatalog.files = ["{tree.base}/own.json"]'
    tree.write_settings()
    path = drop(tree.base / "w.json", Want("mine.safetensors"))

    told = shell("fix", path, "--json")

    assert told.status == 0
    assert (
        hub.named("mine.safetensors").sha256
        == hashlib.sha256((tree.models / "loras/mine.safetensors").read_bytes()).hexdigest()
    )


def test_a_broken_catalog_is_a_wrong_setting(shell: Shell, tree: Tree) -> None:
    (tree.base / "own.json").write_text('{"entries": 5}')
    tree.asking += f'\ncatalog.files = ["{tree.base}/own.json"]'
    tree.write_settings()

    told = shell("search", "x.safetensors")

    assert told.status == 2
    assert "own.json" in told.err


BACKEND = """
from comfywatchman.domain.candidates import Candidate, Grade

class Shelf:
    name = "shelf"

    def search(self, wanted):
        offer = Candidate(self.name, "{url}", wanted.filename, grade=Grade.E, evidence=("Mine.",))
        return [offer]

def backend():
    return Shelf()
"""


def test_a_backend_from_a_file_takes_part(shell: Shell, tree: Tree) -> None:
    (tree.base / "shelf.py").write_text(BACKEND.replace("{url}", "https://shelf.example/x"))
    tree.asking = f'search_backends = ["workflow", "{tree.base}/shelf.py"]'
    tree.write_settings()
    path = drop(tree.base / "w.json", Want("x.safetensors"))

    (row,) = shell("explain", path, "--json").json["references"]

    assert steps(row) == {"disk": "missing", "workflow": "empty", "shelf": "answered"}
    assert row["error"]["code"] == "choice-needed"
    assert "https://shelf.example/x" in row["next"]


@pytest.mark.shared
@beside
def test_the_managers_list_is_asked_once_and_by_its_etag(hubs: Any, tmp_path: Path) -> None:
    hubs.reset()
    tree = tree_for(hubs, tmp_path)
    tree.state.mkdir()
    url = f"{hubs.urls['web']}/raw/Comfy-Org/ComfyUI-Manager/main/model-list.json"
    tree.asking = f'search_backends = ["workflow", "catalog"]\ncatalog.manager_list = "{url}"'
    tree.write_settings()
    path = drop(tree.base / "w.json", Want("in_no_other_catalog.safetensors"))

    for _ in range(2):
        assert Shell(tree)("explain", path).status == 1

    lists = [row for row in hubs.log() if row["target"].endswith("model-list.json")]
    assert [row["status"] for row in lists] == [200]
    assert "manager-list" in Shell(tree)("cache").out


def test_without_the_managers_list_json_is_json_and_the_catalog_says_what_it_lacks(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    missing = hub.add_plain("none.json").replace("none.json", "not-there.json")
    tree.asking = f'search_backends = ["catalog"]\ncatalog.manager_list = "{missing}"'
    tree.write_settings()
    path = drop(tree.base / "w.json", Want("nowhere.safetensors"))
    told = shell("explain", path, "--json")

    (step,) = [s for s in told.json["references"][0]["steps"] if s["where"] == "catalog"]
    assert step["error"] is not None
    assert [question["url"] for question in step["questions"]] == [missing]
    shell("explain", path, "--json")
    assert [r.path for r in hub.requests].count(f"/{missing.split('/', 3)[3]}") == 1
