"""Many workflows at once, and a daemon that is killed again and again."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.templates import Templates
from tests.stories.crowd import (
    drop_all,
    wait_for_all,
    with_models,
    without_models,
    wrong_files,
)
from tests.stories.daemon import Tree, running, start


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.trial)])
def test_many_templates_dropped_at_once_are_all_ready_and_each_file_is_fetched_once(
    tmp_path: Path, count: int
) -> None:
    chosen = with_models(count)
    chosen += without_models(count - len(chosen))
    with Hub.from_declared(Templates.installed().declared_urls()) as hub:
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
        with running(tree) as daemon:
            drop_all(tree, chosen)

            wait_for_all(daemon, count, 200)

        distinct = {
            (m.folder, m.name) for template in chosen for m in template.models() if m.active
        }
        placed = {name for name in tree.placed() if "/." not in f"/{name}"}
        assert {f"{folder}/{name}" for folder, name in distinct} <= placed
        assert wrong_files(tree, hub) == []
        fetched = hub.fetched()
        assert {key: count for key, count in fetched.items() if count.whole != 1} == {}
        assert sum(count.partial for count in fetched.values()) == 0


def test_a_daemon_killed_twice_loses_nothing_and_fetches_nothing_twice(
    tmp_path: Path,
) -> None:
    _survives(tmp_path, kills=2, templates=8, seed=5)


@pytest.mark.trial
@pytest.mark.timeout(1800)
def test_a_daemon_killed_fifty_times_loses_nothing_and_fetches_nothing_twice(
    tmp_path: Path,
) -> None:
    _survives(tmp_path, kills=50, templates=300, seed=50)


def _survives(tmp_path: Path, *, kills: int, templates: int, seed: int) -> None:
    chance = random.Random(seed)
    chosen = with_models(templates)
    urls = Templates.installed().declared_urls()
    # Slow enough that most kills fall into the work: about as long as all the kills together.
    speed, longest = (4_000_000, 1.0) if templates < 100 else (1_500_000, 2.0)
    with Hub.from_declared(urls, sizes=(50_000, 400_000), throttle=speed) as hub:
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
        drop_all(tree, chosen)
        lines = []
        for _ in range(kills):
            daemon = start(tree)
            time.sleep(chance.uniform(0.05, longest))  # the moment itself is what is tried
            daemon.kill()
            lines += daemon.lines
            assert wrong_files(tree, hub) == []
        with running(tree) as daemon:
            wait_for_all(daemon, len(chosen), 300)
            lines += daemon.lines

        assert wrong_files(tree, hub) == []
        assert [name for name in tree.placed() if "/." in f"/{name}"] == []
        placed: dict[tuple[str, str], str] = {}
        for line in lines:
            if line.get("event") == "model.placed":
                placed.setdefault((line["folder"], line["name"]), line["timestamp"])
        again = [
            line
            for line in lines
            if line.get("event") == "download.started"
            and line["timestamp"] > placed.get((line["folder"], line["name"]), "9")
        ]
        assert again == []
        print(  # noqa: T201 - the figure of the trial
            f"{kills} kills: {len(chosen)} workflows ready, {len(placed)} models placed, "
            f"{len(again)} fetched again after that"
        )
