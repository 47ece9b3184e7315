"""The real daemon in a process of its own, and the ways to look at it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.warm import Forked, warm

KNOWN_PLACES = 'search_backends = ["workflow", "catalog"]\ncatalog.manager_list = ""'
"""For the settings file."""

LIMIT = 60.0
"""Seconds that anything waited for here may take."""


@dataclass
class Tree:
    """A scratch ComfyUI tree with its settings and state beside it."""

    base: Path
    hub_url: str
    hub_hosts: tuple[str, ...]
    settings: str = ""
    """Further lines for the settings file, tables and all."""
    asking: str = KNOWN_PLACES
    """Its first lines: who is asked. No test asks the real services."""

    def __post_init__(self) -> None:
        for directory in ("models/checkpoints", "models/loras", "user/default/workflows"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        (self.root / "main.py").touch()
        (self.root / "folder_paths.py").touch()
        self.write_settings()

    @property
    def root(self) -> Path:
        return self.base / "ComfyUI"

    @property
    def workflows(self) -> Path:
        return self.root / "user/default/workflows"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def state(self) -> Path:
        return self.base / "state"

    @property
    def config(self) -> Path:
        return self.base / "config.toml"

    def write_settings(self, **download: object) -> None:
        keys = {
            "insecure_hosts": list(self.hub_hosts),
            "min_free_bytes": 1_000_000,
            **download,
        }
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
        # A ComfyUI that runs on this machine is none of ours.
        nobody = "" if "[comfyui]" in self.settings else '[comfyui]\nurl = ""\n'
        self.config.write_text(
            f'comfyui_root = "{self.root}"\n{self.asking}\n'
            f"[download]\n{lines}\n"
            f'[hubs.huggingface]\nendpoint = "{self.hub_url}"\n'
            f'[http]\nlisten = "127.0.0.1:0"\n'
            f'[state]\ndirectory = "{self.state}"\n'
            f"{self.settings}\n{nobody}"
        )
        self.config.chmod(0o600)

    def placed(self) -> dict[str, Path]:
        """Return every file below ``models/`` by its path there, hidden ones included."""
        return {
            path.relative_to(self.models).as_posix(): path
            for path in sorted(self.models.rglob("*"))
            if path.is_file()
        }


@dataclass
class Daemon:
    """A running ``comfywatchman run`` and the lines of its log."""

    process: subprocess.Popen[bytes] | Forked
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    _news: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            self.raw.append(raw)
            try:
                self.lines.append(json.loads(raw) | {"_arrived": time.perf_counter()})
            except ValueError:
                self.lines.append({"event": "", "raw": raw.decode("utf-8", "replace")})
            self._news.put(None)
        self._news.put(None)

    def until(
        self, event: str, limit: float = LIMIT, after: int = 0, **fields: object
    ) -> dict[str, Any]:
        """Return the first line *event* with these *fields* that comes within *limit* seconds."""

        def matches(line: Mapping[str, Any]) -> bool:
            return line.get("event") == event and all(
                line.get(key) == (str(value) if isinstance(value, Path) else value)
                for key, value in fields.items()
            )

        found = self.when(lambda: next(filter(matches, self.lines[after:]), None), limit, event)
        return dict(found)

    def when(self, look: Callable[[], Any], limit: float = LIMIT, what: str = "") -> Any:
        """Return the first true answer of *look*, asked again with each line of the log."""
        deadline = time.monotonic() + limit
        while True:
            found = look()
            if found:
                return found
            left = deadline - time.monotonic()
            if left <= 0 or self.process.poll() is not None:
                tail = b"".join(self.raw[-15:]).decode("utf-8", "replace")
                raise AssertionError(f"{what or 'it'} did not come; the log ends with:\n{tail}")
            try:
                self._news.get(timeout=min(left, 0.1))
            except queue.Empty:
                continue

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == name]

    @property
    def url(self) -> str:
        address = self.until("daemon.ready")["address"]
        return f"http://{address}"

    def kill(self) -> None:
        """End it as a power cut of the process would."""
        self.process.kill()
        self.process.wait(LIMIT)
        self.hang_up()

    def hang_up(self) -> None:
        """Read the log to its end and close it, after the process has ended."""
        self._reader.join(LIMIT)
        if self.process.stderr is not None:
            self.process.stderr.close()

    def stop(self, limit: float = LIMIT) -> float:
        """Ask it to stop; return the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(limit)
        took = time.monotonic() - began
        self.hang_up()
        assert self.process.returncode == 0, b"".join(self.raw[-20:]).decode()
        return took


def clean_environ() -> dict[str, str]:
    """Return the environment without what the daemon would read from it."""
    ours = {"HF_TOKEN", "HF_ENDPOINT", "CIVITAI_API_KEY", "CIVITAI_API_TOKEN"}
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("COMFY") and key not in ours
    }


def start(tree: Tree, *arguments: str, environ: Mapping[str, str] | None = None) -> Daemon:
    """Start the daemon on *tree*, as a person would; the caller stops or kills it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "comfywatchman", "run", "--config", str(tree.config), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**clean_environ(), **(environ or {})},
        cwd=tree.base,
    )
    return Daemon(process)


def start_soon(tree: Tree, *arguments: str) -> Daemon:
    """Start it without the time that imports take, where that can be."""
    ready = warm()
    if ready is None:
        return start(tree, *arguments)
    line = ["run", "--config", str(tree.config), *arguments]
    return Daemon(ready.start(line, clean_environ(), tree.base))


@contextmanager
def running(tree: Tree, *arguments: str) -> Iterator[Daemon]:
    """Run the daemon for the time of a test; it is ended whatever happens."""
    daemon = start_soon(tree, *arguments)
    try:
        daemon.until("daemon.ready")
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.terminate()
            try:
                daemon.process.wait(10)
            except subprocess.TimeoutExpired:
                daemon.process.kill()
                daemon.process.wait(LIMIT)
        daemon.hang_up()
