"""Children that go ahead onto mounts that may hang."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.disk.answering import Answering, Silent
from comfywatchman.disk.scouts import Scouts, mount_on_the_way
from comfywatchman.watch.kernel import BlindMounts, Mount
from tests.share import Share, shared

PATIENCE = 1.0


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("mount", True),
        ("mount/below/it", True),
        ("link", True),
        ("link/deep", True),
        ("relative/x", True),
        ("through/a", True),
        ("up/../link", True),
        ("other", False),
        ("mount2", False),
        ("loop/x", False),
        ("missing/mount", False),
        ("back", False),
    ],
)
def test_a_way_is_followed_to_a_mount_and_not_onto_it(
    tmp_path: Path, path: str, found: bool
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "up").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mount/models")
    (tmp_path / "relative").symlink_to("other/../mount")
    (tmp_path / "through").symlink_to("link")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "back").symlink_to("other/..")
    mount = os.fsencode(tmp_path / "mount")  # it need not even be there

    asked = os.fsencode(tmp_path / path)
    scouts = Scouts(lambda: {mount})

    assert mount_on_the_way(asked, {mount}) == (mount if found else None)
    # Where its directory leads is remembered for a moment.
    assert {scouts.on_the_way(asked) for _ in range(2)} == {mount if found else None}


def test_what_may_hang_is_what_others_serve() -> None:
    mounted = [Mount("/", "ext4"), Mount("/nas", "nfs4"), Mount("/s", "fuse.sshfs")]

    assert BlindMounts(lambda: mounted)() == {b"/nas", b"/s"}


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    (tmp_path / "server").mkdir()
    (tmp_path / "nas").mkdir()
    with shared(tmp_path / "server", tmp_path / "nas") as share:
        yield share


def test_no_thread_of_ours_waits_for_a_share_that_hangs(share: Share, tmp_path: Path) -> None:
    scouts = Scouts(BlindMounts())
    answering = Answering(PATIENCE, scouts)
    mount = os.fsencode(share.mountpoint)
    about = str(tmp_path / "nas/sub")
    asked: list[str] = []
    try:
        assert answering.mount_of(about) == mount
        assert scouts.answers(mount, PATIENCE)
        time.sleep(0.25)  # so long an answer is believed
        share.hang()
        for _ in range(2):
            with pytest.raises(Silent):
                answering.ask(about, lambda _beat: asked.append("asked"))
        began = time.monotonic()
        assert answering.silent() == {str(share.mountpoint)}
        assert time.monotonic() - began < PATIENCE / 2, "who is known to be silent is not awaited"
        assert not asked
        assert answering.left_behind() == []

        share.wake()
        deadline = time.monotonic() + 10
        while answering.silent():
            assert time.monotonic() < deadline
        answering.ask(about, lambda _beat: asked.append("asked"))
        assert asked == ["asked"]
    finally:
        share.wake()
        answering.close()


def test_an_error_is_an_answer_and_a_child_that_was_ended_is_replaced(share: Share) -> None:
    scouts = Scouts(BlindMounts())
    mount = os.fsencode(share.mountpoint)
    try:
        share.error = 5
        assert scouts.answers(mount, PATIENCE)
        scouts._scouts[mount].child.kill()
        scouts._scouts[mount].child.wait()
        time.sleep(0.25)
        assert scouts.answers(mount, PATIENCE)
        assert scouts.answers(mount, PATIENCE)
    finally:
        scouts.close()
