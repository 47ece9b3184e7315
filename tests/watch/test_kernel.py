from __future__ import annotations

from pathlib import Path

from comfywatchman.watch.kernel import Mount, blind_below, mount_of, parse_mounts
from comfywatchman.watch.places import cover

MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:41 / /mnt/my\\040models rw,nosuid - fuse.sshfs host:/models rw
31 22 0:42 / /mnt/models rw - nfs4 host:/export rw
32 31 8:2 / /mnt/models rw master:2 - ext4 /dev/sdb1 rw
33 32 0:43 / /mnt/models/loras rw - cifs //host/loras rw
broken line
"""


def test_mounts_are_read_with_blanks_in_their_names_and_the_last_one_on_top() -> None:
    assert parse_mounts(MOUNTINFO) == [
        Mount("/", "ext4"),
        Mount("/mnt/my models", "fuse.sshfs"),
        Mount("/mnt/models", "ext4"),
        Mount("/mnt/models/loras", "cifs"),
    ]


def test_a_path_lies_on_the_nearest_mount_above_it() -> None:
    mounted = parse_mounts(MOUNTINFO)

    assert mount_of(Path("/mnt/models/loras/a"), mounted) == Mount("/mnt/models/loras", "cifs")
    assert mount_of(Path("/mnt/models-other"), mounted) == Mount("/", "ext4")


def test_only_what_others_can_change_unseen_is_blind() -> None:
    mounted = parse_mounts(MOUNTINFO)

    assert [mount.blind for mount in mounted] == [False, True, False, True]
    assert blind_below(Path("/mnt/models"), mounted) == [Path("/mnt/models/loras")]
    assert blind_below(Path("/mnt/models/loras"), mounted) == []


def test_a_cover_leaves_out_what_lies_below_another() -> None:
    paths = [Path("/a"), Path("/a/b/c"), Path("/ab"), Path("/d/e"), Path("/d/e")]

    assert cover(paths) == {Path("/a"), Path("/ab"), Path("/d/e")}
