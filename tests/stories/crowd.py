"""Real templates for a crowd of workflows, and what the daemon says became of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.templates import Template, Templates
from comfywatchman.resolve.urls import HubFile, canonical
from tests.stories.daemon import Daemon, Tree


def with_models(most: int) -> list[Template]:
    """Return templates whose models a hub of ours can have: those that declare no hash."""
    usable = (
        template
        for template in Templates.installed()
        if template.models() and '"hash"' not in json.dumps(template.content())
    )
    return list(usable)[:most]


def without_models(most: int) -> list[Template]:
    return [template for template in Templates.installed() if not template.models()][:most]


def drop_all(tree: Tree, templates: Sequence[Template]) -> None:
    for template in templates:
        (tree.workflows / f"{template.name}.json").write_bytes(template.path.read_bytes())


def states(daemon: Daemon) -> dict[str, str]:
    """Return the state of each workflow by its path, as the API tells it."""
    answer = requests.get(f"{daemon.url}/api/v1/workflows", timeout=30)
    answer.raise_for_status()
    return {row["path"]: row["state"] for row in rows(answer.json(), "workflows")}


def rows(body: Any, key: str) -> list[dict[str, Any]]:
    found = body[key] if isinstance(body, dict) else body
    assert isinstance(found, list)
    return found


def wait_for_all(daemon: Daemon, count: int, limit: float) -> dict[str, str]:
    """Wait until *count* workflows are known and all of them ready."""
    daemon.until("daemon.ready")
    return dict(
        daemon.when(
            lambda: (
                (now := states(daemon))
                and len(now) == count
                and set(now.values()) == {"ready"}
                and now
            ),
            limit,
            f"all {count} ready",
        )
    )


def wrong_files(tree: Tree, hub: Hub) -> list[str]:
    """Return what lies under a real name and is not what the hub serves under that name."""
    right: dict[str, set[str]] = {}
    for file in hub.files.values():
        right.setdefault(file.name, set()).add(file.sha256)
    # One template saves a file under another name than its address has.
    for template in Templates.installed():
        for model in template.models():
            here = HubFile.from_url(canonical(model.url))
            assert here is not None
            right.setdefault(model.name, set()).add(hub.files[f"{here.repo}/{here.path}"].sha256)
    return [
        name
        for name, path in tree.placed().items()
        if not path.name.startswith(".")
        and hashlib.sha256(path.read_bytes()).hexdigest() not in right.get(path.name, set())
    ]
