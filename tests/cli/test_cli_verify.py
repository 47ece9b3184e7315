"""``comfywatchman inventory verify``: whole files read again and compared."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from tests.cli.keeping import decay, digest, measured, put
from tests.cli.shell import LIMIT, Shell
from tests.share import shared
from tests.stories.daemon import Tree
from tests.stories.made import drop, has


def outcomes(shell: Shell, *arguments: object) -> dict[str, str]:
    rows = shell("inventory", "verify", "--json", *arguments).json["files"]
    return {Path(row["path"]).name: row["outcome"] for row in rows}


def test_what_nobody_measured_is_measured_and_after_that_it_is_equal(
    shell: Shell, tree: Tree
) -> None:
    path = put(tree, "loras/a.safetensors")

    assert outcomes(shell) == {"a.safetensors": "measured"}
    assert outcomes(shell) == {"a.safetensors": "equal"}
    (row,) = shell("inventory", "--json").json["models"]
    assert row["sha256"] == digest(path)
    assert row["verified_at"] > row["measured_at"]


def test_decay_is_told_with_both_hashes_and_with_where_the_file_can_be_had(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    want = has(hub, "a.safetensors")
    path = put(tree, want.where)
    drop(tree.workflows / "a.json", want)
    good = digest(path)
    measured(shell)
    bad = decay(tree, path)
    told = shell("inventory", "verify", "--json")
    words = shell("inventory", "verify")

    (row,) = told.json["files"]
    assert told.status == 1
    assert (row["outcome"], row["sha256"], row["known_sha256"]) == ("corrupt", bad, good)
    assert row["trouble"]["code"] == "model-corrupt"
    assert [source["url"] for source in row["sources"]] == [want.url]
    assert words.status == 1
    for part in (good, bad, str(path), str(want.url)):
        assert part in words.out
    assert path.exists()


def test_the_good_hash_stays_known_after_decay(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/a.safetensors")
    good = digest(path)
    measured(shell)
    bad = decay(tree, path)
    shell("inventory", "verify")

    (row,) = shell("inventory", "list", "--troubles", "--json").json["models"]
    assert (row["sha256"], row["differs"]) == (good, bad)
    assert row["error"]["code"] == "model-corrupt"
    assert shell("inventory", "list", "--troubles").status == 1


def test_what_cannot_be_read_is_noted_until_it_can(
    shell: Shell, tree: Tree, tmp_path: Path
) -> None:
    path = put(tree, "loras/nas/a.safetensors").rename(tmp_path / "a.safetensors")
    (tmp_path / "server").mkdir()
    path.rename(tmp_path / "server/a.safetensors")
    with shared(tmp_path / "server", tree.models / "loras/nas") as share:
        measured(shell)
        share.error_for_opening = lambda _path: errno.EIO
        told = shell("inventory", "verify", "--json")
        listed = shell("inventory", "list", "--troubles", "--json")
        share.error_for_opening = lambda _path: 0
        assert outcomes(shell) == {"a.safetensors": "equal"}
        after = shell("inventory", "list", "--troubles", "--json")

    assert (told.status, told.json["summary"]) == (3, {"unreadable": 1})
    (row,) = listed.json["models"]
    assert (listed.status, row["error"]["code"]) == (1, "disk-failed")
    assert row["sha256"] is not None, "what was measured before is still known"
    assert after.json["models"] == []


def test_decay_that_was_no_decay_is_taken_back(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/a.safetensors")
    measured(shell)
    decay(tree, path)
    assert outcomes(shell) == {"a.safetensors": "corrupt"}
    decay(tree, path)

    assert outcomes(shell) == {"a.safetensors": "equal"}
    assert shell("inventory", "list", "--troubles").status == 0


def test_a_file_that_somebody_wrote_is_measured_anew_and_nothing_is_wrong(
    shell: Shell, tree: Tree
) -> None:
    path = put(tree, "loras/a.safetensors")
    measured(shell)
    put(tree, "loras/a.safetensors", seed="another")
    told = shell("inventory", "verify", "--json")

    (row,) = told.json["files"]
    assert (told.status, row["outcome"], row["sha256"]) == (0, "measured", digest(path))


def test_what_is_no_model_is_told_even_if_its_bytes_are_as_they_were(
    shell: Shell, tree: Tree
) -> None:
    path = tree.models / "loras/a.safetensors"
    path.write_text("<!doctype html><title>Log in</title>")
    told = shell("inventory", "verify", "--json")

    (row,) = told.json["files"]
    assert (told.status, row["outcome"]) == (1, "trouble")
    assert row["trouble"]["code"] == "verification-failed"


def test_a_folder_a_directory_or_a_file_can_be_verified_alone(shell: Shell, tree: Tree) -> None:
    put(tree, "loras/sub/a.safetensors")
    put(tree, "loras/b.safetensors")
    put(tree, "checkpoints/c.safetensors")

    assert set(outcomes(shell, "--folder", "loras")) == {"a.safetensors", "b.safetensors"}
    assert set(outcomes(shell, tree.models / "loras/sub")) == {"a.safetensors"}
    assert set(outcomes(shell, tree.models / "checkpoints/c.safetensors")) == {"c.safetensors"}


def test_a_path_that_leads_to_no_model_is_an_error(shell: Shell, tree: Tree) -> None:
    other = tree.base / "elsewhere.safetensors"
    other.touch()
    for path in (other, tree.models / "loras/nobody.safetensors", tree.models / "vae"):
        told = shell("inventory", "verify", path)
        assert told.status > 1
        assert "is no model file below the model directories" in told.err


@pytest.mark.parametrize(("sample", "count"), [("3", 3), ("20%", 2), ("0.1%", 1), ("99", 10)])
def test_a_sample_takes_so_many_or_such_a_part(
    shell: Shell, tree: Tree, sample: str, count: int
) -> None:
    for number in range(10):
        put(tree, f"loras/{number}.safetensors")

    assert len(outcomes(shell, "--sample", sample)) == count


def test_samples_go_round_by_those_that_nobody_read_for_longest(shell: Shell, tree: Tree) -> None:
    for number in range(9):
        put(tree, f"loras/{number}.safetensors")
    read = [set(outcomes(shell, "--sample", "3")) for _ in range(3)]

    assert len(set.union(*read)) == 9


@pytest.mark.parametrize("sample", ["0", "-1", "ten", "101%", "5%%", "nan%", ""])
def test_a_sample_that_is_none_is_refused(shell: Shell, sample: str) -> None:
    assert shell("inventory", "verify", "--sample", sample).status == 2


def test_a_file_under_two_names_is_read_once(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/a.safetensors")
    os.link(path, tree.models / "checkpoints/b.safetensors")
    (tree.models / "loras/c.safetensors").symlink_to(path)

    assert len(outcomes(shell)) == 1
    rows = shell("inventory", "--json").json["models"]
    assert {row["sha256"] for row in rows} == {digest(path)}
    assert len(rows) == 3


def test_a_file_that_somebody_writes_is_not_compared(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/a.safetensors")
    measured(shell)
    with path.open("r+b"):
        told = shell("inventory", "verify", "--json")

    (row,) = told.json["files"]
    if row["outcome"] == "equal":
        pytest.skip("this file system does not tell who writes")
    assert (told.status, row["outcome"]) == (3, "changed")
    assert "open for writing" in row["trouble"]["cause"]


def test_ctrl_c_keeps_what_is_done(shell: Shell, tree: Tree) -> None:
    first, large = put(tree, "loras/a.safetensors"), tree.models / "loras/z.safetensors"
    write_large(large, 600_000_000)
    process = shell.begin("inventory", "verify")
    deadline = time.monotonic() + LIMIT
    while read_of(large, process.pid) < 64 << 20:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)

    assert process.returncode == 130, (out, err)
    assert b"Traceback" not in err
    assert b"1 file," in err
    rows = {row["name"]: row["sha256"] for row in shell("inventory", "--json").json["models"]}
    assert rows == {"a.safetensors": digest(first), "z.safetensors": None}


def write_large(path: Path, size: int) -> None:
    block = os.urandom(1 << 20)
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header.encode())
        for at in range(0, size, len(block)):
            file.write(block[: size - at])


def read_of(path: Path, pid: int) -> int:
    """Return how many bytes of *path* a process has read; its head alone is little."""
    links = Path(f"/proc/{pid}/fd")
    if not links.parent.exists():
        pytest.skip("nobody tells here what a process reads")
    for link in links.iterdir():
        with suppress(OSError):
            if link.readlink() == path:
                told = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
                return int(told.split("pos:", 1)[1].split()[0])
    return 0
