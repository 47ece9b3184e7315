from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from comfywatchman.domain.errors import DiskFull, StateUnusable
from comfywatchman.state import store
from comfywatchman.state.keeper import kind_of
from comfywatchman.state.soundness import soundness


def made(directory: Path) -> Path:
    store.open_keeper(directory).close()
    return store.database_path(directory)


def test_no_database_is_no_trouble(tmp_path: Path) -> None:
    assert soundness(tmp_path) is None


def test_a_database_of_ours_is_sound_and_of_this_version(tmp_path: Path) -> None:
    made(tmp_path)
    found = soundness(tmp_path)

    assert found is not None
    assert (found.complaints, found.current, found.newer) == ((), True, False)


def test_a_changed_bit_in_a_row_is_found(tmp_path: Path) -> None:
    file = made(tmp_path)
    connection = sqlite3.connect(file)
    connection.execute("INSERT INTO timers VALUES ('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 1.0)")
    connection.commit()
    connection.close()
    data = file.read_bytes()
    at = data.rindex(b"x" * 32)
    file.write_bytes(data[:at] + b"y" + data[at + 1 :])
    found = soundness(tmp_path)

    assert found is not None
    assert found.complaints


def test_a_database_of_a_later_version_is_newer(tmp_path: Path) -> None:
    connection = sqlite3.connect(made(tmp_path))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    found = soundness(tmp_path)

    assert found is not None
    assert found.newer


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    store.database_path(tmp_path).write_bytes(b"something else" * 100)

    with pytest.raises(StateUnusable):
        soundness(tmp_path)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    file = made(tmp_path)
    before = file.read_bytes()
    soundness(tmp_path)

    assert file.read_bytes() == before


# -- errors are counted


def test_an_error_of_the_database_is_counted_by_its_kind(tmp_path: Path) -> None:
    counted: list[str] = []
    keeper = store.open_keeper(tmp_path)
    keeper.on_error = counted.append
    keeper.write(lambda c: c.execute(text("PRAGMA max_page_count = 1")))

    def fill(connection: Connection) -> None:
        for number in range(2000):
            connection.execute(
                text("INSERT INTO timers VALUES (:name, 1.0)"), {"name": f"{number}" * 500}
            )

    with pytest.raises(DiskFull):
        keeper.write(fill)
    keeper.close()

    assert counted == ["full"]


def test_an_error_of_reading_is_counted_too(tmp_path: Path) -> None:
    counted: list[str] = []
    made(tmp_path)
    reader = store.open_reader(tmp_path)
    assert reader is not None
    reader.on_error = counted.append

    with pytest.raises(Exception, match="no such table"):
        reader.read(lambda c: c.execute(text("SELECT * FROM absent")))
    reader.close()

    assert counted == ["other"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("database is locked", "busy"),
        ("database or disk is full", "full"),
        ("disk I/O error", "io"),
        ("attempt to write a readonly database", "io"),
        ("database disk image is malformed", "corrupt"),
        ("file is not a database", "corrupt"),
        ("UNIQUE constraint failed: jobs.key", "other"),
    ],
)
def test_kinds_are_those_of_the_metric(said: str, kind: str) -> None:
    assert kind_of(said) == kind
