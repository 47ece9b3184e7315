"""A state goes out and in: into an empty one, into another, from older versions, and damaged."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from comfywatchman.daemon.handover import export_state, import_state
from comfywatchman.daemon.lock import owning
from comfywatchman.domain.errors import StateLocked, StateUnusable, WatchmanError
from comfywatchman.report.audit import AuditLog
from comfywatchman.report.audit_chain import verify
from comfywatchman.state import choices, hashes, jobs, migrate, store
from comfywatchman.state.carrying import take_in
from tests.state.known_state import MODEL, count, made
from tests.state.rows import HASH


def exported(tmp_path: Path, name: str = "state.jsonl") -> Path:
    made(tmp_path / "old", 1)
    export_state(tmp_path / "old", tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("name", ["state.jsonl", "state.jsonl.gz"])
def test_what_goes_out_comes_in_again(tmp_path: Path, name: str) -> None:
    file = exported(tmp_path, name)
    done = import_state(tmp_path / "new", file)

    assert file.stat().st_mode & 0o777 == 0o600
    assert done.carried.added["choices"] == 2
    assert done.carried.added["models"] == 1
    reader = store.open_reader(tmp_path / "new")
    assert reader is not None
    with reader.connect() as connection:
        (asked,) = choices.open_choices(connection)
        known = hashes.known(connection, MODEL)
        states = jobs.counts(connection)
    reader.close()
    assert asked.name == "ask-1"
    assert known is not None
    assert known.sha256 == HASH
    assert states == {("fetch", "canceled"): 1, ("resolve", "waiting"): 1}


def test_what_is_there_stays_and_nothing_comes_twice(tmp_path: Path) -> None:
    file = exported(tmp_path)
    there = made(tmp_path / "new", 2)
    first = import_state(tmp_path / "new", file).carried
    again = import_state(tmp_path / "new", file).carried

    assert first.added["choices"] == 2
    assert first.kept["models"] == 1
    assert sum(again.added.values()) == 0
    assert count(there, "choices") == 4
    assert count(there, "placements") == 2
    assert count(there, "jobs") == 3


def test_a_dry_run_adds_nothing(tmp_path: Path) -> None:
    file = exported(tmp_path)
    said = import_state(tmp_path / "none", file, dry_run=True)
    there = made(tmp_path / "new", 2)
    import_state(tmp_path / "new", file, dry_run=True)

    assert said.carried.added["choices"] == 2
    assert not store.database_path(tmp_path / "none").exists()
    assert count(there, "choices") == 2


def test_a_job_that_ran_there_waits_here(tmp_path: Path) -> None:
    database = made(tmp_path / "old", 1)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE jobs SET state = 'running'")
    export_state(tmp_path / "old", tmp_path / "state.jsonl")
    import_state(tmp_path / "new", tmp_path / "state.jsonl")

    reader = store.open_reader(tmp_path / "new")
    assert reader is not None
    assert {state for _, state in reader.read(jobs.counts)} == {"waiting"}
    reader.close()


def of_version(directory: Path, revision: str) -> Path:
    """Return a database of an earlier version with a choice in it."""
    directory.mkdir()
    path = store.database_path(directory)
    migrate.make(path, revision)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO choices VALUES ('loras', 'a', '[]', ?, 1.0, NULL)",
            (b'{"code":"choice-needed","cause":"Several.","remedy":"Choose."}',),
        )
    return path


def test_an_older_version_is_brought_up(tmp_path: Path) -> None:
    revision = "0001"
    backup = of_version(tmp_path / "old", revision)
    export_state(tmp_path / "old", tmp_path / "state.jsonl")
    out = import_state(tmp_path / "out", tmp_path / "state.jsonl")
    direct = import_state(tmp_path / "direct", backup)

    assert out.carried.added["choices"] == direct.carried.added["choices"] == 1
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(revision,)]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_its_end(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:-1])


def with_a_changed_digit(data: bytes) -> bytes:
    return data.replace(b"choice-needed", b"choice-needec", 1)


def newer(data: bytes) -> bytes:
    return data.replace(b'"comfywatchman_state":1', b'"comfywatchman_state":2', 1)


def of_a_newer_revision(data: bytes) -> bytes:
    import hashlib

    lines = data.splitlines(keepends=True)
    head = json.loads(lines[0]) | {"revision": "9999"}
    body = json.dumps(head).encode() + b"\n" + b"".join(lines[1:-1])
    end = {"end": True, "lines": len(lines) - 2, "sha256": hashlib.sha256(body).hexdigest()}
    return body + json.dumps(end).encode() + b"\n"


def something_else(_: bytes) -> bytes:
    return b"hello\n"


def nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        without_its_end,
        with_a_changed_digit,
        newer,
        of_a_newer_revision,
        something_else,
        nothing,
    ],
)
def test_a_file_that_is_not_as_it_was_written_changes_nothing(
    tmp_path: Path, damage: object
) -> None:
    file = exported(tmp_path)
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]  # one of those above
    there = made(tmp_path / "new", 2)
    before = there.read_bytes()

    with pytest.raises(StateUnusable) as refused:
        import_state(tmp_path / "new", file)

    assert str(file) in refused.value.cause
    assert refused.value.remedy
    assert there.read_bytes() == before


def test_a_damaged_database_is_not_taken_in(tmp_path: Path) -> None:
    database = made(tmp_path / "old", *range(1, 60))
    data = bytearray(database.read_bytes())
    data[8192 : 8192 + 4096] = b"\xff" * 4096
    database.write_bytes(data)

    with pytest.raises(StateUnusable):
        import_state(tmp_path / "new", database)


def test_a_database_of_another_program_is_not_taken_in(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "theirs")) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")

    with pytest.raises(StateUnusable):
        import_state(tmp_path / "new", tmp_path / "theirs")
    with pytest.raises(StateUnusable):
        import_state(tmp_path / "new", tmp_path / "not-there")


def test_rows_that_are_none_are_left_out(tmp_path: Path) -> None:
    database = made(tmp_path / "old", 1)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE jobs SET payload = x'00' WHERE kind = 'fetch'")
    carried = take_in(tmp_path / "new", database)

    assert (carried.unreadable, carried.added["jobs"]) == (1, 1)


def test_the_audit_log_comes_along_and_stays_a_chain(tmp_path: Path) -> None:
    made(tmp_path / "old", 1)
    AuditLog(tmp_path / "old").note("placed", Path("/m/a"), HASH, "from civitai")
    (tmp_path / "old" / "history.jsonl").write_text("one\ntwo\n")
    export_state(tmp_path / "old", tmp_path / "state.jsonl")
    import_state(tmp_path / "empty", tmp_path / "state.jsonl")
    other = tmp_path / "other"
    made(other, 2)
    AuditLog(other).note("placed", Path("/m/b"), HASH, "from civitai")
    (other / "history.jsonl").write_text("two\nthree\n")
    beside, _ = import_state(other, tmp_path / "state.jsonl").files

    assert (verify(tmp_path / "empty").sound, verify(tmp_path / "empty").lines) == (True, 2)
    assert beside.name.startswith("audit.imported-")
    assert (other / "history.jsonl").read_text() == "two\nthree\none\n"
    assert (tmp_path / "empty" / "history.jsonl").stat().st_mode & 0o777 == 0o600
    assert verify(other).sound


def test_no_daemon_may_run_meanwhile(tmp_path: Path) -> None:
    file = exported(tmp_path)
    with owning(tmp_path / "new", "run"), pytest.raises(StateLocked):
        import_state(tmp_path / "new", file)


def test_where_nothing_can_be_written_or_read_it_is_said(tmp_path: Path) -> None:
    made(tmp_path / "old", 1)
    for directory, file in (
        (tmp_path / "old", tmp_path / "no" / "such" / "directory"),
        (tmp_path / "none", tmp_path / "state.jsonl"),
    ):
        with pytest.raises(WatchmanError):
            export_state(directory, file)
    assert shutil.disk_usage(tmp_path)
