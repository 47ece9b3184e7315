"""A canary in every credential, every fault on the way: no trace of any of them is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.download.hubs import STANDIN, Hubs, standing_in
from tests.download.matrix import FAULTS
from tests.stories.daemon import Daemon, Tree, start
from tests.stories.made import Want, drop

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not STANDIN.exists(), reason="the stand-in hubs are not here"),
]

HF = "hf_standinTokenGranted"
CIVITAI = "civitai-standin-token"
NETRC = "canary-of-netrc-0123456789"
IN_URL = "canary-in-an-address-0123456789"
IN_QUERY = "canary-in-a-query-0123456789"
CANARIES = (HF, CIVITAI, NETRC, IN_URL, IN_QUERY)


@pytest.fixture(scope="module")
def hubs() -> Iterator[Hubs]:
    with standing_in() as found:
        yield found


def tree_of(base: Path, hubs: Hubs) -> Tree:
    hosts = tuple(hubs.host(name) for name in ("hf", "civitai", "cdn", "web"))
    secret = base / "civitai-token"
    secret.write_text(CIVITAI)
    secret.chmod(0o600)
    tree = Tree(base, hubs.banner["hf"], hosts)
    tree.settings = (
        f'[hubs.civitai]\nendpoint = "{hubs.banner["civitai"]}"\ntoken_file = "{secret}"\n'
        '[log]\nlevel = "debug"\n'
    )
    tree.write_settings(stall_seconds=0.5, max_retries=1, concurrency=4, per_host=4)
    return tree


def environ(base: Path) -> dict[str, str]:
    home = base / "home"
    home.mkdir()
    lines = [f"machine {host} login me password {NETRC}" for host in ("127.0.0.1", "localhost")]
    (home / ".netrc").write_text("\n".join(lines) + "\n")
    (home / ".netrc").chmod(0o600)
    return {"HF_TOKEN": HF, "HOME": str(home)}


def wants(hubs: Hubs, most: int) -> list[Want]:
    """Return a model of each hub for each kind of fault, each under a name of its own."""
    files = [file for file in hubs.call("files") if file["ref"].endswith(".safetensors")]
    found = []
    for hub in ("hf:", "civitai:", "web:"):
        of_hub = [file for file in files if file["ref"].startswith(hub)][:most]
        for number, file in enumerate(of_hub):
            url = str(file.get("file_url", file["url"]))
            name = f"{hub[:-1]}-{number}.safetensors"
            found.append(Want(name, url=_official(url, hubs), sha256=file["sha256"]))
    return found


def _official(url: str, hubs: Hubs) -> str:
    for real, stood in hubs.banner["url_map"].items():
        if url.startswith(stood) and ("huggingface.co" in real or "civitai.com" in real):
            return url.replace(stood, real, 1)
    return url


def odd(hubs: Hubs) -> list[Want]:
    """Return models whose addresses have something in them that belongs nowhere."""
    web = hubs.host("web")
    return [
        Want("u.safetensors", url=f"http://me:{IN_URL}@{web}/files/no_extension_hint"),
        Want("v.safetensors", url=f"https://me:{IN_URL}@huggingface.co/a/b/resolve/main/v.pt"),
        Want("w.safetensors", url=f"http://{web}/files/no_extension_hint?token={IN_QUERY}"),
        Want(
            "x.safetensors",
            url=f"https://civitai.com/api/download/models/782002?token={IN_QUERY}",
        ),
    ]


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.trial)])
def test_no_canary_is_left_anywhere(hubs: Hubs, tmp_path: Path, step: int) -> None:
    hubs.call("reset")
    tree, base = tree_of(tmp_path, hubs), tmp_path
    faults = FAULTS[::step]
    every = wants(hubs, len(faults))
    for number, fault in enumerate(faults):
        host = ("hf", "cdn", "civitai", "web")[number % 4]
        hubs.call("fault", host=host, kind=fault.kind, times=3, skip=number, **fault.more)
    for number in range(0, len(every), 5):
        drop(tree.workflows / f"{number}.json", *every[number : number + 5])
    drop(tree.workflows / "odd.json", *odd(hubs))
    daemon = start(tree, environ=environ(base))
    try:
        daemon.until("daemon.ready")
        daemon.when(lambda: settled(daemon), limit=100, what="an end of all jobs")
        told = seen_through(daemon, tree)
    finally:
        hubs.call("release")
        daemon.stop()

    assert hubs.call("stats")["token_leaks"] == []
    assert sent_to_others(hubs) == []
    found = {place: hits(text) for place, text in [*told, *files_of(tree)]}
    assert {place: those for place, those in found.items() if those} == {}
    placed = [path for path in tree.placed() if not path.split("/")[-1].startswith(".")]
    assert len(placed) > 4  # and something came of it


def settled(daemon: Daemon) -> bool:
    """Whether every transfer has ended, or waits for its next try."""
    rows = requests.get(f"{daemon.url}/api/v1/jobs?limit=500", timeout=10).json()["jobs"]
    running = [row for row in rows if row["state"] == "running"]
    fresh = [r for r in rows if r["state"] == "waiting" and not r["attempts"] and not r["error"]]
    return len(rows) > 10 and not running and not fresh


def seen_through(daemon: Daemon, tree: Tree) -> list[tuple[str, bytes]]:
    """Return everything that can be asked for or seen while it runs."""
    found: list[tuple[str, bytes]] = [("log", b"".join(daemon.raw))]
    found.extend(
        (f"/{path}", requests.get(f"{daemon.url}/{path}", timeout=30).content)
        for path in ("", "metrics", "openapi.json")
    )
    for what in ("status", "workflows", "models", "references", "choices", "downloads"):
        answer = requests.get(f"{daemon.url}/api/v1/{what}", timeout=30)
        found.append((f"/api/v1/{what}", answer.content))
    jobs = requests.get(f"{daemon.url}/api/v1/jobs?limit=500", timeout=30)
    found.append(("/api/v1/jobs", jobs.content))
    for row in requests.get(f"{daemon.url}/api/v1/workflows", timeout=30).json()["workflows"]:
        one = requests.get(f"{daemon.url}/api/v1/workflows/{row['id']}", timeout=30)
        found.append((f"/api/v1/workflows/{row['id']}", one.content))
    pid = daemon.process.pid
    found.append(("arguments", Path(f"/proc/{pid}/cmdline").read_bytes()))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found.extend(
        ("arguments of a child", Path(f"/proc/{child}/cmdline").read_bytes()) for child in children
    )
    commands = (
        ["status"],
        ["status", "--json"],
        ["config", "show"],
        ["analyze", "--json", str(tree.workflows)],
    )
    for words in commands:
        command = [sys.executable, "-m", "comfywatchman", *words, "--config", str(tree.config)]
        told = {**os.environ, "HF_TOKEN": HF}
        done = subprocess.run(command, capture_output=True, check=False, env=told)
        found.append((" ".join(words), done.stdout + done.stderr))
    return found


def files_of(tree: Tree) -> Iterator[tuple[str, bytes]]:
    """Yield all that we wrote: the state, the models, what lies beside them."""
    for directory in (tree.state, tree.models):
        for path in directory.rglob("*"):
            if path.is_file():
                yield str(path.relative_to(tree.base)), path.read_bytes()


def hits(text: bytes) -> list[str]:
    return [canary for canary in CANARIES if canary.encode() in text]


def sent_to_others(hubs: Hubs) -> list[str]:
    """Return requests that carried a canary to a host it is not for."""
    wrong = []
    for record in hubs.call("log"):
        text = json.dumps(record)
        allowed = {"hf": HF, "civitai": CIVITAI}.get(record["host"])
        wrong += [
            f"{canary} to {record['host']}"
            for canary in CANARIES
            if canary in text and canary != allowed
        ]
    return wrong
