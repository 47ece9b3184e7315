"""What the metrics ask for at the moment of a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.parts import breaker_hosts
from comfywatchman.daemon.window import View
from comfywatchman.disk.files import free_bytes
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.inventory import lists
from comfywatchman.report.metrics import Sources
from comfywatchman.state import choices, deliveries, jobs, models, placed, store, workflows
from comfywatchman.watch.notice import RootState

if TYPE_CHECKING:
    from comfywatchman.daemon.serving import Running


@dataclass(slots=True)
class Gauges(Sources):
    """Implements the `Sources` of the metrics over what the server's view shows."""

    view: View

    @property
    def _running(self) -> Running:
        """What runs; a gauge asked before that is absent from the page."""
        if self.view.running is None:
            raise LookupError("nothing runs yet")
        return self.view.running

    def ready(self) -> bool:
        return self.view.ready().ready

    def comfyui_up(self) -> bool:
        return self._running.nodes.up is True

    def workers(self) -> Mapping[str, tuple[bool, float]]:
        found = dict(self._running.alive())
        for name in self.view.troubled():
            found[name] = (False, found.get(name, (False, 0.0))[1])
        return found

    def workflows(self) -> Mapping[str, int]:
        return self._running.engine.reader.read(workflows.counts)

    def references(self) -> Mapping[str, int]:
        return self._running.engine.reader.read(workflows.reference_counts)

    def models(self) -> Mapping[str, tuple[int, int]]:
        folders = self._running.place.layout.folders
        found: dict[str, tuple[int, int]] = dict.fromkeys(folders.table, (0, 0))
        for path, size in self._running.engine.reader.read(models.sizes):
            for folder, name in folders.named(path):
                if lists(folders, folder, name):
                    count, total = found.get(folder, (0, 0))
                    found[folder] = (count + 1, total + size)
        return found

    def watch_roots(self) -> Mapping[tuple[str, str], int]:
        running = self._running
        counts = {
            (method.value, state.value): 0 for method, state in running.watcher.methods().roots
        }
        trees = {tree.root: tree for tree in running.trees}
        for change in running.watcher.states():
            tree = trees.get(change.root.path)
            if tree is not None and running.counts(tree):
                counts[change.method.value, change.state.value] += 1
        return counts

    def watched_directories(self) -> Mapping[str, int]:
        return {"events": self._running.watcher.methods().directories}

    def watch_directories_expected(self) -> int:
        running = self._running
        sweeps = running.sweeps
        degraded = [
            change.root.path
            for change in running.watcher.states()
            if change.state is RootState.DEGRADED
        ]
        polled = sum(sweeps.directories.get(root, 1) for root in degraded)
        return running.watcher.methods().directories + sweeps.uncovered + polled

    def pending_paths(self) -> int:
        return self._running.watching.settling.waiting()

    def last_sweeps(self) -> Mapping[str, float]:
        return dict(self._running.swept_at)

    def hash_backlog(self) -> tuple[int, int]:
        standing = self._running.engine.standing()
        return standing.files, standing.size

    def open_breakers(self) -> Mapping[str, bool]:
        """Per host that the settings or we name; all others together are ``other``."""
        running = self._running
        named = breaker_hosts(running.settings)
        found = dict.fromkeys((*named, "other"), False)
        for host, is_open in running.engine.policy.manners.open_breakers().items():
            key = host if host in found else "other"
            found[key] = found[key] or is_open
        return found

    def downloads_in_progress(self) -> int:
        return self._counts()["fetch", jobs.RUNNING]

    def download_queue(self) -> int:
        return self._counts()["fetch", jobs.WAITING]

    def download_speed(self) -> float:
        return sum(line.bytes_per_second for line in self.view.downloads())

    def download_remaining(self) -> tuple[int, float]:
        under_way = [line for line in self.view.downloads() if line.state == "running"]
        rest = sum(max(0, line.size - line.done) for line in under_way if line.size is not None)
        longest = max((line.remaining_seconds or 0.0 for line in under_way), default=0.0)
        return rest, longest

    def unverifiable(self) -> int:
        return len(self._running.engine.reader.read(placed.unverifiable))

    def free_bytes(self) -> Mapping[str, int]:
        found = {}
        running = self._running
        for tree in running.trees:
            if not running.watcher.is_there(tree.root):
                continue  # an offline root has no volume
            try:
                found[tree.key] = running.engine.reach.at(tree.root, free_bytes)
            except (OSError, WatchmanError):
                continue
        return found

    def jobs(self) -> Mapping[tuple[str, str], int]:
        return self._counts()

    def choices_waiting(self) -> int:
        return len(self._running.engine.reader.read(choices.open_choices))

    def notices(self) -> Mapping[str, int]:
        return self._running.engine.reader.read(deliveries.counts)

    def db_bytes(self) -> Mapping[str, int]:
        path = store.database_path(self._running.place.state_directory)
        files = {"main": path, "wal": Path(f"{path}-wal")}
        return {name: file.stat().st_size for name, file in files.items() if file.exists()}

    def timers(self) -> Mapping[str, float]:
        return self._running.engine.reader.read(workflows.timer_times)

    def _counts(self) -> Counter[tuple[str, str]]:
        return Counter(self._running.engine.reader.read(jobs.counts))
