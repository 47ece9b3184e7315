"""The daemon takes down what commands read, and what other programs say."""

from __future__ import annotations

import json
from functools import partial

import pytest
import requests

from comfywatchman.demo.hub import Hub
from tests.cli.keeping import decay, digest, measured, put
from tests.cli.shell import Shell
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.made import drop, has

UNMEASURED = '[inventory]\nhash = "off"'


@pytest.fixture
def shell(tree: Tree) -> Shell:
    return Shell(tree)


def models(daemon: Daemon) -> dict[str, dict[str, object]]:
    found = requests.get(f"{daemon.url}/api/v1/models", timeout=10).json()["models"]
    return {row["name"]: row for row in found}


def says(daemon: Daemon, digest: str) -> bool:
    return models(daemon)["a.safetensors"].get("claimed_sha256") == digest


def test_what_verify_reads_beside_a_daemon_is_taken_down_by_it(shell: Shell, tree: Tree) -> None:
    tree.settings = UNMEASURED
    tree.write_settings()
    path = put(tree, "loras/a.safetensors")
    with running(tree) as daemon:
        daemon.when(lambda: models(daemon), what="the model noted")
        told = shell("inventory", "verify", "--json")
        row = models(daemon)["a.safetensors"]
        again = shell("inventory", "verify", "--json")

    assert (told.status, told.err) == (0, "")
    assert row["sha256"] == digest(path)
    assert [file["outcome"] for file in again.json["files"]] == ["equal"]


def test_decay_that_verify_finds_is_told_by_the_daemon_and_counted(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    tree.settings = UNMEASURED
    tree.write_settings()
    want = has(hub, "a.safetensors")
    path = put(tree, want.where)
    good = digest(path)
    drop(tree.workflows / "a.json", want)
    measured(shell)
    decay(tree, path)
    with running(tree) as daemon:
        daemon.until("workflow.ready")
        told = shell("inventory", "verify", "--json")
        line = daemon.until("model.corrupt")
        metrics = requests.get(f"{daemon.url}/metrics", timeout=10).text

    assert told.status == 1
    assert line["level"] == "error"
    assert good in json.dumps(line)
    assert "comfywatchman_scrub_mismatches_total 1.0" in metrics


def test_claims_are_taken_in_and_shown_as_claims(tree: Tree) -> None:
    tree.settings = UNMEASURED
    tree.write_settings()
    path = put(tree, "loras/a.safetensors")
    claim = {"size": path.stat().st_size, "sha256": "ab" * 32}
    path.with_name("a.metadata.json").write_text(json.dumps(claim))
    with running(tree) as daemon:
        daemon.when(
            lambda: models(daemon).get("a.safetensors", {}).get("claimed_sha256"),
            what="the claim",
        )
        row = models(daemon)["a.safetensors"]

    assert (row["sha256"], row["claimed_sha256"]) == (None, "ab" * 32)


def test_a_sidecar_that_comes_later_is_taken_in_and_so_is_what_it_says_afterwards(
    tree: Tree,
) -> None:
    tree.settings = UNMEASURED
    tree.write_settings()
    path = put(tree, "loras/a.safetensors")
    with running(tree) as daemon:
        daemon.when(lambda: models(daemon), what="the model noted")
        for digest in ("ab" * 32, "cd" * 32):
            claim = {"size": path.stat().st_size, "sha256": digest}
            path.with_name("a.metadata.json").write_text(json.dumps(claim))
            daemon.when(partial(says, daemon, digest), what="the claim")


def test_the_thread_that_takes_care_is_one_of_those_that_are_watched(tree: Tree) -> None:
    with running(tree) as daemon:
        metrics = requests.get(f"{daemon.url}/metrics", timeout=10).text

    assert 'worker="care"' in metrics
