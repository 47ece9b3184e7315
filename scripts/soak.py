"""A daemon at work for a long time: random drops, edits, renames, deletions, faults and reloads.

``make soak`` runs it for an hour, ``make soak ARGS=180`` for so many seconds. It fails where
threads, file descriptors or memory grow, where the queue does not come to its end, or where the
daemon thinks otherwise of a workflow than a fresh look does.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from comfywatchman.demo.faults import Kind
from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from comfywatchman.state.job_rows import OPEN
from tests.stories.daemon import Daemon, Tree, start
from tests.stories.made import Want, has, text

MODELS, MOST_WORKFLOWS, MOST_OWN = 40, 120, 60
FAULTS: tuple[Kind, ...] = ("cut", "stall", "corrupt", "status", "slow-start")
WARM_SHARE = 0.3
"""Of the samples, which are not counted: caches fill, and the allocator finds its size."""
WANTED_SLOPE = 1.0
"""MB an hour."""
QUIET_SECONDS = 300.0
"""In which the queue has to come to its end, once nothing happens any more."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon holds at a moment."""

    at: float
    threads: int
    descriptors: int
    anonymous: float
    """MB, of the daemon without its parsing child."""


@dataclass
class Soak:
    """What is done to one daemon, and what it looked like meanwhile."""

    tree: Tree
    hub: Hub
    daemon: Daemon
    chosen: random.Random
    wants: list[Want]
    token: str
    done: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    number: int = 0
    pause: float = 0.3
    """Seconds between two things that happen, at most."""

    # -- what happens

    def act(self) -> None:
        """Do one thing, chosen by its weight."""
        acts: dict[Callable[[], None], int] = {
            self._drop: 8,
            self._edit: 8,
            self._rename: 4,
            self._delete: 4,
            self._damage: 2,
            self._own_model: 4,
            self._rename_own: 2,
            self._delete_own: 2,
            self._fault: 3,
            self._reload: 1,
            self._sweep: 1,
            self._look: 4,
        }
        (act,) = self.chosen.choices(list(acts), list(acts.values()))
        name = act.__name__.strip("_")
        try:
            act()
        except requests.ConnectionError:
            name += " while it begins anew"
        self.done[name] += 1

    def _workflows(self) -> list[Path]:
        return sorted(self.tree.workflows.glob("*.json"))

    def _own(self) -> list[Path]:
        return sorted((self.tree.models / "loras").glob("own-*.safetensors"))

    def _new(self, stem: str, suffix: str) -> str:
        self.number += 1
        return f"{stem}-{self.number}{suffix}"

    def _text(self) -> str:
        return text(*self.chosen.sample(self.wants, self.chosen.randint(1, 3)))

    def _drop(self) -> None:
        if len(self._workflows()) < MOST_WORKFLOWS:
            (self.tree.workflows / self._new("w", ".json")).write_text(self._text())

    def _edit(self) -> None:
        for path in self.chosen.sample(self._workflows(), min(1, len(self._workflows()))):
            path.write_text(self._text())

    def _rename(self) -> None:
        for path in self.chosen.sample(self._workflows(), min(1, len(self._workflows()))):
            path.rename(path.with_name(self._new("r", ".json")))

    def _delete(self) -> None:
        found = self._workflows()
        for path in self.chosen.sample(found, min(1, len(found) // 10)):
            path.unlink()

    def _damage(self) -> None:
        said = self._text()
        path = self.tree.workflows / f"damaged-{self.chosen.randrange(5)}.json"
        path.write_text(said[: self.chosen.randrange(1, len(said))])

    def _own_model(self) -> None:
        if len(self._own()) < MOST_OWN:
            name = self._new("own", ".safetensors")
            (self.tree.models / "loras" / name).write_bytes(weights(name, 60_000))

    def _rename_own(self) -> None:
        for path in self.chosen.sample(self._own(), min(1, len(self._own()))):
            path.rename(path.with_name(self._new("own-again", ".safetensors")))

    def _delete_own(self) -> None:
        for path in self.chosen.sample(self._own(), min(1, len(self._own()))):
            path.unlink()

    def _fault(self) -> None:
        kind = self.chosen.choice(FAULTS)
        self.hub.fault(kind, after=self.chosen.randrange(50_000), seconds=2.0, times=1)

    def _reload(self) -> None:
        self.tree.write_settings(
            concurrency=self.chosen.randint(1, 4), stall_seconds=1, max_retries=8
        )
        self.daemon.process.send_signal(signal.SIGHUP)

    def _sweep(self) -> None:
        self.ask("POST", "sweep", {})

    def _look(self) -> None:
        for path in ("", "metrics", "api/v1/workflows", "api/v1/models"):
            requests.get(f"{self.url}/{path}", timeout=30).raise_for_status()

    @property
    def url(self) -> str:
        """Where it listens since it last began anew: the port is another one each time."""
        return f"http://{self.daemon.events('daemon.ready')[-1]['address']}"

    def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        """Ask the API.

        Raises:
            requests.RequestException: there is no good answer.
        """
        answer = requests.request(
            method,
            f"{self.url}/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json()

    # -- how it looks

    def sample(self, at: float) -> None:
        """Note what the daemon holds *at* seconds after the beginning."""
        process = Path(f"/proc/{self.daemon.process.pid}")
        lines = (process / "status").read_text().splitlines()
        anonymous = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
        self.samples.append(
            Sample(
                at,
                len(os.listdir(process / "task")),  # noqa: PTH208 - only their number is wanted
                len(os.listdir(process / "fd")),  # noqa: PTH208 - only their number is wanted
                anonymous / 1000,
            )
        )

    def run(self, seconds: float) -> None:
        """Act and look for so long."""
        began = time.monotonic()
        next_sample = 0.0
        while (at := time.monotonic() - began) < seconds:
            if at >= next_sample:
                self.sample(at)
                next_sample = at + max(0.5, seconds / 1000)
            self.act()
            time.sleep(self.chosen.uniform(0.01, self.pause))

    # -- how it ends

    def settle(self) -> bool:
        """Wait until nothing is to be done; what the faults used up is tried once more."""
        deadline = time.monotonic() + QUIET_SECONDS
        quiet = 0
        while time.monotonic() < deadline:
            try:
                quiet = quiet + 1 if self._is_quiet() else 0
            except requests.ConnectionError:  # the last thing that happened was a reload
                quiet = 0
            if quiet == _QUIET_LOOKS:
                return True
            time.sleep(0.5)
        return False

    def _is_quiet(self) -> bool:
        jobs = self.ask("GET", "jobs")["jobs"]
        for job in jobs:
            if job["state"] == "failed":
                self.ask("POST", f"jobs/{job['id']}/retry", {})
        return not any(job["state"] in OPEN for job in jobs)

    def differences(self) -> list[str]:
        """Compare what the daemon says of each workflow with what a fresh process says."""
        told = {row["path"]: row["state"] for row in self.ask("GET", "workflows")["workflows"]}
        line = [sys.executable, "-m", "comfywatchman", "analyze", "--json"]
        environ = {"COMFYWATCHMAN_CONFIG": str(self.tree.config)}
        done = subprocess.run(
            [*line, str(self.tree.workflows)],
            capture_output=True,
            env={**os.environ, **environ},
            check=False,
        )
        fresh = {row["path"]: row["state"] for row in json.loads(done.stdout)["workflows"]}
        return [
            f"{path}: the daemon says {told.get(path)}, a fresh look {fresh.get(path)}"
            for path in sorted(told.keys() | fresh.keys())
            if told.get(path) != fresh.get(path)
        ] + [f"{path}: blocked" for path, state in sorted(fresh.items()) if state == "blocked"]


_QUIET_LOOKS = 6


def _descriptors(process: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for name in os.listdir(process / "fd"):  # noqa: PTH208 - of the kernel, not files
        try:
            target = os.readlink(process / "fd" / name)  # noqa: PTH115 - a path or "socket:[7]"
        except OSError:
            continue  # closed meanwhile
        found[target.split(":")[0].rpartition("/")[2] or target] += 1
    return found


def slope(samples: list[Sample], of: Callable[[Sample], float]) -> float:
    """Return by how much it grows in an hour, by least squares after the warm-up."""
    counted = samples[int(len(samples) * WARM_SHARE) :]
    middle = sum(each.at for each in counted) / len(counted)
    spread = sum((each.at - middle) ** 2 for each in counted)
    return 3600 * sum((each.at - middle) * of(each) for each in counted) / spread


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    done: Counter[str]
    samples: list[Sample]
    settled: bool
    differences: list[str]
    troubles: list[str]
    """Lines of the log that no fault explains."""


def soak(base: Path, seconds: float, seed: int, pause: float = 0.3) -> Result:
    """Run it in the directory *base*; something happens every *pause* seconds at the least."""
    with Hub() as hub:
        settings = "[watch]\nsettle_seconds = 0.2"
        tree = Tree(base, hub.url, tuple(hub.hosts), settings)
        tree.write_settings(stall_seconds=1, max_retries=8)
        daemon = start(tree)
        try:
            daemon.until("daemon.ready")
            wants = [has(hub, f"model-{number}.safetensors") for number in range(MODELS)]
            token = (tree.state / "http-token").read_text().strip()
            chosen = random.Random(seed)
            work = Soak(tree, hub, daemon, chosen, wants, token, pause=pause)
            work.run(seconds)
            settled = work.settle()
            found = Result(work.done, work.samples, settled, work.differences(), _troubles(daemon))
            daemon.stop()
        finally:
            if daemon.process.poll() is None:
                daemon.kill()
    return found


def _troubles(daemon: Daemon) -> list[str]:
    return [
        f"{line['event']}: {line.get('error', line)}"
        for line in daemon.lines
        if line.get("event") in {"job.crashed", "worker.died"} or "raw" in line
    ]


def main(arguments: list[str]) -> int:
    """Run for an hour, or for the seconds that are given; print what was seen."""
    seconds = float(arguments[0]) if arguments else 3600.0
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    with tempfile.TemporaryDirectory() as base:
        found = soak(Path(base), seconds, seed)
    print(f"{seconds:.0f} s, seed {seed}: {dict(found.done)}")
    first, last = found.samples[int(len(found.samples) * WARM_SHARE)], found.samples[-1]
    for name, of in MEASURES.items():
        print(
            f"  {name}: {of(first):.1f} after the warm-up, {of(last):.1f} at the end, "
            f"{slope(found.samples, of):+.2f} an hour"
        )
    print(f"  the queue came to its end: {found.settled}")
    for line in [*found.differences, *found.troubles]:
        print(f"  {line}")
    grown = slope(found.samples, MEASURES["anonymous memory, MB"])
    well = found.settled and not found.differences and not found.troubles
    return 0 if well and grown < WANTED_SLOPE else 1


MEASURES: dict[str, Callable[[Sample], float]] = {
    "threads": lambda sample: sample.threads,
    "file descriptors": lambda sample: sample.descriptors,
    "anonymous memory, MB": lambda sample: sample.anonymous,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
