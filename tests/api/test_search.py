"""`ModelSearch` with backends of one's own, and what Civitai is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import comfywatchman
from comfywatchman import SearchBackend, SearchResult
from comfywatchman.demo.hub import Hub
from tests.resolve.civitai_records import a_file, a_model, a_version
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has


class Memory(SearchBackend):
    name = "memory"

    def __init__(self, *results: SearchResult, error: Exception | None = None) -> None:
        self.results, self.error = results, error
        self.asked: list[tuple[str, str | None]] = []

    def search(self, query: str, model_type: str | None = None) -> Sequence[SearchResult]:
        self.asked.append((query, model_type))
        if self.error is not None:
            raise self.error
        return [result for result in self.results if query in result.filename]

    def get_model_details(self, model_id: str) -> Mapping[str, object]:
        return {"id": model_id}


def result(hub: Hub, name: str = "a.safetensors", **more: Any) -> SearchResult:
    url = has(hub, name).url
    assert url is not None
    known = {"hash_sha256": hub.named(name).sha256, "size_bytes": hub.named(name).size}
    return SearchResult("memory", "m1", "A model", name, "loras", url, **{**known, **more})


def test_an_added_backend_is_asked_for_names_words_and_details(tree: Tree, hub: Hub) -> None:
    backend = Memory(result(hub))
    search = comfywatchman.ModelSearch(tree.config)
    search.add_backend(backend)
    (found,) = search.search("a.safetensors", "LORA")
    words = search.search("safetensors")

    assert (found.backend, found.model_type) == ("memory", "loras")
    assert found.hash_sha256 == hub.named("a.safetensors").sha256
    assert backend.asked[0] == ("a.safetensors", "loras")
    assert [one.model_id for one in words] == ["m1"]
    assert search.get_model_details("memory", "m1") == {"id": "m1"}
    assert search.backends[-1] == "memory"


def test_only_the_named_backends_are_asked(tree: Tree, hub: Hub) -> None:
    one = Memory(result(hub))
    search = comfywatchman.ModelSearch(tree.config)
    search.add_backend(one)

    assert search.search("a.safetensors", backends=["catalog"]) == []
    assert one.asked == []
    assert len(search.search("a.safetensors", backends=[Memory(result(hub))])) == 1


def test_a_run_asks_a_backend_of_ones_own_and_fetches_what_it_has(tree: Tree, hub: Hub) -> None:
    name = "detail_tweaker.safetensors"
    path = drop(tree.base / "w.json", Want(name))
    run = comfywatchman.ComfyFixerCore(tree.config).run(
        path, search_backends=["workflow", Memory(result(hub, name))]
    )

    assert run.status == "completed"
    assert (tree.models / "loras" / name).exists()


def test_what_has_no_hash_waits_for_a_person(tree: Tree, hub: Hub) -> None:
    name = "detail_tweaker.safetensors"
    path = drop(tree.base / "w.json", Want(name))
    core = comfywatchman.ComfyFixerCore(tree.config)
    core.add_backend(Memory(result(hub, name, hash_sha256=None)))
    run = core.run(path)

    assert (run.status, run.downloads.skipped) == ("incomplete", 1)
    assert tree.placed() == {}


def test_a_backend_that_fails_leaves_the_others_their_say(tree: Tree, hub: Hub) -> None:
    search = comfywatchman.ModelSearch(tree.config)
    search.add_backend(Memory(error=KeyError("bug")))
    with pytest.raises(comfywatchman.ComfyFixerError):
        comfywatchman.ModelSearch(tree.config).search(
            "a.safetensors", backends=[Memory(error=OSError("down"))]
        )

    url = result(hub).download_url
    assert [found.backend for found in search.search(url)] == ["workflow"]


@pytest.mark.parametrize("name", ["civitai", "Two Words", "UPPER", ""])
def test_a_backend_needs_a_name_of_its_own(tree: Tree, name: str) -> None:
    backend = Memory()
    backend.name = name
    with pytest.raises(comfywatchman.ConfigurationError):
        comfywatchman.ModelSearch(tree.config).add_backend(backend)


# -- Civitai, by a small server of our own


@contextmanager
def civitai(answers: Mapping[str, object]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            body = json.dumps(answer if answer is not None else {"error": "none"}).encode()
            self.send_response(200 if answer is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_details_of_a_model_and_of_an_image_are_asked_by_their_ids(tree: Tree) -> None:
    version = a_version(34, a_file("a.safetensors", 5, sha256="a" * 64))
    answers = {
        "/api/v1/models/7": a_model(7, "Some detail", version),
        "/api/v1/model-versions/34": version,
        "/api/v1/images": {"items": [{"id": 56, "url": "https://x/56.png"}]},
    }
    with civitai(answers) as url:
        tree.settings = f'[hubs.civitai]\nendpoint = "{url}"\n'
        tree.write_settings()
        search = comfywatchman.ModelSearch(tree.config)

        assert search.get_model_details("civitai", 7)["name"] == "Some detail"
        assert search.get_model_details("civitai", "version:34")["id"] == 34
        assert comfywatchman.fetch_civitai_image(56, tree.config).url == "https://x/56.png"
        with pytest.raises(comfywatchman.ValidationError) as other:
            comfywatchman.fetch_civitai_image(57, tree.config)
        with pytest.raises(comfywatchman.APISearchError) as gone:
            search.get_model_details("civitai", 8)

    assert (other.value.requested, other.value.returned) == (57, 56)
    assert gone.value.code == "source-missing"
    with pytest.raises(comfywatchman.ValidationError):
        search.get_model_details("civitai", "../7")
    with pytest.raises(comfywatchman.ValidationError):
        search.get_model_details("nobody", "7")
