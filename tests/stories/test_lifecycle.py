"""The life of the process: its beginning, its end, and what it says on the way."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.stories.daemon import LIMIT, Daemon, Tree, running, start
from tests.stories.made import Want, drop, has
from tests.stories.stage import Stage

EMPTY = '[log]\nlevel = "debug"\n'


def ended(daemon: Daemon) -> int:
    status = daemon.process.wait(LIMIT)
    daemon.hang_up()
    return status


def names(tree: Tree) -> list[str]:
    return list(tree.placed())


# -- the end


def test_a_stop_in_the_middle_of_a_transfer_takes_less_than_5_seconds_and_it_goes_on_later(
    tmp_path: Path,
) -> None:
    with Hub(sizes=(3_000_000, 3_000_000), throttle=1_000_000) as hub:
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts), EMPTY)
        want = has(hub, "large.safetensors")
        path = drop(tree.workflows / "w.json", want)
        with running(tree) as daemon:
            daemon.until("download.progress", name=want.name)
            took = daemon.stop(limit=5)
        (kept,) = tree.placed().items()
        size = kept[1].stat().st_size
        with running(tree) as again:
            resumed = again.until("download.resumed", name=want.name)
            again.until("workflow.ready", workflow=path)

        assert took < 5
        assert re.fullmatch(r"loras/\.large\.safetensors\.[0-9a-f]{12}\.part", kept[0])
        assert 0 < size < 3_000_000
        assert resumed["offset"] == size
        ranges = [r.range for r in hub.requests if r.where == "storage" and r.range]
        assert ranges == [f"bytes={size}-"]
        assert names(tree) == ["loras/large.safetensors"]
        content = (tree.models / want.where).read_bytes()
        assert content == hub.named(want.name).read()
        assert hub.fetched()["us/loras/large.safetensors"].bytes < 2 * len(content)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_an_idle_daemon_stops_at_once_and_says_so_last(
    tree: Tree, number: signal.Signals, status: int
) -> None:
    daemon = start(tree)
    daemon.until("daemon.ready")
    daemon.process.send_signal(number)

    assert ended(daemon) == status
    assert daemon.lines[-1]["event"] == "daemon.stopped"
    assert daemon.events("daemon.stopping")[0]["reason"] == number.name


def test_a_stop_before_it_is_ready_is_heard(tree: Tree) -> None:
    daemon = start(tree)
    daemon.until("config.loaded")
    daemon.process.send_signal(signal.SIGTERM)

    assert ended(daemon) == 0


def test_a_stop_while_there_is_no_comfyui_is_heard(tree: Tree) -> None:
    tree.root.rename(tree.base / "unplugged")
    daemon = start(tree)
    daemon.until("error.met")
    daemon.process.send_signal(signal.SIGTERM)

    assert ended(daemon) == 0


# -- one owner


def test_a_second_daemon_on_the_same_state_says_who_owns_it_and_ends_with_3(stage: Stage) -> None:
    second = start(stage.tree)

    assert ended(second) == 3
    told = b"".join(second.raw).decode()
    assert "error: state-locked" in told
    assert f"Process {stage.daemon.process.pid} " in told
    assert len([line for line in told.splitlines() if line]) == 3
    assert stage.get("/healthz").status_code == 200


def test_the_state_of_a_killed_daemon_is_free(tree: Tree) -> None:
    with running(tree) as daemon:
        daemon.kill()

    with running(tree) as again:
        assert again.events("daemon.ready")


def test_a_taken_address_ends_it_with_3_and_a_remedy(tree: Tree) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = start(tree, "--http", f"127.0.0.1:{taken.getsockname()[1]}")

        assert ended(daemon) == 3
    assert "error: address-in-use" in b"".join(daemon.raw).decode()


def test_wrong_settings_end_it_with_2_before_anything_is_made(tree: Tree) -> None:
    tree.config.write_text("[download]\nconcurency = 3\n")
    daemon = start(tree)

    assert ended(daemon) == 2
    told = b"".join(daemon.raw).decode()
    assert "error: settings-invalid" in told
    assert "download.concurrency" in told
    assert not tree.state.exists()


# -- what it shows


def test_probes_and_metrics_tell_how_it_is(tree: Tree, hub: Hub) -> None:
    path = drop(tree.workflows / "w.json", has(hub, "a.safetensors"))
    with running(tree) as daemon:
        daemon.until("workflow.ready", workflow=path)
        url = daemon.url

        assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
        ready = requests.get(f"{url}/readyz", timeout=10)
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        page = requests.get(f"{url}/metrics", timeout=10)
        assert page.headers["Content-Type"].startswith("text/plain")
        samples = dict(samples_of(page.text))
        assert samples['comfywatchman_workflows{state="ready"}'] == 1
        assert samples['comfywatchman_models{folder="loras"}'] == 1
        assert samples['comfywatchman_references{state="present"}'] == 1
        assert samples["comfywatchman_ready"] == 1
        assert samples['comfywatchman_downloads_total{result="verified",source="workflow"}'] == 1
        size = hub.named("a.safetensors").size
        assert samples['comfywatchman_download_bytes_total{source="workflow"}'] == size
        for value in samples:
            assert "/" not in value, value  # no path is ever a label


def samples_of(page: str) -> list[tuple[str, float]]:
    rows = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    return [(series, float(value)) for series, _, value in rows]


def test_before_comfyui_is_found_it_lives_and_is_not_ready(tree: Tree) -> None:
    tree.root.rename(tree.base / "unplugged")
    daemon = start(tree)
    try:
        daemon.until("error.met")
        owner = json.loads((tree.state / "daemon.json").read_bytes())
        url = f"http://{owner['address']}"

        assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
        ready = requests.get(f"{url}/readyz", timeout=10)
        assert ready.status_code == 503
        assert "comfyui_root" in json.dumps(ready.json())
        assert requests.get(f"{url}/metrics", timeout=10).status_code == 200
    finally:
        daemon.stop()


LEVELS = {"debug", "info", "warning", "error", "critical"}


def test_every_line_of_the_log_is_an_object_with_time_level_event_and_logger(
    tmp_path: Path, hub: Hub
) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), EMPTY)
    good, bad = has(hub, "good.safetensors"), has(hub, "bad.safetensors")
    hub.fault("cut", good.name, after=1000)
    hub.fault("html", bad.name, times=9)
    (tree.workflows / "broken.json").write_text("{")
    drop(tree.workflows / "caf\udce9\n.json", bad, Want("line\nbreak\u2028.pt"))
    path = drop(tree.workflows / "w.json", good)
    with running(tree) as daemon:
        daemon.until("workflow.ready", workflow=path)
        daemon.until("download.failed", name=bad.name)
        daemon.until("workflow.unreadable")
        path.unlink()
        daemon.until("workflow.removed", workflow=path)
        daemon.stop()

    assert len(daemon.raw) > 30
    for raw in daemon.raw:
        line: dict[str, Any] = json.loads(raw)
        assert {"timestamp", "level", "event", "logger"} <= set(line), line
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None
        assert line["timestamp"].endswith("Z")
        assert line["level"] in LEVELS
        if line["logger"] == "comfywatchman":  # libraries have words of their own
            assert re.fullmatch(r"[a-z_]+\.[a-z_]+", line["event"]), line
        if line.get("error") is not None:
            assert set(line["error"]) == {"code", "cause", "remedy"}, line
    assert {line["level"] for line in daemon.lines} >= {"debug", "info", "warning"}
    assert "error" not in {line["level"] for line in daemon.lines}


def test_the_log_can_be_lines_for_people(tree: Tree) -> None:
    daemon = start(tree, "--log-format", "text")
    daemon.when(lambda: any(b"daemon.ready" in raw for raw in daemon.raw))
    daemon.stop()

    with pytest.raises(ValueError, match=r".+"):
        json.loads(daemon.raw[0])


# -- new settings


def hang_up(daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGHUP)


def count(stage: Stage, event: str) -> int:
    return len(stage.daemon.events(event))


@pytest.fixture
def before(stage: Stage) -> Iterator[dict[str, int]]:
    """How often each event was told before the test; the settings file is restored after it."""
    right = stage.tree.config.read_text()
    yield Counter(line.get("event", "") for line in stage.daemon.lines)
    stage.tree.config.write_text(right)


def test_a_hangup_without_new_settings_changes_nothing(
    stage: Stage, before: dict[str, int]
) -> None:
    hang_up(stage.daemon)
    stage.daemon.when(lambda: count(stage, "config.reloaded") > before["config.reloaded"])
    stage.ready(stage.drop("unchanged.json", stage.has("unchanged.safetensors")))

    assert count(stage, "daemon.ready") == before["daemon.ready"]


@pytest.mark.trial
def test_other_directories_in_extra_model_paths_are_watched_without_a_word(
    stage: Stage, before: dict[str, int]
) -> None:
    """Somebody adds a directory while the daemon runs, and another one before a hangup."""
    table = stage.tree.root / "extra_model_paths.yaml"
    for hung_up, name in ((False, "shelf"), (True, "attic")):
        model = stage.tree.base / name / f"{name}.safetensors"
        model.parent.mkdir()
        model.write_bytes(weights(name, 2000))
        table.write_text(f"mine:\n  loras: {model.parent}\n")
        if hung_up:
            hang_up(stage.daemon)
        stage.daemon.until("model.indexed", path=model)

    table.unlink()
    stage.daemon.when(lambda: count(stage, "daemon.ready") == before["daemon.ready"] + 3)


UNUSABLE = {
    "an unknown key": "[download]\nconcurency = 3\n",
    "no TOML": "[download\n",
    "another state": '[state]\ndirectory = "elsewhere"\n',
    "no loader line": '{right}[analyze]\nloaders = ["?"]\n',
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_wrong_settings_are_told_and_the_old_ones_stay_in_force(
    stage: Stage, before: dict[str, int], what: str
) -> None:
    right = stage.tree.config.read_text()
    stage.tree.config.write_text(UNUSABLE[what].format(right=right))
    rejected = rejection(stage, before)
    stage.ready(stage.drop(f"{what}.json", stage.has(f"{what}.safetensors")))

    assert rejected["error"]["code"] == "settings-invalid"
    page = requests.get(f"{url_now(stage)}/metrics", timeout=10).text
    assert "comfywatchman_config_last_reload_successful 0.0" in page


def rejection(stage: Stage, before: dict[str, int]) -> dict[str, Any]:
    """Hang up, and return the line that says that the settings were rejected."""
    hang_up(stage.daemon)
    told = before["config.rejected"]
    stage.daemon.when(lambda: count(stage, "config.rejected") > told, what="config.rejected")
    return stage.daemon.events("config.rejected")[told]


def url_now(stage: Stage) -> str:
    """Return where it serves now: a new server may have got another port."""
    return f"http://{json.loads((stage.tree.state / 'daemon.json').read_bytes())['address']}"


def test_a_new_address_that_is_taken_is_told_and_the_old_settings_stay_in_force(
    stage: Stage, before: dict[str, int]
) -> None:
    right = stage.tree.config.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        stage.tree.config.write_text(right.replace("127.0.0.1:0", address))
        rejected = rejection(stage, before)
    stage.ready(stage.drop("taken.json", stage.has("taken.safetensors")))

    assert rejected["error"]["code"] == "address-in-use"


def test_new_settings_are_in_force_after_a_hangup_and_the_work_goes_on(
    stage: Stage, before: dict[str, int]
) -> None:
    other = stage.tree.base / "more-workflows"
    other.mkdir()
    right = stage.tree.config.read_text()
    stage.tree.config.write_text(f'workflow_dirs = ["{other}"]\n{right}')
    hang_up(stage.daemon)
    stage.daemon.when(lambda: count(stage, "daemon.ready") > before["daemon.ready"])

    stage.ready(drop(other / "w.json", stage.has("elsewhere.safetensors")))


def test_a_hangup_during_the_first_sweep_is_not_lost(tree: Tree) -> None:
    daemon = start(tree)
    try:
        daemon.until("daemon.started")
        hang_up(daemon)
        daemon.until("config.reloaded", limit=10)
    finally:
        daemon.stop()


def test_the_secret_of_the_environment_is_nowhere_in_the_log(tree: Tree, hub: Hub) -> None:
    secret = "hf_" + "s3cr3t" * 6
    path = drop(tree.workflows / "w.json", has(hub, "a.safetensors"))
    daemon = start(tree, environ={"HF_TOKEN": secret})
    try:
        daemon.until("reference.resolved")
        daemon.when(lambda: daemon.events("workflow.ready") or daemon.events("download.failed"))
    finally:
        daemon.stop()

    assert path.exists()
    assert secret.encode() not in b"".join(daemon.raw)
    assert not any(
        secret.encode() in file.read_bytes() for file in tree.state.rglob("*") if file.is_file()
    )


def test_downloads_can_be_switched_off_for_one_run(tree: Tree, hub: Hub) -> None:
    path = drop(tree.workflows / "w.json", has(hub, "a.safetensors"))
    with running(tree, "--no-download") as daemon:
        line = daemon.until("download.failed")
        daemon.stop()
    assert line["error"]["code"] == "download-off"
    assert hub.fetched() == {}

    with running(tree) as daemon:
        daemon.until("workflow.ready", workflow=path)


def test_it_runs_without_a_terminal_a_home_and_a_server(tree: Tree) -> None:
    """As a service may: nothing in the environment but a path to find programs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "comfywatchman", "run", "--config", str(tree.config), "--http", ""],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
    )
    daemon = Daemon(process)
    ready = daemon.until("daemon.ready")
    daemon.stop()

    assert ready["address"] is None
