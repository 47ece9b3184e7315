"""Roots that come, go and are replaced, links, limits, and the signs of life."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from comfywatchman.disk.walk import Identity, walk
from comfywatchman.watch.kernel import Mount, watched
from comfywatchman.watch.limits import MOST_TREES, watches_of_others
from comfywatchman.watch.notice import (
    EVERYWHERE,
    Method,
    Notice,
    Noticed,
    Polling,
    RootState,
    WatchRoot,
)
from comfywatchman.watch.probing import ANSWER_WITHIN_SECONDS
from comfywatchman.watch.watcher import Watcher
from tests.watch.conftest import Start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what inotify tells")

WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
INSTANCE_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def directories(root: Path) -> dict[bytes, Identity]:
    return {one.real_path: one.identity for one in walk(root, lambda _: True) if one.identity}


def watches_of_this_user() -> int:
    """Count what the limit counts, over all processes."""
    return watches_of_others() + len(watched())


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    (root / "loras").mkdir(parents=True)
    return root


# -- links


def test_a_root_that_is_a_symlink_is_watched_under_its_own_name(
    watching: Start, root: Path, tmp_path: Path
) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(root)
    watched = watching(alias)
    (root / "a").touch()
    (root / "loras" / "b").touch()

    watched.wait_for(alias / "a", Notice.CHANGED)
    watched.wait_for(alias / "loras" / "b", Notice.CHANGED)


def test_a_symlinked_subdirectory_is_watched_once_a_sweep_has_found_it(
    watching: Start, root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "nas").symlink_to(elsewhere)
    watched = watching(root)
    for listing in walk(root, lambda _: True):
        if listing.linked:
            watched.watcher.add(listing.directory, listing.real)
    (elsewhere / "a").touch()

    watched.wait_for(root / "nas" / "a", Notice.CHANGED)
    assert watched.watcher.links() == [root / "nas"]
    watched.watcher.drop(root / "nas")
    (elsewhere / "b").touch()
    assert Noticed(root / "nas" / "b", Notice.CHANGED) not in watched.flush(root)


def test_a_link_to_what_is_watched_anyway_is_told_under_both_names(
    watching: Start, root: Path
) -> None:
    (root / "same").symlink_to(root / "loras")
    watched = watching(root)
    watched.watcher.add(root / "same", root / "loras")
    (root / "loras" / "a").touch()

    watched.wait_for(root / "loras" / "a", Notice.CHANGED)
    watched.wait_for(root / "same" / "a", Notice.CHANGED)


def test_one_root_within_another_is_told_under_both_and_watched_once(
    watching: Start, root: Path, tmp_path: Path
) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(root / "loras")
    watched = watching(alias, root)
    (root / "loras" / "a").touch()

    watched.wait_for(alias / "a", Notice.CHANGED)
    watched.wait_for(root / "loras" / "a", Notice.CHANGED)
    assert watched.watcher.methods().directories == 2


def test_a_link_that_is_gone_is_dropped_without_a_word(
    watching: Start, root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "nas").symlink_to(elsewhere)
    watched = watching(root)
    watched.watcher.add(root / "nas", elsewhere)
    (root / "nas").unlink()

    assert watched.watcher.check_roots() == []
    assert watched.watcher.links() == []


# -- roots


def test_a_root_that_stays_as_it_is_is_no_news(watching: Start, root: Path) -> None:
    watched = watching(root)

    assert watched.watcher.check_roots() == []
    assert [change.state for change in watched.watcher.states()] == [RootState.ONLINE]


def test_a_deleted_root_is_offline_and_watched_again_when_it_is_made_anew(
    watching: Start, root: Path
) -> None:
    watched = watching(root)
    shutil.rmtree(root)
    watched.wait_for(root, Notice.ROOT_GONE)
    (gone,) = watched.watcher.check_roots()
    root.mkdir()
    (back,) = watched.watcher.check_roots()

    assert gone.state is RootState.OFFLINE
    assert gone.trouble is not None
    assert gone.trouble.code == "root-offline"
    assert (back.state, back.trouble, back.other_device) == (RootState.ONLINE, None, False)
    watched.wait_for(root, Notice.ROOT_BACK)
    (root / "a").touch()
    watched.wait_for(root / "a", Notice.CHANGED)


def test_a_root_deleted_and_made_anew_between_two_looks_is_noticed(
    watching: Start, root: Path
) -> None:
    watched = watching(root)
    inode = root.stat().st_ino
    for _ in range(20):
        # The same inode number is likely, and then only the dead watch tells.
        shutil.rmtree(root)
        root.mkdir()
        if root.stat().st_ino == inode:
            break
    watched.wait_for(root, Notice.ROOT_GONE)
    watched.watcher.check_roots()

    watched.wait_for(root, Notice.ROOT_BACK)
    (root / "a").touch()
    watched.wait_for(root / "a", Notice.CHANGED)


def test_a_renamed_root_with_another_one_in_its_place_is_noticed(
    watching: Start, root: Path
) -> None:
    watched = watching(root)
    old = root.rename(root.with_name("old"))
    root.mkdir()
    (change,) = watched.watcher.check_roots()

    assert change.replaced
    (old / "moved away").touch()
    (root / "a").touch()
    watched.wait_for(root / "a", Notice.CHANGED)
    assert not [noticed for noticed in watched.told if noticed.path.name == "moved away"]


def test_a_root_below_a_renamed_directory_is_offline(
    watching: Start, root: Path, tmp_path: Path
) -> None:
    watched = watching(root)
    below = tmp_path / "b"
    below.mkdir()
    root.rename(below / "models")
    (gone,) = watched.watcher.check_roots()

    assert gone.state is RootState.OFFLINE


def test_a_root_that_is_missing_at_the_start_is_watched_when_it_appears(
    watching: Start, tmp_path: Path
) -> None:
    late = tmp_path / "late"
    watched = watching(late)
    assert [change.state for change in watched.watcher.states()] == [RootState.OFFLINE]
    late.mkdir()
    (change,) = watched.watcher.check_roots()

    assert change.state is RootState.ONLINE
    watched.wait_for(late, Notice.ROOT_BACK)
    (late / "a").touch()
    watched.wait_for(late / "a", Notice.CHANGED)


def test_a_link_that_leads_elsewhere_now_is_followed(
    watching: Start, root: Path, tmp_path: Path
) -> None:
    alias, other = tmp_path / "alias", tmp_path / "other"
    other.mkdir()
    alias.symlink_to(root)
    watched = watching(alias)
    alias.unlink()
    alias.symlink_to(other)
    (change,) = watched.watcher.check_roots()
    (other / "a").touch()

    assert change.replaced
    watched.wait_for(alias / "a", Notice.CHANGED)


# -- polling


def mounted_as(path: Path, kind: str) -> list[Mount]:
    return [Mount("/", "ext4"), Mount(os.path.realpath(path), kind)]


def watcher_on(root: Path, kind: str, polling: Polling = Polling.AUTO) -> Iterator[Watcher]:
    watcher = Watcher(SimpleQueue(), polling=polling, mounted=lambda: mounted_as(root, kind))
    watcher.start([WatchRoot(root, "models")])
    yield watcher
    watcher.stop()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs"])
def test_a_root_whose_file_system_tells_nothing_is_polled(root: Path, kind: str) -> None:
    for watcher in watcher_on(root, kind):
        assert watcher.polled_roots() == [root]
        assert watcher.methods().roots[Method.POLLING, RootState.ONLINE] == 1
        assert watcher.methods().directories == 0


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "overlay", "fuseblk"])
def test_a_root_on_a_local_file_system_is_not_polled(root: Path, kind: str) -> None:
    for watcher in watcher_on(root, kind):
        assert watcher.polled_roots() == []


def test_a_share_mounted_below_a_root_is_polled_alone(root: Path) -> None:
    share = root / "loras"
    watcher = Watcher(SimpleQueue(), mounted=lambda: mounted_as(share, "nfs"))
    watcher.start([WatchRoot(root, "models")])

    try:
        assert watcher.polled_roots() == [share]
        assert watcher.methods().roots[Method.EVENTS, RootState.ONLINE] == 1
    finally:
        watcher.stop()


def test_polling_can_be_always_or_never(root: Path) -> None:
    for watcher in watcher_on(root, "ext4", Polling.ALWAYS):
        assert watcher.polled_roots() == [root]
        assert watcher.methods().directories == 0
    for watcher in watcher_on(root, "nfs", Polling.NEVER):
        assert watcher.polled_roots() == []
        assert watcher.methods().directories == 2


def test_an_offline_root_is_not_polled(tmp_path: Path) -> None:
    for watcher in watcher_on(tmp_path / "gone", "nfs"):
        assert watcher.polled_roots() == []


# -- limits


def test_every_directory_a_sweep_saw_is_watched(watching: Start, root: Path) -> None:
    watched = watching(root)

    assert watched.watcher.uncovered(root, directories(root)) == 0
    assert watched.watcher.methods().directories == 2


def test_a_file_system_mounted_over_a_directory_is_watched_anew(
    watching: Start, root: Path
) -> None:
    watched = watching(root)
    mount = ["mount", "-t", "tmpfs", "none", str(root / "loras")]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount")
    try:
        assert watched.watcher.uncovered(root, directories(root)) == 0
        watched.wait_for(root, Notice.ROOT_BACK)
        (root / "loras" / "a").touch()
        watched.wait_for(root / "loras" / "a", Notice.CHANGED)
    finally:
        subprocess.run(["umount", str(root / "loras")], check=True)


def test_a_root_on_another_device_than_before_is_told(watching: Start, root: Path) -> None:
    watched = watching(root)
    mount = ["mount", "-t", "tmpfs", "none", str(root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount")
    try:
        (mounted,) = watched.watcher.check_roots()
        (root / "a").touch()
        watched.wait_for(root / "a", Notice.CHANGED)
    finally:
        subprocess.run(["umount", str(root)], check=True)
    (unmounted,) = watched.watcher.check_roots()

    assert mounted.other_device
    assert unmounted.other_device
    (root / "b").touch()
    watched.wait_for(root / "b", Notice.CHANGED)


@contextmanager
def limited(limit: Path, value: int) -> Iterator[None]:
    """Set a sysctl, and set it back."""
    before = limit.read_text()
    limit.write_text(str(value))
    try:
        yield
    finally:
        limit.write_text(before)


@contextmanager
def too_few_watches(root: Path) -> Iterator[None]:
    """Have fewer watches than *root* has directories, whatever else is watched on the machine.

    There are so many that those of others are counted, too: with few that is not worth the time.
    """
    used = watches_of_this_user()
    many = 200 + used // 2
    for number in range(many):
        (root / f"{number}").mkdir()
    with limited(WATCH_LIMIT, used + many - 50):
        yield


needs_watch_limit = pytest.mark.skipif(
    not os.access(WATCH_LIMIT, os.W_OK), reason="needs to set a sysctl"
)


@needs_watch_limit
def test_a_tree_for_which_there_are_too_few_watches_is_polled_and_takes_none_of_them(
    watching: Start, root: Path
) -> None:
    with too_few_watches(root):
        watched_ = watching(root)
        (state,) = watched_.watcher.states()
        again = watched_.watcher.check_roots()

    assert (state.method, state.state) == (Method.POLLING, RootState.DEGRADED)
    assert state.trouble is not None
    assert state.trouble.code == "watch-limit-reached"
    assert "fs.inotify.max_user_watches" in state.trouble.remedy
    assert again == []  # told once
    assert watched_.watcher.polled_roots() == [root]
    assert watched_.watcher.methods().directories == 0


@needs_watch_limit
def test_a_tree_is_watched_as_soon_as_the_limit_is_high_enough(watching: Start, root: Path) -> None:
    with too_few_watches(root):
        watched_ = watching(root)
    (change,) = watched_.watcher.check_roots()

    assert (change.method, change.state) == (Method.EVENTS, RootState.ONLINE)
    watched_.wait_for(root, Notice.ROOT_BACK)
    assert watched_.watcher.polled_roots() == []
    (root / "49" / "a").touch()
    watched_.wait_for(root / "49" / "a", Notice.CHANGED)


@needs_watch_limit
def test_workflows_get_their_watches_before_models(
    watching: Start, root: Path, tmp_path: Path
) -> None:
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    watcher = Watcher(SimpleQueue())
    with too_few_watches(root):
        models, own = watcher.start([WatchRoot(root, "models"), WatchRoot(workflows, "workflows")])
    watcher.stop()

    assert (models.method, own.method) == (Method.POLLING, Method.EVENTS)


@needs_watch_limit
def test_watches_that_others_take_later_degrade_the_root_until_there_are_enough(
    watching: Start, root: Path
) -> None:
    watched_ = watching(root)
    used = watches_of_this_user()
    many = 50 + used // 2
    with limited(WATCH_LIMIT, used + 20):
        for number in range(many):
            (root / f"{number}").mkdir()
        watched_.wait_for(root / f"{many - 1}", Notice.DIRECTORY_CHANGED)
        missing = watched_.watcher.uncovered(root, directories(root))
        watched_.wait_for(root, Notice.ROOT_BACK)
        (state,) = watched_.watcher.states()
        polled = watched_.watcher.polled_roots()

    assert missing >= 30
    assert (state.method, state.state) == (Method.POLLING, RootState.DEGRADED)
    assert state.trouble is not None
    assert state.trouble.code == "watch-limit-reached"
    assert polled == [root]
    watched_.watcher.check_roots()
    assert watched_.watcher.uncovered(root, directories(root)) == 0
    watched_.wait_for(root, Notice.ROOT_BACK)
    assert watched_.watcher.polled_roots() == []
    (root / "49" / "a").touch()
    watched_.wait_for(root / "49" / "a", Notice.CHANGED)


@pytest.mark.skipif(not os.access(INSTANCE_LIMIT, os.W_OK), reason="needs to set a sysctl")
def test_without_an_inotify_instance_the_root_is_polled_until_there_is_one(
    watching: Start, root: Path
) -> None:
    before = INSTANCE_LIMIT.read_text()
    try:
        INSTANCE_LIMIT.write_text("0")
        watched = watching(root)
        (state,) = watched.watcher.states()
        polled = watched.watcher.polled_roots()
    finally:
        INSTANCE_LIMIT.write_text(before)

    assert (state.method, state.state) == (Method.POLLING, RootState.DEGRADED)
    assert state.trouble is not None
    assert "max_user_instances" in state.trouble.remedy
    assert polled == [root]
    (change,) = watched.watcher.check_roots()
    assert (change.method, change.state) == (Method.EVENTS, RootState.ONLINE)
    watched.wait_for(root, Notice.ROOT_BACK)


def test_a_lack_of_descriptors_does_not_make_a_root_offline(watching: Start, root: Path) -> None:
    watched = watching(root)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        changes = watched.watcher.check_roots()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert changes == []


def test_more_separate_trees_than_threads_are_polled(watching: Start, tmp_path: Path) -> None:
    roots = [tmp_path / f"{number:02}" for number in range(MOST_TREES + 2)]
    for root in roots:
        root.mkdir()
    watched = watching(*roots)

    assert watched.watcher.polled_roots() == roots[MOST_TREES:]


# -- lost notifications


def test_some_looks_after_an_overflow_every_root_is_swept_once_more(
    watching: Start, root: Path
) -> None:
    watched = watching(root)
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
    watched.wait_for(EVERYWHERE, Notice.OVERFLOW)
    watched.watcher.check_roots()
    assert watched.flush(root) == [Noticed(EVERYWHERE, Notice.OVERFLOW)]
    watched.watcher.check_roots()
    watched.watcher.check_roots()

    assert watched.flush(root) == [Noticed(root, Notice.ROOT_BACK)]


# -- signs of life


def test_a_probe_is_answered_and_changes_nothing(watching: Start, root: Path) -> None:
    root.chmod(0o2750)
    watched = watching(root)

    assert watched.answered()
    assert stat.S_IMODE(root.stat().st_mode) == 0o2750
    assert watched.flush(root) == []


def test_a_probe_without_an_answer_fails_and_a_restart_cures_it(
    watching: Start, root: Path
) -> None:
    watched = watching(root)
    watched.watcher.probe(100.0)
    # Whatever the reason, the answers go astray: nobody reads them here.
    assert watched.answered()
    watched.watcher._trees._forward.tops = frozenset()
    watched.watcher.probe(100.0)
    watched.wait_for(root, Notice.DIRECTORY_CHANGED)

    assert not watched.watcher.probe_failed(100.0 + ANSWER_WITHIN_SECONDS)
    assert watched.watcher.probe_failed(100.1 + ANSWER_WITHIN_SECONDS)
    watched.watcher.restart()
    watched.wait_for(EVERYWHERE, Notice.OVERFLOW)
    assert watched.answered()


def test_nothing_of_ours_runs_while_nothing_happens(watching: Start, root: Path) -> None:
    before = set(threading.enumerate())
    watched = watching(root)
    assert watched.answered()

    ours = [thread for thread in threading.enumerate() if thread not in before]
    # The reader of the kernel's queue, one for each tree, and the dispatcher: all blocked.
    assert len(ours) == 3
    theirs = ("watchdog.", "comfywatchman.watch.pairing")
    assert all(type(thread).__module__.startswith(theirs) for thread in ours)


def test_after_a_stop_no_thread_descriptor_or_log_handler_is_left(root: Path) -> None:
    threads, descriptors = threading.active_count(), open_descriptors()
    for _ in range(20):
        watcher = Watcher(SimpleQueue())
        watcher.start([WatchRoot(root, "models")])
        watcher.stop()

    assert threading.active_count() == threads
    assert open_descriptors() == descriptors
