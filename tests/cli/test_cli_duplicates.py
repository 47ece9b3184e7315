"""``comfywatchman inventory duplicates``: the same bytes twice, and making them one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.keeping import decay, digest, measured, put
from tests.cli.shell import Shell
from tests.share import shared
from tests.stories.daemon import Tree, running

SIZE = 5000


def twice(tree: Tree) -> tuple[Path, Path]:
    """Return two equal files, the older one first."""
    first = put(tree, "loras/a.safetensors", SIZE, "same")
    second = put(tree, "checkpoints/b.safetensors", SIZE, "same")
    os.utime(first, (1_600_000_000, 1_600_000_000))
    os.utime(second, (1_700_000_000, 1_700_000_000))
    return first, second


def duplicates(shell: Shell, *arguments: object) -> Any:
    return shell("inventory", "duplicates", "--json", *arguments).json


def paths(copies: Any) -> list[list[str]]:
    return [[Path(path).name for path in copy["paths"]] for copy in copies]


def stamp(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_mode, status.st_ctime_ns


def audit(tree: Tree) -> list[dict[str, Any]]:
    log = tree.state / "audit.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_equal_files_are_found_and_nothing_is_changed(shell: Shell, tree: Tree) -> None:
    first, second = twice(tree)
    put(tree, "loras/of-equal-size.safetensors", SIZE)
    put(tree, "loras/other.safetensors", SIZE + 1)
    told = shell("inventory", "duplicates", "--json")

    (group,) = told.json["groups"]
    assert told.status == 0
    assert (group["sha256"], group["size"]) == (digest(first), SIZE)
    assert paths(group["copies"]) == [["a.safetensors"], ["b.safetensors"]]
    assert [copy["keep"] for copy in group["copies"]] == [True, False]
    assert (told.json["wasted"], told.json["saved"], told.json["linked"]) == (SIZE, SIZE, [])
    assert first.stat().st_ino != second.stat().st_ino
    assert audit(tree) == []
    words = shell("inventory", "duplicates")
    assert f"1 group of equal files, {SIZE:,} bytes on disk more than once" in words.err
    assert str(second) in words.out


def test_only_files_of_equal_size_are_read_and_only_once(shell: Shell, tree: Tree) -> None:
    twice(tree)
    put(tree, "loras/other.safetensors", SIZE + 1)
    duplicates(shell)

    rows = {row["name"]: row["sha256"] for row in shell("inventory", "--json").json["models"]}
    assert rows["other.safetensors"] is None
    assert rows["a.safetensors"] is not None
    assert rows["a.safetensors"] == rows["b.safetensors"]


def test_hard_links_and_symlinks_are_not_wasted_space(shell: Shell, tree: Tree) -> None:
    first = put(tree, "loras/a.safetensors", SIZE)
    os.link(first, tree.models / "loras/hard.safetensors")
    (tree.models / "loras/soft.safetensors").symlink_to(first)

    told = duplicates(shell)
    assert (told["groups"], told["wasted"]) == ([], 0)


def test_a_copy_that_has_a_name_elsewhere_would_free_nothing(shell: Shell, tree: Tree) -> None:
    first, second = twice(tree)
    os.link(second, tree.base / "backup")
    os.link(first, tree.base / "backup-too")
    told = duplicates(shell)

    assert (told["wasted"], told["saved"]) == (SIZE, 0)
    assert "1 more names elsewhere" in shell("inventory", "duplicates").out


def test_a_hard_link_leaves_both_names_with_all_bytes_and_an_audit_line(
    shell: Shell, tree: Tree
) -> None:
    first, second = twice(tree)
    content = first.read_bytes()
    told = duplicates(shell, "--link", "hard", "--yes")

    (linked,) = told["linked"]
    assert (linked["path"], linked["kept"], linked["how"]) == (str(second), str(first), "hard")
    assert linked["error"] is None
    assert first.stat().st_ino == second.stat().st_ino
    assert second.read_bytes() == content
    (line,) = (line for line in audit(tree) if line["what"].startswith("link"))
    assert (line["what"], line["path"], line["sha256"]) == (
        "link hard",
        str(second),
        digest(first),
    )
    assert "mode 644 -> 644" in line["result"]
    assert "1700000000000000000 -> 1600000000000000000" in line["result"]
    again = duplicates(shell)
    assert (again["groups"], again["wasted"]) == ([], 0)
    assert sorted(path.name for path in second.parent.iterdir()) == ["b.safetensors"]


def test_a_lora_is_measured_for_the_hash_after_its_header_too(shell: Shell, tree: Tree) -> None:
    lora = put(tree, "loras/a.safetensors", SIZE, "same")
    put(tree, "checkpoints/b.safetensors", SIZE, "same")
    shell("inventory", "duplicates")

    content = lora.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    rows = {row["path"]: row for row in shell("inventory", "list", "--json").json["models"]}
    assert rows[str(lora)]["after_sha256"] == hashlib.sha256(content[begin:]).hexdigest()


def test_what_is_linked_is_known_by_its_hash_without_another_reading(
    shell: Shell, tree: Tree
) -> None:
    first, second = twice(tree)
    duplicates(shell, "--link", "hard", "--yes")

    rows = {row["path"]: row["sha256"] for row in shell("inventory", "--json").json["models"]}
    assert rows == {str(first): digest(first), str(second): digest(first)}


def test_every_name_of_many_that_were_linked_keeps_its_hash(shell: Shell, tree: Tree) -> None:
    """Each further name changes the stamp of the file, and so of the names that it had."""
    names = [put(tree, f"loras/{name}.safetensors", seed="same") for name in "abcd"]
    names[0].with_name("e.safetensors").symlink_to(names[1])
    shell("inventory", "duplicates")  # measures them
    told = shell("inventory", "duplicates", "--link", "hard", "--yes", "--json")

    rows = shell("inventory", "--json").json["models"]
    assert told.status == 0, told.err
    assert {row["path"]: row["sha256"] for row in rows} == {
        str(path): digest(path) for path in (*names, names[0].with_name("e.safetensors"))
    }
    assert {path.stat().st_nlink for path in names} == {4}


@pytest.mark.parametrize("more", [["--dry-run", "--yes"], ["--dry-run"], []])
def test_without_a_word_of_consent_nothing_is_linked(
    shell: Shell, tree: Tree, more: list[str]
) -> None:
    first, second = twice(tree)
    told = shell("inventory", "duplicates", "--link", "hard", *more)

    assert told.status == (0 if more else 2)
    assert first.stat().st_ino != second.stat().st_ino
    assert ("--yes" in told.err) == (more == [])
    assert ("keep" in told.out) == (more != [])


def test_both_files_are_read_right_before_the_link_and_not_believed(
    shell: Shell, tree: Tree
) -> None:
    first, second = twice(tree)
    measured(shell)
    decay(tree, second)
    told = shell("inventory", "duplicates", "--link", "hard", "--yes", "--json")

    (linked,) = told.json["linked"]
    assert told.status == 1
    assert linked["error"]["code"] == "link-refused"
    assert first.stat().st_ino != second.stat().st_ino


def test_a_file_that_is_known_to_have_decayed_is_equal_to_nothing(shell: Shell, tree: Tree) -> None:
    _, second = twice(tree)
    measured(shell)
    decay(tree, second)
    shell("inventory", "verify")

    assert duplicates(shell)["groups"] == []


def test_a_file_that_somebody_writes_is_left_alone(shell: Shell, tree: Tree) -> None:
    first, second = twice(tree)
    measured(shell)
    with second.open("r+b"):
        told = shell("inventory", "duplicates", "--link", "hard", "--yes", "--json")

    (linked,) = told.json["linked"]
    assert told.status == 1
    assert linked["error"]["code"] == "link-refused"
    assert first.stat().st_ino != second.stat().st_ino


def test_a_file_that_cannot_be_read_may_be_a_copy_so_that_the_search_did_not_finish(
    shell: Shell, tree: Tree, tmp_path: Path
) -> None:
    put(tree, "checkpoints/a.safetensors", SIZE, "same")
    first = put(tree, "vae/b.safetensors", SIZE, "same")
    server = first.parent.rename(tmp_path / "server")
    first.parent.mkdir()
    with shared(server, first.parent) as share:
        share.error_for_opening = lambda _: errno.EIO
        told = shell("inventory", "duplicates", "--json")

    assert told.status == 3
    assert [row["error"]["code"] for row in told.json["unread"]] == ["disk-failed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_owner_or_mode_is_left_alone(shell: Shell, tree: Tree) -> None:
    first, second = twice(tree)
    os.chown(second, 12345, 12345)
    third = put(tree, "loras/c.safetensors", SIZE, "same")
    third.chmod(0o600)
    told = duplicates(shell, "--link", "hard", "--yes")

    assert [row["error"]["code"] for row in told["linked"]] == ["link-refused"] * 2
    assert len({path.stat().st_ino for path in (first, second, third)}) == 3


def test_where_the_file_system_shares_no_blocks_a_reflink_says_so(shell: Shell, tree: Tree) -> None:
    first, second = twice(tree)
    before = stamp(second)
    told = shell("inventory", "duplicates", "--link", "reflink", "--yes", "--json")

    (linked,) = told.json["linked"]
    if linked["error"] is None:
        assert second.stat().st_ino != first.stat().st_ino
        assert stamp(second)[1:3] == before[1:3]
    else:
        assert told.status == 1
        assert linked["error"]["code"] == "link-refused"
        assert stamp(second) == before
    assert second.read_bytes() == first.read_bytes()
    assert sorted(path.name for path in second.parent.iterdir()) == ["b.safetensors"]


def test_what_a_kill_left_is_tidied_before_the_next_linking(shell: Shell, tree: Tree) -> None:
    first, second = twice(tree)
    left = second.parent / ".b.safetensors.0123456789ab.cwm-link"
    os.link(first, left)
    duplicates(shell, "--link", "hard", "--yes")

    assert not left.exists()
    assert first.stat().st_ino == second.stat().st_ino


def test_what_is_read_beside_a_running_daemon_is_taken_down_by_it(shell: Shell, tree: Tree) -> None:
    tree.settings = '[inventory]\nhash = "off"'
    tree.write_settings()
    first, second = twice(tree)
    with running(tree) as daemon:
        daemon.when(lambda: shell("status", "--json").json["models"] == 2, what="two models")
        told = shell("inventory", "duplicates", "--json", "--link", "hard", "--yes")
        rows = {row["path"]: row["sha256"] for row in shell("inventory", "--json").json["models"]}

    assert (told.status, told.err) == (0, "")
    assert first.stat().st_ino == second.stat().st_ino
    assert rows == {str(first): digest(first), str(second): digest(first)}
