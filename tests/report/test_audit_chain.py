from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfywatchman.report.audit import FILE, AuditLog
from comfywatchman.report.audit_chain import FIRST, Verdict, verify


def noted(directory: Path, *names: str) -> list[bytes]:
    log = AuditLog(directory)
    for name in names:
        log.note("placed", Path(name), None, "from a test")
    return (directory / FILE).read_bytes().splitlines(keepends=True)


def write(directory: Path, lines: list[bytes]) -> Verdict:
    (directory / FILE).write_bytes(b"".join(lines))
    return verify(directory)


def test_each_line_carries_the_hash_of_the_one_before(tmp_path: Path) -> None:
    lines = noted(tmp_path, "a", "b", "c")
    found = verify(tmp_path)

    assert json.loads(lines[0])["previous"] == FIRST
    assert found.sound
    assert (found.lines, found.chained, found.unchained) == (3, 3, 0)


def test_no_log_is_a_sound_log(tmp_path: Path) -> None:
    assert verify(tmp_path) == Verdict(0, 0, 0, (), None)


def test_lines_from_before_there_were_hashes_are_the_beginning(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"what":"placed"}\n{"what":"asked: sweep"}\n')
    noted(tmp_path, "a", "b")
    found = verify(tmp_path)

    assert found.sound
    assert (found.lines, found.chained, found.unchained) == (4, 2, 2)


def test_an_old_line_that_the_chain_stands_on_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"what":"placed"}\n')
    lines = noted(tmp_path, "a")
    found = write(tmp_path, [b'{"what":"linked"}\n', *lines[1:]])

    assert [each.line for each in found.breaks] == [2]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda lines: [lines[0], lines[1].replace(b'"b"', b'"x"'), *lines[2:]], 3),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:2], b'{"what":"placed"}\n', *lines[2:]], 3),
        (lambda lines: [*lines[:2], b"[1]\n", *lines[2:]], 3),
        (lambda lines: [*lines[:3], lines[3][:-20]], 4),
    ],
    ids=["changed", "taken out", "begins later", "swapped", "put in", "no object", "cut off"],
)
def test_a_log_that_is_not_as_written_is_told(tmp_path: Path, change: object, where: int) -> None:
    assert callable(change)
    found = write(tmp_path, change(noted(tmp_path, "a", "b", "c", "d")))

    assert not found.sound
    assert found.breaks[0].line == where


def test_what_was_cut_off_shows_by_the_last_hash(tmp_path: Path) -> None:
    lines = noted(tmp_path, "a", "b")
    before = verify(tmp_path).head
    found = write(tmp_path, lines[:1])

    assert found.sound
    assert found.head != before


def test_the_line_after_one_that_a_crash_cut_off_begins_anew(tmp_path: Path) -> None:
    lines = noted(tmp_path, "a", "b")
    (tmp_path / FILE).write_bytes(lines[0] + lines[1][:30])
    noted(tmp_path, "c")
    found = verify(tmp_path)

    assert found.lines == 3
    assert [each.line for each in found.breaks] == [2]


def test_a_line_longer_than_any_step_is_the_one_before(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.note("placed", None, None, "a")
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"what":"' + b"x" * 200_000 + b'"}\n')
    log.note("placed", None, None, "b")

    assert [each.line for each in verify(tmp_path).breaks] == [2]


WRITER = """
import sys
from pathlib import Path
from comfywatchman.report.audit import AuditLog
log = AuditLog(Path(sys.argv[1]))
for number in range(100):
    log.note("placed", Path(sys.argv[2]) / str(number), None, "x")
"""


def test_processes_that_write_at_once_keep_one_chain(tmp_path: Path) -> None:
    line = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*line, name], env=dict(os.environ)) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found = verify(tmp_path)

    assert found.breaks == ()
    assert (found.lines, found.chained) == (300, 300)
