"""Opening the database of a state directory."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from comfywatchman.domain.errors import DiskFailed, DiskFull, StateUnusable
from comfywatchman.domain.jobs import ResolveReference
from comfywatchman.state import jobs, migrate, store
from comfywatchman.state.keeper import writing_engine
from comfywatchman.state.schema import APPLICATION_ID, REVISION


def bytes_below(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def schema_of(path: Path) -> list[tuple[str, ...]]:
    """Return every table and index as SQLite has it, without spaces and quotes."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name"
        ).fetchall()
    return [
        (kind, name, table, " ".join(sql.replace('"', "").split()))
        for kind, name, table, sql in rows
    ]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A database of ours, closed."""
    directory = tmp_path / "state"
    store.open_keeper(directory).close()
    return store.database_path(directory)


def test_a_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "state"
    store.open_keeper(directory).close()

    assert directory.stat().st_mode & 0o777 == 0o700
    with closing(sqlite3.connect(store.database_path(directory))) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(REVISION,)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_migrations_make_what_the_program_makes(made: Path, tmp_path: Path) -> None:
    migrated = tmp_path / "migrated.sqlite3"
    engine = writing_engine(migrated)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
        )
    engine.dispose()
    from alembic import command

    configuration = migrate.configuration(migrated)
    command.upgrade(configuration, "head")
    configuration.attributes["engine"].dispose()

    assert schema_of(migrated) == schema_of(made)
    with closing(sqlite3.connect(migrated)) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(REVISION,)]


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    store.database_path(tmp_path).touch()
    store.open_keeper(tmp_path).close()

    assert store.open_reader(tmp_path) is not None


def test_an_upgrade_runs_nothing_that_lies_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, here = tmp_path / "state", tmp_path / "here"
    store.open_keeper(state).close()
    (path,) = state.glob("*.sqlite3")
    path.unlink()
    engine = writing_engine(path)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
        )
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    engine.dispose()
    from alembic import command

    configuration = migrate.configuration(path)
    command.upgrade(configuration, "0001")
    configuration.attributes["engine"].dispose()
    here.mkdir()
    for name in ("html", "typing_extensions", "alembic", "sqlalchemy"):
        (here / f"{name}.py").write_text("open('was-run', 'w').close(); raise SystemExit(1)")
    monkeypatch.chdir(here)
    store.open_keeper(state).close()

    assert not (here / "was-run").exists()
    with closing(sqlite3.connect(path)) as made:
        assert made.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISION,)


@pytest.mark.parametrize("name", ["with space", "50% off", "why?", "a#b", "ünïcode", "caf\udce9"])
def test_the_state_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    keeper = store.open_keeper(directory)
    keeper.write(lambda c: jobs.enqueue(c, [ResolveReference("loras", "a")], 1.0))
    reader = store.open_reader(directory)
    assert reader is not None
    counts = reader.read(jobs.counts)
    reader.close()
    keeper.close()

    assert counts == {("resolve", "waiting"): 1}
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - the names as they are


def test_a_database_of_a_newer_version_is_refused_and_not_touched(made: Path) -> None:
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = bytes_below(made.parent)

    with pytest.raises(StateUnusable) as refused:
        store.open_keeper(made.parent)

    assert "9999" in refused.value.cause
    assert "newer" in refused.value.cause
    assert bytes_below(made.parent) == before
    assert store.open_reader(made.parent) is None


def foreign_of_a_known_program(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA application_id = 252006674")  # some other program's
        connection.execute("CREATE TABLE theirs (x)")


def foreign_without_a_name(path: Path) -> None:
    """Most programs do not say whose their database is."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def no_database(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 100)


def cut_short(path: Path) -> None:
    store.open_keeper(path.parent).close()
    os.truncate(path, 5000)


@pytest.mark.parametrize(
    "make", [foreign_of_a_known_program, foreign_without_a_name, no_database, cut_short]
)
def test_a_file_that_is_no_sound_database_of_ours_is_refused_and_not_touched(
    tmp_path: Path, make: object
) -> None:
    path = store.database_path(tmp_path)
    make(path)  # type: ignore[operator]  # a function of the table above
    before = path.read_bytes()

    with pytest.raises(StateUnusable) as refused:
        store.open_keeper(tmp_path)

    assert str(path) in refused.value.cause
    assert path.read_bytes() == before
    assert store.open_reader(tmp_path) is None


def test_there_is_nothing_to_read_where_there_is_no_database(tmp_path: Path) -> None:
    assert store.open_reader(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_reader_can_change_nothing(tmp_path: Path) -> None:
    store.open_keeper(tmp_path).close()
    reader = store.open_reader(tmp_path)
    assert reader is not None

    with pytest.raises(Exception, match="readonly"):
        reader.read(lambda c: c.exec_driver_sql("DELETE FROM jobs"))
    reader.close()


def test_a_state_directory_that_cannot_be_made_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DiskFailed) as told:
        store.open_keeper(tmp_path / "file" / "state")

    assert "state.directory" in told.value.remedy


def test_what_was_written_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    """The database was never closed, so all of it is in the log of SQLite, even whose it is."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from comfywatchman.domain.jobs import ResolveReference
        from comfywatchman.state import jobs, store

        keeper = store.open_keeper(Path(sys.argv[1]))
        for number in range(50):
            job = ResolveReference("loras", str(number))
            keeper.write(lambda c: jobs.enqueue(c, [job], 1.0))
        keeper.write(lambda c: jobs.claim(c, "resolve", 2.0))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -9

    keeper = store.open_keeper(tmp_path)
    assert keeper.write(lambda c: jobs.recover(c, time.time())) == 1
    assert keeper.write(jobs.counts) == {("resolve", "waiting"): 50}
    keeper.close()


def test_a_database_in_memory_is_for_one_process(tmp_path: Path) -> None:
    keeper, reader = store.open_in_memory()
    keeper.write(lambda c: jobs.enqueue(c, [ResolveReference("loras", "a")], 1.0))

    assert reader.read(jobs.open_jobs) == 1
    keeper.close()


def test_a_disk_without_room_for_the_database_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OperationalError("", None, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(store, "_bring_up", full)
    with pytest.raises(DiskFull):
        store.open_keeper(tmp_path)
