"""Faults of watching, one by one: each is noticed, and cured or told."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from watchdog.events import FileCreatedEvent

from comfywatchman.disk.answering import Answering
from comfywatchman.watch.kernel import Mount
from comfywatchman.watch.notice import (
    EVERYWHERE,
    Method,
    News,
    Notice,
    Noticed,
    Polling,
    RootChange,
    RootState,
    WatchRoot,
)
from comfywatchman.watch.probing import ANSWER_WITHIN_SECONDS
from comfywatchman.watch.watcher import Watcher
from tests.share import shared
from tests.watch.conftest import LIMIT_SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what inotify tells")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    (root / "loras").mkdir(parents=True)
    return root


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "state" / "probe"


def made(
    root: Path, own: Path | None, **more: object
) -> tuple[Watcher, SimpleQueue[Noticed], RootChange]:
    news: News[Noticed] = News()
    watcher = Watcher(news, own=own, **more)  # type: ignore[arg-type]  # as the tests need it
    (state,) = watcher.start([WatchRoot(root, "models")])
    return watcher, news, state


@pytest.fixture
def watcher(root: Path, own: Path) -> Iterator[tuple[Watcher, SimpleQueue[Noticed]]]:
    watcher, news, _ = made(root, own)
    yield watcher, news
    watcher.stop()


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come")
        time.sleep(0.01)


def told(news: SimpleQueue[Noticed]) -> list[Noticed]:
    found = []
    while True:
        try:
            found.append(news.get_nowait())
        except Empty:
            return found


def hears(watcher: Watcher, news: SimpleQueue[Noticed], root: Path) -> bool:
    """Whether what happens below *root* is told."""
    told(news)
    (root / "heard").touch()
    heard: list[Noticed] = []

    def came() -> bool:
        heard.extend(told(news))
        return Noticed(root / "heard", Notice.CHANGED) in heard

    until(came, "the notification")
    (root / "heard").unlink()
    return True


# -- threads


def test_a_handler_that_fails_is_counted_and_a_sweep_is_asked_for(
    watcher: tuple[Watcher, SimpleQueue[Noticed]], root: Path
) -> None:
    watching, news = watcher
    forward = watching._trees._forward
    places, forward.places = forward.places, ((5, 5),)  # type: ignore[assignment]  # the bug
    forward.dispatch(FileCreatedEvent("/x"))
    forward.places = places
    told(news)
    watching.check_roots()

    assert watching.failures() == 1
    assert told(news) == [Noticed(EVERYWHERE, Notice.OVERFLOW)]
    assert hears(watching, news, root)


def test_the_thread_of_a_tree_that_ended_is_begun_anew(
    watcher: tuple[Watcher, SimpleQueue[Noticed]], root: Path
) -> None:
    watching, news = watcher
    observer = watching._trees._observer
    assert observer is not None
    (emitter,) = (each for each in observer.emitters if each.watch.path == str(root))
    emitter.stop()
    until(lambda: not emitter.is_alive(), "the end of the thread")
    (change,) = watching.check_roots()

    assert change.replaced
    assert Noticed(root, Notice.ROOT_BACK) in told(news)
    assert hears(watching, news, root)


@pytest.mark.parametrize("which", ["the reader of the kernel's queue", "the dispatcher"])
def test_a_chain_that_is_broken_anywhere_is_noticed_by_our_own_directory(
    watcher: tuple[Watcher, SimpleQueue[Noticed]], root: Path, which: str
) -> None:
    watching, news = watcher
    assert answered(watching)
    observer = watching._trees._observer
    assert observer is not None
    if which == "the dispatcher":
        observer.stop()
        until(lambda: not observer.is_alive(), "the end of the thread")
    else:
        observer._inotify_fd.stop()  # type: ignore[attr-defined]  # watchdog's own
        until(lambda: not observer._inotify_fd.is_alive(), "its end")  # type: ignore[attr-defined]  # as above
        now = time.monotonic()
        watching.probe(now)
        assert watching.probe_failed(now + ANSWER_WITHIN_SECONDS + 1)
        watching.restart()
    watching.check_roots()

    assert Noticed(EVERYWHERE, Notice.OVERFLOW) in told(news) or which == "the dispatcher"
    assert hears(watching, news, root)
    assert answered(watching)


def answered(watching: Watcher) -> bool:
    assert watching.probe(time.monotonic()) > 0
    until(watching.probe_answered, "the answer")
    return True


# -- what is asked, and how often


def test_only_our_own_directory_is_touched_once_the_roots_have_answered(
    watcher: tuple[Watcher, SimpleQueue[Noticed]], root: Path, own: Path
) -> None:
    watching, _ = watcher
    assert answered(watching)
    before = root.stat()
    for _ in range(3):
        assert watching.probe(time.monotonic()) == 1
        until(watching.probe_answered, "the answer")

    assert root.stat().st_ctime_ns == before.st_ctime_ns
    assert own.stat().st_ctime_ns > before.st_ctime_ns


# -- file systems that tell nothing


def test_a_root_that_does_not_answer_while_our_own_directory_does_is_polled(
    watcher: tuple[Watcher, SimpleQueue[Noticed]], root: Path
) -> None:
    watching, news = watcher
    forward = watching._trees._forward
    forward.tops -= {str(root)}  # as if the change of its mode were never told
    watching.probe(now := time.monotonic())
    until(lambda: len(watching._probes._asked) > 1 or not watching._probes._asked, "questions")
    time.sleep(0.1)
    assert watching.probe_failed(now + ANSWER_WITHIN_SECONDS + 1)
    (change,) = watching.restart()

    assert (change.method, change.state) == (Method.POLLING, RootState.ONLINE)
    assert change.trouble is not None
    assert change.trouble.code == "watch-deaf"
    assert watching.polled_roots() == [root]
    assert Noticed(EVERYWHERE, Notice.OVERFLOW) in told(news)
    assert watching.check_roots() == []  # told once


def test_a_root_in_which_a_sweep_finds_what_was_not_told_is_polled(
    watcher: tuple[Watcher, SimpleQueue[Noticed]], root: Path
) -> None:
    watching, _ = watcher
    (change,) = watching.missed(root)

    assert change.method is Method.POLLING
    assert change.trouble is not None
    assert change.trouble.code == "watch-deaf"
    assert watching.polled_roots() == [root]
    assert watching.missed(root) == []


def test_a_root_is_listened_to_again_when_another_directory_lies_there(
    watcher: tuple[Watcher, SimpleQueue[Noticed]], root: Path
) -> None:
    watching, news = watcher
    watching.missed(root)
    root.rename(root.with_name("old"))
    root.mkdir()
    watching.check_roots()

    assert watching.polled_roots() == []
    assert hears(watching, news, root)


def test_events_are_wanted_all_the_same_where_the_settings_say_so(root: Path, own: Path) -> None:
    watcher, _, _ = made(root, own, polling=Polling.NEVER)
    try:
        assert watcher.missed(root) == []
        assert watcher.polled_roots() == []
    finally:
        watcher.stop()


def test_a_file_system_of_a_program_is_polled_by_its_type(tmp_path: Path, own: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "nas").mkdir()
    with shared(tmp_path / "server", tmp_path / "nas"):
        watcher, _, state = made(tmp_path / "nas", own)
        doubtful, polled = watcher.doubtful(), watcher.polled_roots()
        watcher.stop()

    assert (state.method, state.state) == (Method.POLLING, RootState.ONLINE)
    assert polled == [tmp_path / "nas"] == list(doubtful)


# -- roots that hang


def test_a_root_that_hangs_is_offline_and_the_others_are_watched(
    tmp_path: Path, root: Path, own: Path
) -> None:
    for name in ("server", "nas"):
        (tmp_path / name).mkdir()
    news: News[Noticed] = News()
    watcher = Watcher(news, own=own, answering=Answering(0.5))
    with shared(tmp_path / "server", tmp_path / "nas") as share:
        watcher.start([WatchRoot(root, "models"), WatchRoot(tmp_path / "nas", "models")])
        share.hang()
        began = time.monotonic()
        (gone,) = watcher.check_roots()
        again = watcher.check_roots()
        took = time.monotonic() - began
        heard = hears(watcher, news, root)
        share.wake()
        until(lambda: not watcher._answering.silent(), "the answer")
        (back,) = watcher.check_roots()
        watcher.stop()

    assert gone.state is RootState.OFFLINE
    assert gone.trouble is not None
    assert "does not answer" in gone.trouble.cause
    assert again == []
    assert took < 5
    assert heard
    assert back.state is RootState.ONLINE
    assert Noticed(tmp_path / "nas", Notice.ROOT_BACK) in told(news)


def test_an_unreadable_root_is_told(root: Path, own: Path) -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            root_of_nobody = Path(f"/tmp/unreadable-{os.getpid()}-{threading.get_ident()}")
            root_of_nobody.mkdir(mode=0)
            watcher, _, state = made(root_of_nobody, None)
            watcher.stop()
            root_of_nobody.rmdir()
        finally:
            os.seteuid(0)
    else:
        root.chmod(0)
        watcher, _, state = made(root, None)
        watcher.stop()
        root.chmod(0o755)

    assert state.state is RootState.OFFLINE
    assert state.trouble is not None
    assert state.trouble.code == "file-unreadable"


def test_a_mount_of_another_kind_is_known_by_its_type_alone() -> None:
    kinds = {
        kind: Mount("/m", kind) for kind in ("nfs4", "fuse.sshfs", "virtiofs", "ext4", "exfat")
    }

    assert {kind for kind, mount in kinds.items() if mount.blind} == {
        "nfs4",
        "fuse.sshfs",
        "virtiofs",
    }
    assert {kind for kind, mount in kinds.items() if mount.numbered} == {"ext4"}
