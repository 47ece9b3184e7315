"""Faults that are really caused, and the alerts of docs/monitoring that fire for them.

An alert is looked at as what it comes to at one scrape and the one before: a sum of samples that
is compared with a number. How long it must last, and over which time it is counted, is tested with
promtool's unit tests.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.keeping import decay, measured, put
from tests.cli.shell import Shell
from tests.notices.receiver import LIMIT
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.made import Want, drop, has
from tests.stories.test_state_disk import fill

ALERTS = Path(__file__).parents[2] / "docs/monitoring/alerts.yml"
WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
NOBODY = "http://127.0.0.1:9/hook"

pytestmark = pytest.mark.trial


@dataclass(frozen=True)
class Page:
    """One scrape."""

    samples: tuple[tuple[str, dict[str, str], float], ...]

    @classmethod
    def of(cls, daemon: Daemon) -> Page:
        text = requests.get(f"{daemon.url}/metrics", timeout=LIMIT).text
        families = text_string_to_metric_families(text)
        return cls(tuple((s.name, s.labels, s.value) for f in families for s in f.samples))

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            value
            for found, has, value in self.samples
            if found == f"comfywatchman_{name}" and labels.items() <= has.items()
        ]

    def sum(self, name: str, **labels: str) -> float:
        return sum(self.values(name, **labels))


Fires = Callable[[Page, Page], bool]
"""Given a scrape and the one before: whether the condition of the alert holds."""


def rises(name: str, **labels: str) -> Fires:
    return lambda now, before: now.sum(name, **labels) > before.sum(name, **labels)


FIRES: dict[str, Fires] = {
    "WatchBlind": lambda now, _: (
        now.sum("watch_directories_expected") > now.sum("watched_directories")
    ),
    "RootOffline": lambda now, _: now.sum("watch_roots", state="offline") > 0,
    "VerifyFailures": rises("download_verify_failures_total"),
    "DownloadBlocked": rises("download_blocked_total"),
    "ChoicesWaiting": lambda now, _: now.sum("choices_waiting") > 0,
    "BreakerOpen": lambda now, _: 1.0 in now.values("breaker_open"),
    "DiskLow": lambda now, _: min(now.values("volume_free_bytes")) < 10737418240,
    "ScrubMismatch": rises("scrub_mismatches_total"),
    "DbErrors": lambda now, before: any(
        rises("db_errors_total", kind=kind)(now, before) for kind in ("full", "io", "corrupt")
    ),
    "NoticesGivenUp": lambda now, before: (
        rises("webhook_deliveries_total", result="given-up")(now, before)
        or now.sum("notices", state="dead") > 0
    ),
    "ConfigRejected": lambda now, _: now.sum("config_last_reload_successful") == 0,
    "StrangersAtTheDoor": rises("http_rejected_total"),
    "NotReady": lambda now, _: now.sum("ready") == 0,
}


def test_what_is_looked_at_is_what_the_alerts_ask_for() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    asked: list[str] = []

    class Asked(Page):
        def sum(self, name: str, **_labels: str) -> float:
            asked.append(name)
            return 0.0

        def values(self, name: str, **_labels: str) -> list[float]:
            asked.append(name)
            return [0.0]

    for name, fires in FIRES.items():
        fires(Asked(()), Asked(()))
        for metric in asked:
            assert f"comfywatchman_{metric}" in rules[f"Comfywatchman{name}"]
        asked.clear()


@dataclass
class Scene:
    tree: Tree
    hub: Hub
    daemon: Daemon
    undo: ExitStack

    def fires(self, alert: str, fault: Callable[[Scene], object]) -> None:
        """Cause *fault* and wait until *alert* fires, which it did not before."""
        before = Page.of(self.daemon)
        assert not FIRES[alert](before, before)
        fault(self)
        self.daemon.when(lambda: FIRES[alert](Page.of(self.daemon), before), what=alert)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Hub() as hub, ExitStack() as undo:
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
        far = tmp_path / "far"
        far.mkdir()
        (far / "far.safetensors").write_bytes(weights("far", 2000))
        tree.settings = (
            "[watch]\nsettle_seconds = 0.1\n"
            f'[[model_directories]]\ntype = "lora"\npath = "{far}"\n'
            f'[notify]\nretry_hours = 0\nwebhooks = [{{ url = "{NOBODY}" }}]\n'
            'insecure_hosts = ["127.0.0.1:9"]\n'
        )
        tree.write_settings()
        with running(tree) as daemon:
            daemon.until("model.indexed")
            yield Scene(tree, hub, daemon, undo)


def unplugged(scene: Scene) -> None:
    (scene.tree.base / "far").rename(scene.tree.base / "away")


def corrupted(scene: Scene) -> None:
    want = has(scene.hub, "corrupted.safetensors")
    scene.hub.fault("corrupt", want.name, after=100, times=9)
    drop(scene.tree.workflows / "corrupted.json", want)


def doubtful(scene: Scene) -> None:
    """A file of which nobody publishes a hash."""
    url = scene.hub.add_plain("doubtful.safetensors")
    drop(scene.tree.workflows / "doubtful.json", Want("doubtful.safetensors", "loras", url))


def down(scene: Scene) -> None:
    scene.hub.fault("drop", where="hub", times=50)
    wants = [has(scene.hub, f"down-{number}.safetensors") for number in range(4)]
    drop(scene.tree.workflows / "down.json", *wants)


def told_in_vain(scene: Scene) -> None:
    drop(scene.tree.workflows / "nobody.json", Want("nobody-has-it.pt"))


def wrong(scene: Scene) -> None:
    scene.tree.config.write_text("nonsense = 1\n")
    scene.daemon.process.send_signal(signal.SIGHUP)


def rejected(scene: Scene) -> None:
    headers = {"Host": "evil.example"}
    requests.get(f"{scene.daemon.url}/api/v1/status", headers=headers, timeout=LIMIT)


def blind(scene: Scene) -> None:
    limit = WATCHES.read_text()
    scene.undo.callback(WATCHES.write_text, limit)
    WATCHES.write_text("1")
    for number in range(300):
        (scene.tree.models / f"loras/{number}").mkdir()


def deleted(scene: Scene) -> None:
    for file in scene.tree.state.glob("comfywatchman.sqlite3*"):
        file.unlink()


FAULTS: dict[str, Callable[[Scene], object]] = {
    "RootOffline": unplugged,
    "VerifyFailures": corrupted,
    "ChoicesWaiting": doubtful,
    "DownloadBlocked": doubtful,
    "BreakerOpen": down,
    "NoticesGivenUp": told_in_vain,
    "ConfigRejected": wrong,
    "StrangersAtTheDoor": rejected,
    "WatchBlind": blind,
    "NotReady": deleted,
}


@pytest.mark.parametrize("alert", FAULTS)
def test_a_fault_fires_its_alert(scene: Scene, alert: str) -> None:
    scene.fires(alert, FAULTS[alert])


def test_a_decayed_file_fires_its_alert(tmp_path: Path, hub: Hub) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), '[inventory]\nhash = "off"')
    shell = Shell(tree)
    path = put(tree, "loras/a.safetensors")
    measured(shell)
    decay(tree, path)
    with running(tree) as daemon, ExitStack() as undo:
        shown = Scene(tree, hub, daemon, undo)
        shown.fires("ScrubMismatch", lambda _: shell("inventory", "verify", "--json"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """The state on a file system of 16 MB."""
    state = tmp_path / "state"
    state.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(state)]
    if subprocess.run(line, capture_output=True, check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield state
    subprocess.run(["umount", "-l", str(state)], check=True)


def test_a_full_disk_of_the_state_fires_its_alert(tmp_path: Path, small: Path, hub: Hub) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), "[watch]\nsettle_seconds = 0.1")

    def full(_scene: Scene) -> None:
        fill(small)
        drop(tree.workflows / "a.json", Want("a.pt"))

    with running(tree) as daemon, ExitStack() as undo:
        Scene(tree, hub, daemon, undo).fires("DbErrors", full)


def test_a_small_disk_of_the_models_fires_its_alert(tmp_path: Path, hub: Hub) -> None:
    models = tmp_path / "ComfyUI/models"
    models.mkdir(parents=True)
    line = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(models)]
    if subprocess.run(line, capture_output=True, check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        with running(Tree(tmp_path, hub.url, tuple(hub.hosts))) as daemon:
            page = Page.of(daemon)
            assert FIRES["DiskLow"](page, page)
    finally:
        subprocess.run(["umount", "-l", str(models)], check=True)
