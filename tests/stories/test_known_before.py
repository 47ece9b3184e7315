"""What is on this machine, or was before, is not searched for and not fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.stories.daemon import Daemon, Tree, running, start
from tests.stories.made import Want, drop, has

COMMIT = "0" * 39 + "1"


def in_the_cache(home: Path, repo: str, name: str, content: bytes) -> Path:
    """Put a file where huggingface_hub would have put it."""
    base = home / "hub" / ("models--" + repo.replace("/", "--"))
    blob = base / "blobs" / hashlib.sha256(content).hexdigest()
    for directory in (blob.parent, base / "refs", base / "snapshots" / COMMIT):
        directory.mkdir(parents=True)
    blob.write_bytes(content)
    (base / "refs" / "main").write_text(COMMIT)
    (base / "snapshots" / COMMIT / name).symlink_to(Path("../../blobs") / blob.name)
    return blob


def test_a_file_in_the_cache_of_hugging_face_is_used_and_not_fetched(
    tree: Tree, hub: Hub, tmp_path: Path
) -> None:
    content = weights("cached", 4096)
    want = has(hub, "a.safetensors", content=content)
    blob = in_the_cache(tmp_path / "hf", "us/loras", "a.safetensors", content)
    tree.asking = 'search_backends = ["workflow", "hfcache", "catalog"]\ncatalog.manager_list = ""'
    tree.write_settings()
    path = drop(tree.workflows / "w.json", want)

    daemon = start(tree, environ={"HF_HOME": str(tmp_path / "hf")})
    try:
        daemon.until("workflow.ready", workflow=path)
    finally:
        daemon.stop()

    assert (tree.models / want.where).read_bytes() == content
    assert blob.read_bytes() == content
    assert daemon.events("download.started") == []
    assert {request.method for request in hub.requests} == {"HEAD"}


def test_a_cached_file_that_is_not_what_its_name_says_is_fetched_instead(
    tree: Tree, hub: Hub, tmp_path: Path
) -> None:
    content = weights("sound", 4096)
    want = has(hub, "a.safetensors", content=content)
    blob = in_the_cache(tmp_path / "hf", "us/loras", "a.safetensors", content)
    blob.write_bytes(content[:-4] + b"rot!")
    tree.asking = 'search_backends = ["hfcache", "workflow", "catalog"]\ncatalog.manager_list = ""'
    tree.write_settings()
    path = drop(tree.workflows / "w.json", want)

    daemon = start(tree, environ={"HF_HOME": str(tmp_path / "hf")})
    try:
        daemon.until("workflow.ready", workflow=path)
    finally:
        daemon.stop()

    assert (tree.models / want.where).read_bytes() == content


def test_what_was_verified_before_is_found_again_by_its_name_alone(tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    first = drop(tree.workflows / "first.json", want)
    with running(tree) as daemon:
        daemon.until("workflow.ready", workflow=first)
        first.unlink()
        (tree.models / want.where).unlink()
        daemon.until("model.removed", path=tree.models / want.where)
        daemon.until("workflow.removed", workflow=first)

        second = drop(tree.workflows / "second.json", Want("a.safetensors"))
        daemon.until("workflow.ready", workflow=second)

        resolved = daemon.events("reference.resolved")
        assert [line["source"] for line in resolved] == ["workflow", "catalog"]
    content = (tree.models / want.where).read_bytes()
    assert hashlib.sha256(content).hexdigest() == hub.named(want.name).sha256


# -- a person's answer


def choose(daemon: Daemon, tree: Tree, number: int) -> requests.Response:
    token = (tree.state / "http-token").read_text().strip()
    (line,) = requests.get(f"{daemon.url}/api/v1/choices", timeout=10).json()["choices"]
    for candidate in line["candidates"]:
        assert {"url", "page", "size", "sha256", "evidence", "size_about"} <= set(candidate)
    return requests.post(
        f"{daemon.url}/api/v1/choices/{line['id']}",
        json={"candidate": number},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )


def test_an_answer_is_given_once(tree: Tree, hub: Hub) -> None:
    one = "https://huggingface.co/us/one/resolve/main/a.safetensors"
    two = "https://huggingface.co/us/two/resolve/main/a.safetensors"
    hub.add(one, weights("one", 2048))
    hub.add(two, weights("two", 4096))
    both = (Want("a.safetensors", url=one), Want("a.safetensors", url=two))
    path = drop(tree.workflows / "both.json", *both)
    with running(tree) as daemon:
        daemon.until("reference.ambiguous", name="a.safetensors")
        assert choose(daemon, tree, 1).status_code == 202
        daemon.until("workflow.ready", workflow=path)
        kept = (tree.models / "loras/a.safetensors").read_bytes()
        (tree.models / "loras/a.safetensors").unlink()
        daemon.until("model.removed")
        asked = len(hub.requests)

        third = drop(tree.workflows / "third.json", Want("a.safetensors", url=one))
        daemon.until("workflow.ready", workflow=third)

        assert len(daemon.events("reference.ambiguous")) == 1
        assert (tree.models / "loras/a.safetensors").read_bytes() == kept
        heads = [request for request in hub.requests[asked:] if request.method == "HEAD"]
        assert heads == []


def test_no_is_believed_until_a_person_says_try_again(tree: Tree, hub: Hub) -> None:
    want = Want("late.safetensors", url="https://huggingface.co/us/x/resolve/main/late.safetensors")
    path = drop(tree.workflows / "w.json", want)
    with running(tree) as daemon:
        daemon.until("reference.unresolved", name=want.name)
        asked = len(hub.requests)
        drop(tree.workflows / "again.json", want)
        daemon.until("reference.unresolved", after=len(daemon.lines), name=want.name)
        assert len(hub.requests) == asked, "asked again within the lifetime of the answer"

        assert want.url is not None
        hub.add(want.url)
        token = (tree.state / "http-token").read_text().strip()
        jobs = requests.get(f"{daemon.url}/api/v1/jobs", timeout=10).json()["jobs"]
        (job,) = (job for job in jobs if job["kind"] == "resolve")
        told = requests.post(
            f"{daemon.url}/api/v1/jobs/{job['id']}/retry",
            json={},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )

        assert told.status_code == 200
        daemon.until("workflow.ready", workflow=path)
