"""Transfers as a person sees them: how far, given up, put first, out of hours, by two at once."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from comfywatchman.demo.hub import Hub
from tests.disk.pickled import imported, torch_zip
from tests.stories.daemon import Daemon, Tree, running, start
from tests.stories.made import Want, drop, has

SIZE = 3_000_000


@pytest.fixture
def slow() -> Iterator[Hub]:
    """A hub that takes some seconds for each file."""
    with Hub(sizes=(SIZE, SIZE), throttle=600_000) as hub:
        yield hub


def tree_of(tmp_path: Path, hub: Hub, name: str = "one", **download: object) -> Tree:
    (tmp_path / name).mkdir(exist_ok=True)
    tree = Tree(tmp_path / name, hub.url, tuple(hub.hosts))
    tree.write_settings(**download)
    return tree


def get(daemon: Daemon, what: str) -> Any:
    return requests.get(f"{daemon.url}/api/v1/{what}", timeout=10).json()


def say(tree: Tree, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "comfywatchman", *words, "--config", str(tree.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def transfer(daemon: Daemon, want: Want) -> dict[str, Any]:
    """Return what is told of the transfer of *want*; empty where it does not run."""
    lines = get(daemon, "downloads")["downloads"]
    return next(
        (line for line in lines if line["name"] == want.name and line["state"] == "running"), {}
    )


def is_right(tree: Tree, hub: Hub, want: Want) -> bool:
    content = (tree.models / want.where).read_bytes()
    return hashlib.sha256(content).hexdigest() == hub.named(want.name).sha256


def test_how_far_how_fast_and_how_long_is_told_everywhere(tmp_path: Path, slow: Hub) -> None:
    tree = tree_of(tmp_path, slow)
    tree.settings = '[log]\nlevel = "debug"\n'
    tree.write_settings()
    want = has(slow, "large.safetensors")
    drop(tree.workflows / "w.json", want)
    with running(tree) as daemon:
        line = daemon.until("download.progress", name=want.name)
        daemon.when(lambda: transfer(daemon, want).get("remaining_seconds"), what="how long")
        told = transfer(daemon, want)
        page = requests.get(f"{daemon.url}/metrics", timeout=10).text

    assert 0 < line["done"] < SIZE
    assert line["remaining_seconds"] >= 0
    assert 0 < told["remaining_seconds"] < 60
    assert 100_000 < told["bytes_per_second"] < 2_000_000
    for name in ("download_bytes_per_second", "download_remaining_bytes"):
        (value,) = re.findall(rf"(?m)^comfywatchman_{name} (\S+)$", page)
        assert float(value) > 0


def test_a_transfer_that_is_given_up_stops_at_once_and_can_be_taken_up_again(
    tmp_path: Path, slow: Hub
) -> None:
    tree = tree_of(tmp_path, slow)
    want = has(slow, "large.safetensors")
    path = drop(tree.workflows / "w.json", want)
    with running(tree) as daemon:
        daemon.when(lambda: transfer(daemon, want).get("done"), what="a transfer")
        job = str(transfer(daemon, want)["job"])
        assert say(tree, "cancel", job).returncode == 0
        paused = daemon.until("download.paused", name=want.name, limit=5)
        state = get(daemon, f"jobs/{job}")["state"]
        said = json.loads(say(tree, "explain", str(path), "--json").stdout)
        assert say(tree, "retry", job).returncode == 0
        resumed = daemon.until("download.resumed", name=want.name)
        daemon.until("workflow.ready", workflow=path)

    assert (paused["reason"], state) == ("canceled", "canceled")
    told = [step for step in said["references"][0]["steps"] if step["where"] == "daemon"]
    assert told[0]["error"]["remedy"] == f"comfywatchman retry {job}"
    assert resumed["offset"] == paused["done"] > 0
    assert is_right(tree, slow, want)
    assert slow.fetched()[f"us/{want.where}"].bytes < SIZE * 1.2


@pytest.fixture
def slower() -> Iterator[Hub]:
    """A hub that takes some seconds for each file."""
    with Hub(sizes=(SIZE, SIZE), throttle=400_000) as hub:
        yield hub


def test_a_workflow_that_a_person_wants_now_goes_before_what_runs(
    tmp_path: Path, slower: Hub
) -> None:
    slow = slower
    tree = tree_of(tmp_path, slow, concurrency=1)
    first, wanted = has(slow, "first.safetensors"), has(slow, "wanted.safetensors")
    drop(tree.workflows / "first.json", first)
    with running(tree) as daemon:
        daemon.when(lambda: transfer(daemon, first).get("done"), what="the first transfer")
        path = drop(tree.workflows / "wanted.json", wanted)
        assert say(tree, "fix", "--yes", str(path)).returncode == 0
        daemon.until("model.placed", name=first.name)

    placed = [line["name"] for line in daemon.events("model.placed")]
    assert placed == [wanted.name, first.name]
    assert daemon.events("download.paused")[0]["reason"] == "urgent"
    assert is_right(tree, slow, first)
    assert slow.fetched()[f"us/{first.where}"].bytes < SIZE * 1.2


def test_out_of_hours_nothing_is_fetched_but_what_a_person_asks_for(tmp_path: Path) -> None:
    hour = (time.localtime().tm_hour + 3) % 24
    window = f"{hour:02}:00-{(hour + 1) % 24:02}:00"
    with Hub() as hub:
        tree = tree_of(tmp_path, hub, windows=[window])
        waits, wanted = has(hub, "waits.safetensors"), has(hub, "wanted.safetensors")
        drop(tree.workflows / "waits.json", waits)
        with running(tree) as daemon:
            daemon.until("reference.resolved", name=waits.name)
            path = drop(tree.workflows / "wanted.json", wanted)
            assert say(tree, "fix", "--yes", str(path)).returncode == 0
            (line,) = get(daemon, "downloads")["downloads"]

    assert (line["name"], line["state"]) == (waits.name, "queued")
    assert list(tree.placed()) == [wanted.where]


def test_two_daemons_on_one_installation_fetch_a_file_once(tmp_path: Path, slow: Hub) -> None:
    tree = tree_of(tmp_path, slow)
    want = has(slow, "large.safetensors")
    path = drop(tree.workflows / "w.json", want)
    other = tmp_path / "other.toml"
    text = tree.config.read_text().replace(str(tree.state), str(tmp_path / "other-state"))
    other.write_text(text)
    with running(tree) as daemon:
        daemon.until("download.started", name=want.name)
        second = start(tree, "--config", str(other))
        try:
            daemon.until("workflow.ready", workflow=path)
            second.until("workflow.ready", workflow=path)
        finally:
            second.stop()

    assert is_right(tree, slow, want)
    assert slow.fetched()[f"us/{want.where}"].bytes == SIZE
    assert list(tree.placed()) == [want.where]


def test_a_fix_beside_a_daemon_of_another_state_fetches_a_file_once(
    tmp_path: Path, slow: Hub
) -> None:
    tree = tree_of(tmp_path, slow)
    want = has(slow, "large.safetensors")
    path = drop(tree.workflows / "w.json", want)
    other = tmp_path / "other.toml"
    text = tree.config.read_text().replace(str(tree.state), str(tmp_path / "other-state"))
    other.write_text(text)
    other.chmod(0o600)
    with running(tree) as daemon:
        daemon.until("download.started", name=want.name)
        command = [sys.executable, "-m", "comfywatchman", "fix", "--yes", "--json", str(path)]
        done = subprocess.run(
            [*command, "--config", str(other)], capture_output=True, check=False, timeout=100
        )
        daemon.until("workflow.ready", workflow=path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["workflows"][0]["state"] == "ready"
    assert slow.fetched()[f"us/{want.where}"].bytes == SIZE


def test_a_pickle_with_code_in_it_waits_until_a_person_chooses(tmp_path: Path) -> None:
    harmful = torch_zip(imported("os", "system") + b")R")
    with Hub() as hub:
        tree = tree_of(tmp_path, hub)
        want = has(hub, "odd.ckpt", "checkpoints", harmful)
        path = drop(tree.workflows / "w.json", want)
        with running(tree) as daemon:
            line = daemon.until("reference.ambiguous", name=want.name)
            (choice,) = get(daemon, "choices")["choices"]
            before = list(tree.placed())
            report = json.loads(say(tree, "analyze", "--json", str(path)).stdout)
            assert say(tree, "choose", want.where, "1").returncode == 0
            daemon.until("workflow.ready", workflow=path)

    assert line["error"]["code"] == choice["error"]["code"] == "unsafe-file"
    assert "os.system" in line["error"]["cause"]
    assert [name.startswith("checkpoints/.odd.ckpt.") for name in before] == [True]
    assert report["workflows"][0]["state"] == "blocked"
    assert hub.fetched()[f"us/{want.where}"].whole == 1  # chosen, not fetched twice


def test_a_file_that_nobody_publishes_a_hash_for_is_told_apart(tmp_path: Path) -> None:
    with Hub() as hub:
        tree = tree_of(tmp_path, hub)
        url = hub.add_plain("plain.safetensors")
        want = Want("plain.safetensors", url=url)
        path = drop(tree.workflows / "w.json", want)
        with running(tree) as daemon:
            daemon.until("reference.ambiguous", name=want.name)
            assert say(tree, "choose", want.where, "1").returncode == 0
            line = daemon.until("download.unverifiable", name=want.name)
            daemon.until("workflow.ready", workflow=path)
            status = get(daemon, "status")
            (model,) = get(daemon, "models")["models"]
            (workflow,) = get(daemon, "workflows")["workflows"]
            (row,) = get(daemon, f"workflows/{workflow['id']}")["references"]
            page = requests.get(f"{daemon.url}/", timeout=10).text
            metrics = requests.get(f"{daemon.url}/metrics", timeout=10).text

    assert line["level"] == "warning"
    assert status["unverifiable"] == 1
    assert model["unverifiable"]
    assert row["hint"]["code"] == "unverifiable"
    assert "unverifiable" in page
    assert 'result="unverifiable",source="workflow"} 1.0' in metrics
    assert "comfywatchman_models_unverifiable 1.0" in metrics
    assert not daemon.events("download.verified")
