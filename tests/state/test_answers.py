from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.state.answers import Answers, Document, Kept, cache_path

KEPT = Kept(
    "hub.example",
    "metadata",
    "found",
    "https://hub.example/a",
    200,
    {"etag": '"x"'},
    b'{"a": 1}',
    False,
    "https://hub.example/a",
    100.0,
    200.0,
)
MIB = 1 << 20


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    cache = Answers(cache_path(tmp_path), MIB)
    yield cache
    cache.close()


def test_an_answer_is_there_after_a_restart(answers: Answers, tmp_path: Path) -> None:
    answers.put(b"q", KEPT)
    answers.close()

    with closing(Answers(cache_path(tmp_path), MIB)) as again:
        assert again.get(b"q", 150.0) == KEPT
        assert again.get(b"other", 150.0) is None


def test_two_processes_share_it(answers: Answers, tmp_path: Path) -> None:
    with closing(Answers(cache_path(tmp_path), MIB)) as other:
        other.put(b"q", KEPT)
        assert answers.get(b"q", 150.0) == KEPT


def test_what_was_not_used_for_longest_goes_where_there_is_no_room(answers: Answers) -> None:
    body = bytes(range(256)) * 256
    for number in range(40):
        salted = b"".join(hash_of(number, part) for part in range(2048)) + body
        answers.put(str(number).encode(), replace(KEPT, body=salted, asked_at=float(number)))
        answers.get(b"0", 1000.0 + number * 100)

    stats = answers.stats(0.0)
    assert stats.bytes <= MIB
    assert answers.get(b"0", 9000.0) is not None
    assert answers.get(b"1", 9000.0) is None
    assert answers.get(b"39", 9000.0) is not None


def hash_of(number: int, part: int) -> bytes:
    import hashlib

    return hashlib.sha256(f"{number} {part}".encode()).digest()


def test_the_no_of_a_hub_goes_and_what_it_found_stays(answers: Answers) -> None:
    answers.put(b"yes", KEPT)
    answers.put(b"no", replace(KEPT, verdict="nothing"))
    answers.put(b"refused", replace(KEPT, verdict="refused"))

    assert answers.forget(found=False) == 2
    assert answers.get(b"yes", 0.0) == KEPT
    assert answers.get(b"no", 0.0) is None


def test_the_answers_of_one_host_go(answers: Answers) -> None:
    answers.put(b"1", KEPT)
    answers.put(b"2", replace(KEPT, host="other.example"))
    answers.keep_document("list", Document(b"text", None, 5.0))

    assert answers.forget(host="other.example") == 1
    assert answers.stats(0.0).answers == 1
    assert answers.document("list") == Document(b"text", None, 5.0)
    assert answers.forget() == 1
    assert answers.document("list") is None


def test_stats_count_by_host_and_what_is_too_old(answers: Answers) -> None:
    answers.put(b"1", KEPT)
    answers.put(b"2", replace(KEPT, expires_at=500.0))

    (share,) = answers.stats(300.0).shares

    assert (share.host, share.answers, share.expired) == ("hub.example", 2, 1)
    assert answers.stats(300.0).file_bytes > 0


@pytest.mark.parametrize(
    "content", [b"no database at all " * 100, b"SQLite format 3\0" + b"x" * 4096]
)
def test_a_damaged_cache_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    cache_path(tmp_path).write_bytes(content)

    with closing(Answers(cache_path(tmp_path), MIB)) as cache:
        cache.put(b"q", KEPT)
        assert cache.get(b"q", 0.0) == KEPT


def test_a_cache_that_is_damaged_while_it_is_used_costs_only_itself(
    answers: Answers, tmp_path: Path
) -> None:
    for number in range(200):
        answers.put(str(number).encode(), replace(KEPT, body=hash_of(number, 0) * 100))
    with closing(sqlite3.connect(cache_path(tmp_path))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with cache_path(tmp_path).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 60_000)

    for number in range(200):
        answers.get(str(number).encode(), 0.0)
    answers.put(b"q", KEPT)

    assert answers.get(b"q", 0.0) == KEPT


def test_a_cache_of_another_format_is_emptied(answers: Answers, tmp_path: Path) -> None:
    answers.put(b"q", KEPT)
    answers.close()
    with closing(sqlite3.connect(cache_path(tmp_path))) as connection:
        connection.execute("PRAGMA user_version = 99")

    with closing(Answers(cache_path(tmp_path), MIB)) as cache:
        assert cache.get(b"q", 0.0) is None


def test_without_a_place_it_ends_with_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(Answers(tmp_path / "file" / "answers.sqlite3", MIB)) as cache:
        cache.put(b"q", KEPT)
        assert cache.get(b"q", 0.0) == KEPT
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_threads_take_turns(answers: Answers) -> None:
    def use(name: int) -> None:
        for number in range(50):
            answers.put(f"{name} {number}".encode(), KEPT)
            assert answers.get(f"{name} {number}".encode(), 0.0) == KEPT

    threads = [threading.Thread(target=use, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert answers.stats(0.0).answers == 200


def test_nobody_else_may_read_the_file(answers: Answers, tmp_path: Path) -> None:
    answers.put(b"q", KEPT)

    assert cache_path(tmp_path).stat().st_mode & 0o077 == 0
