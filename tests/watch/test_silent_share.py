"""A share below a root that does not answer when watching begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.disk.answering import Answering
from comfywatchman.disk.scouts import Scouts
from comfywatchman.watch.kernel import BlindMounts
from comfywatchman.watch.limits import directories_in
from comfywatchman.watch.notice import News, Notice, Noticed, RootState, WatchRoot
from comfywatchman.watch.watcher import Watcher
from tests.share import Share, shared
from tests.watch.conftest import Watched


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Share]:
    (tmp_path / "server").mkdir()
    (tmp_path / "root/nas").mkdir(parents=True)
    (tmp_path / "root/near/below").mkdir(parents=True)
    with shared(tmp_path / "server", tmp_path / "root/nas") as share:
        share.hang()
        yield share


def test_the_rest_of_the_root_is_watched_all_the_same(silent: Share, tmp_path: Path) -> None:
    root = tmp_path / "root"
    answering = Answering(1.0, Scouts(BlindMounts()))
    news: News[Noticed] = News()
    watcher = Watcher(news, answering=answering)
    try:
        (change,) = watcher.start([WatchRoot(root, "models")])
        (root / "near/below/new.safetensors").touch()
        Watched(watcher, news).wait_for(root / "near/below/new.safetensors", Notice.CHANGED)
        left = answering.left_behind()
    finally:
        silent.wake()
        watcher.stop()
        answering.close()

    assert change.state is RootState.ONLINE
    assert left == []


def test_what_is_avoided_is_not_counted(silent: Share, tmp_path: Path) -> None:
    assert directories_in(tmp_path / "root", {silent.mountpoint}) == 3
