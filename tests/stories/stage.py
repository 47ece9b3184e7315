"""A daemon that several stories share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Daemon, Tree
from tests.stories.made import Want, drop, has

SHORT_REST = "[watch]\nsettle_seconds = 0.3"
"""For the settings file."""


@dataclass(frozen=True)
class Stage:
    tree: Tree
    hub: Hub
    daemon: Daemon

    def has(self, name: str, folder: str = "loras", content: bytes | None = None) -> Want:
        return has(self.hub, name, folder, content)

    def drop(self, name: str, *wants: Want) -> Path:
        return drop(self.tree.workflows / name, *wants)

    def ready(self, path: Path, references: int = 1) -> None:
        """Wait until the workflow is ready with at least so many references."""
        self.daemon.when(
            lambda: any(
                line["references"] >= references for line in self.lines("workflow.ready", path)
            ),
            what=f"{path.name} ready",
        )

    def placed(self, want: Want) -> dict[str, Any]:
        """Return what the log says about the placing of *want*, which happened once."""
        (line,) = (line for line in self.daemon.events("model.placed") if line["name"] == want.name)
        return line

    def is_right(self, want: Want) -> bool:
        """Say whether the file in its folder is the hub's."""
        content = (self.tree.models / want.where).read_bytes()
        return hashlib.sha256(content).hexdigest() == self.hub.named(want.name).sha256

    def asked_for(self, want: Want) -> int:
        """Return how many requests were about *want*."""
        return sum((r.key or "").endswith(f"/{want.name}") for r in self.hub.requests)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.daemon.url}{path}", timeout=10)

    def lines(self, event: str, workflow: Path) -> list[dict[str, Any]]:
        found = self.daemon.events(event)
        return [line for line in found if line.get("workflow") == str(workflow)]

    def lets_time_pass(self, name: str) -> None:
        """Have another workflow dropped, read and done meanwhile."""
        other = self.drop(name, Want("nobody-has-it.pt"))
        self.daemon.until("workflow.analyzed", workflow=other)
