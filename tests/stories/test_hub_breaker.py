"""A hub that is down: left alone, seen in the metrics, tried again, and forgiven."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.made import drop, has


def gauge(daemon: Daemon, host: str) -> float | None:
    page = requests.get(f"{daemon.url}/metrics", timeout=10).text
    found = re.search(rf'(?m)^comfywatchman_breaker_open{{host="{re.escape(host)}"}} (\S+)$', page)
    return float(found[1]) if found else None


def test_the_hosts_that_are_asked_have_a_closed_breaker_from_the_start(
    tree: Tree, hub: Hub
) -> None:
    with running(tree) as daemon:
        for host in ("civitai.com", "huggingface.co", "api.github.com", hub.hosts[0], "other"):
            assert gauge(daemon, host) == 0.0


@pytest.mark.trial
def test_a_hub_that_is_down_is_left_alone_and_asked_again(tree: Tree, hub: Hub) -> None:
    wants = [has(hub, f"{number}.safetensors") for number in range(4)]
    hub.fault("drop", where="hub", times=5)
    path: Path = drop(tree.workflows / "w.json", *wants)
    with running(tree) as daemon:
        daemon.when(lambda: gauge(daemon, hub.hosts[0]) == 1.0, what="the breaker opens")
        assert len(hub.requests) == 5
        daemon.until("workflow.ready", workflow=path)
        assert gauge(daemon, hub.hosts[0]) == 0.0
