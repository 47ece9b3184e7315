"""Every trap of the stand-in hubs, from a workflow that is dropped to what the daemon tells."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import WatchmanError
from scripts.hub_traps import (
    BUYER,
    CIVITAI_TOKEN,
    DOWNLOAD,
    HUB_PLAIN,
    HUB_TOKEN,
    REVOKED,
    STANDIN,
    TRAPS,
    Trap,
    stand_in,
)
from tests.resolve.test_standin_search import FAULTS
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.hubs import batches, drop_all, ended, tree_for, workflow

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not STANDIN.is_dir(), reason="the stand-in lies beside the team's checkout"),
]

PAGES = ("/", "/metrics", *(f"/api/v1/{name}" for name in ("choices", "references", "jobs")))
TOKENS = (CIVITAI_TOKEN, BUYER, HUB_TOKEN, HUB_PLAIN, REVOKED)
OTHERWISE = {
    # Fetched twice, the second time from the start, before the source is given up.
    "a page called .safetensors": "source-changed",
    "a wrong hash on record": "source-changed",
}
"""How the daemon ends what one plain request ends otherwise."""
REFUSED = {
    "a name that Windows reserves": "unsafe-name",
    "a file that is not public": "name-not-listed",  # x.zip: no loader would list it
}
"""What is not looked for, since no file gets such a name."""
NOT_IN_A_WORKFLOW = {"the same, with its AutoV2"}
"""Short hashes come from texts of other programs, which name no diffusion models."""
HAS_A_WAY = [trap for trap in TRAPS if trap.name not in NOT_IN_A_WORKFLOW]
A_FEW = [trap for trap in HAS_A_WAY if trap.tokens == (CIVITAI_TOKEN,)]


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with stand_in(tmp_path_factory.mktemp("hashes") / "hashes.json") as hubs:
        yield hubs


def expected(trap: Trap) -> tuple[str, str]:
    if trap.name in REFUSED:
        return REFUSED[trap.name], ""
    ends = trap.ends.partition(" (")[0]
    then = OTHERWISE.get(trap.name, trap.then or "verified")
    return (ends, then) if ends.startswith("chosen") else (ends, "")


def told_by(traps: list[Trap], hubs: Any, base: Path) -> dict[str, tuple[str, str]]:
    """Have a daemon meet *traps*, look for tokens wherever it writes, and return the outcomes."""
    tree = tree_for(hubs, base, traps[0].tokens)
    drop_all(tree, traps, hubs)
    with running(tree) as daemon:
        found = {trap.name: ended(daemon, trap.wanted(hubs)) for trap in traps}
        pages = b"".join(requests.get(daemon.url + path, timeout=10).content for path in PAGES)
        daemon.stop()
    assert_no_token(tree, b"".join(daemon.raw) + pages)
    assert hubs.stats()["token_leaks"] == []
    return found


def assert_no_token(tree: Tree, log: bytes) -> None:
    for file in tree.state.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [token for token in TOKENS if token.encode() in content], file
    assert not [token for token in TOKENS if token.encode() in log]
    with closing(sqlite3.connect(tree.state / "answers.sqlite3")) as cache:
        told = cache.execute("SELECT url, came_from, headers FROM answers").fetchall()
    assert told
    assert "Signature" not in str(told)
    assert "Authorization=" not in str(told)


def test_what_a_key_opens_is_fetched_and_what_it_does_not_is_told(
    hubs: Any, tmp_path: Path
) -> None:
    for number, group in enumerate(batches(A_FEW, hubs)[:1]):
        found = told_by(group, hubs, tmp_path / str(number))
        assert found == {trap.name: expected(trap) for trap in group}


@pytest.mark.trial
def test_every_trap_ends_in_its_own_named_outcome(hubs: Any, tmp_path: Path) -> None:
    found: dict[str, tuple[str, str]] = {}
    for number, group in enumerate(batches(HAS_A_WAY, hubs)):
        found |= told_by(group, hubs, tmp_path / str(number))

    assert found == {trap.name: expected(trap) for trap in HAS_A_WAY}


@pytest.mark.trial
def test_whatever_the_hubs_do_the_daemon_tells_it_typed_and_no_token_anywhere(
    hubs: Any, tmp_path: Path
) -> None:
    hubs.reset()
    tree = tree_for(hubs, tmp_path, (CIVITAI_TOKEN, HUB_TOKEN))
    with running(tree) as daemon:
        for number, (fault, (more, _)) in enumerate(FAULTS.items()):
            hubs.fault(host="*", kind=fault.partition("-")[0], times=4, **{**more, **QUICK})
            want = Wanted(
                "loras", f"fault_number_{number}.safetensors", (f"{DOWNLOAD}/{910000 + number}",)
            )
            (tree.workflows / f"{number}.json").write_text(json.dumps(workflow(want)[0]))
            line = daemon.when(partial(_asked_first, daemon, want), what=fault)
            assert line["error"] is None or line["error"]["code"] in KNOWN_CODES, fault
            hubs.clear_faults()
        pages = b"".join(requests.get(daemon.url + path, timeout=10).content for path in PAGES)
        daemon.stop()

    assert not [line for line in daemon.lines if line.get("event") == "job.crashed"]
    assert_no_token(tree, b"".join(daemon.raw) + pages)
    assert hubs.stats()["token_leaks"] == []


QUICK = {"seconds": 0.5, "retry_after": 1}
KNOWN_CODES = {kind.code for kind in WatchmanError.__subclasses__()} - {"internal-error"}


def _asked_first(daemon: Daemon, wanted: Wanted) -> dict[str, Any] | None:
    """Return how the first backend that went to a hub came back."""
    found = (
        line
        for line in list(daemon.lines)
        if str(line.get("event", "")).startswith("search.")
        and line.get("name") == wanted.name
        and line.get("source") == "civitai"
        and "result" in line
    )
    return next(found, None)
