from __future__ import annotations

import io
import json
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from comfywatchman.domain.errors import DiskFull, Trouble
from comfywatchman.report.events import lines
from comfywatchman.report.lines import LOG_EVENTS
from comfywatchman.report.log import EventLog, Log, configure
from comfywatchman.report.record import MOST_BYTES
from comfywatchman.report.sink import is_the_journal
from tests.report.every_event import EVENT_TYPES, EVENTS, NASTY

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


class Page:
    """A log in memory."""

    def __init__(self, level: str = "debug", **others: Any) -> None:
        self.stream = io.StringIO()
        logging.getLogger().handlers.clear()  # pytest's own would format the records, too
        self.log: Log = configure(format="json", level=level, stream=self.stream, **others)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_the_samples_have_every_event() -> None:
    assert {type(event) for event in EVENTS} == set(EVENT_TYPES)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_becomes_lines_of_valid_json_with_a_known_name(event: Any) -> None:
    page = Page()

    EventLog(page.log).observe(event)

    assert page.records
    for record in page.records:
        assert record["event"] in LOG_EVENTS
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["timestamp"])
        assert record["level"] in {"debug", "info", "warning", "error"}
        assert record["logger"] == "comfywatchman"


def test_every_event_name_is_in_the_documents() -> None:
    documented = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", (DOCS / "metrics.md").read_text(), re.M)

    assert sorted(documented) == sorted(LOG_EVENTS)


def test_the_events_name_what_the_contract_names() -> None:
    named = {line.event for event in EVENTS for line in lines(event)}

    # The rest is told by whoever reads settings, keeps lists and posts webhooks.
    told_otherwise = {"config.loaded", "config.reloaded", "config.rejected", "catalog.stale"}
    told_otherwise |= {
        "watchdog.withheld",
        "watchdog.resumed",
        "thread.left_behind",
        "clock.stepped",
    }
    assert named == set(LOG_EVENTS) - told_otherwise - {"webhook.delivered", "webhook.failed"}


def test_an_error_is_told_as_code_cause_and_remedy() -> None:
    page = Page()

    EventLog(page.log).config_rejected(None, Trouble("settings-invalid", "A key.", "Remove it."))

    assert page.records[0]["error"] == {
        "code": "settings-invalid",
        "cause": "A key.",
        "remedy": "Remove it.",
    }


def test_names_that_are_hard_to_write_stay_on_one_line() -> None:
    page = Page()

    structlog.get_logger("x").info("model.found", path=Path("/m") / NASTY, name=NASTY)

    assert len(page.stream.getvalue().splitlines()) == 1
    assert page.records[0]["name"].startswith('a"b\n')


def test_values_that_json_has_no_word_for_do_not_raise() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no words")

    page = Page()
    circle: list[object] = []
    circle.append(circle)

    structlog.get_logger().info(
        "x",
        huge=10**400,
        infinite=float("inf"),
        keys={1: 2, (3, 4): {b"\xff"}, None: Broken()},
        circle=circle,
        broken=Broken(),
        error=DiskFull("No room.", remedy="Make room."),
    )

    [record] = page.records
    assert record["broken"] == "<Broken>"
    assert record["infinite"] == "inf"
    assert record["error"]["code"] == "disk-full"
    assert page.log.dropped == 0


def test_a_field_cannot_forge_the_time_or_the_level() -> None:
    page = Page()

    structlog.get_logger("real").info("x", timestamp="1970", level="error")

    assert page.records[0]["level"] == "info"
    assert page.records[0]["timestamp"] != "1970"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 10**6},
        {f"key{number}": "y" * 5000 for number in range(200)},
        {"many": [["\x00" * 1000] * 100] * 100},
        {"deep": {str(n): {str(m): "\x00" * 500 for m in range(100)} for n in range(100)}},
    ],
)
def test_a_record_is_never_larger_than_its_limit(fields: dict[str, Any]) -> None:
    page = Page()

    structlog.get_logger().info("x", **fields)

    assert len(page.stream.getvalue().encode()) <= MOST_BYTES + 1
    assert page.records[0]["event"] == "x"


def test_a_secret_is_hidden_in_fields_texts_tracebacks_and_other_peoples_lines() -> None:
    secret = "s3cr3tTokenValue42"
    page = Page(secrets=(secret,))

    structlog.get_logger().info("x", authorization=secret, nested={"api_key": "another-one"})
    logging.getLogger("urllib3.connectionpool").debug('"GET /x?token=%s HTTP/1.1" 200', secret)
    try:
        Path(f"/nowhere/https://user:{secret}@host.example/").read_bytes()
    except OSError:
        structlog.get_logger().exception("y")

    written = page.stream.getvalue()
    assert len(page.records) == 3
    assert secret not in written
    assert "another-one" not in written
    assert "FileNotFoundError" in page.records[2]["exception"]


def test_a_traceback_has_no_local_variables_and_an_end() -> None:
    page = Page()
    hidden = "local-variable-value"

    def dive(depth: int) -> None:
        if depth == 0:
            raise ValueError("z" * 100_000)
        dive(depth - 1) if depth % 2 else dive(depth - 1 + len(hidden) * 0)

    try:
        dive(50)
    except ValueError:
        logging.getLogger("anybody").exception("it failed")

    [record] = page.records
    assert hidden not in record["exception"]
    assert len(record["exception"].encode()) <= 8 * 1024 + 10


def test_records_of_the_standard_library_have_the_same_shape() -> None:
    page = Page("info")

    logging.getLogger("apscheduler.scheduler").warning("Run time of job was missed by %s", "3 s")
    logging.getLogger("apscheduler.scheduler").info("Running job")
    logging.getLogger("broken").error("%d", "no number")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", UserWarning, stacklevel=1)

    assert [record["logger"] for record in page.records] == [
        "apscheduler.scheduler",
        "broken",
        "py.warnings",
    ]
    assert page.records[0]["event"] == "Run time of job was missed by 3 s"


def test_lines_below_the_level_are_not_written_but_told_to_listeners() -> None:
    page = Page("info")
    heard: list[bytes] = []
    page.log.listen(heard.append)

    for event in EVENTS:
        EventLog(page.log).observe(event)

    names = [json.loads(line)["event"] for line in heard]
    assert "download.progress" in names
    assert "download.progress" not in [record["event"] for record in page.records]


def test_written_lines_are_counted_by_level() -> None:
    counted: list[str] = []
    Page("info", count=counted.append)

    structlog.get_logger().debug("x")
    structlog.get_logger().info("x")
    structlog.get_logger().error("x")

    assert counted == ["info", "error"]


def test_a_closed_pipe_does_not_reach_the_caller() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        log = configure(stream=stream)

        structlog.get_logger().error("x")

        assert log.dropped == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_does_not_reach_the_caller() -> None:
    log = configure(file=Path("/dev/full"))

    structlog.get_logger().error("x")

    assert log.dropped == 1
    log.close()


def test_a_listener_that_fails_does_not_reach_the_caller() -> None:
    def fail(_: bytes) -> None:
        raise KeyError

    page = Page()
    page.log.listen(fail)

    structlog.get_logger().error("x")

    assert page.log.dropped == 1


def test_a_file_that_was_renamed_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = configure(file=path)
    structlog.get_logger().info("before")
    path.rename(tmp_path / "log.1")

    structlog.get_logger().info("after")

    assert json.loads((tmp_path / "log.1").read_text())["event"] == "before"
    assert json.loads(path.read_text())["event"] == "after"
    assert path.stat().st_mode & 0o777 == 0o600
    log.close()


def test_threads_do_not_mix_their_lines_and_lose_none_while_the_file_is_rotated(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    log = configure(file=path)

    def write(thread: int) -> None:
        for number in range(500):
            log.record("info", "t", "x", {"thread": thread, "number": number, "pad": "p" * 300})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        if path.exists():
            path.rename(tmp_path / f"log.{turn}")
    for thread in threads:
        thread.join()
    log.close()

    found = [
        json.loads(line) for file in tmp_path.iterdir() for line in file.read_text().splitlines()
    ]
    assert len({(record["thread"], record["number"]) for record in found}) == 2000


def test_the_journal_gets_a_priority_with_each_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    with path.open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        configure(stream=stream)

        structlog.get_logger().error("x")

    assert path.read_text().startswith('<3>{"timestamp"')


def test_another_stream_than_the_journal_gets_no_priority(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as stream:
        assert not is_the_journal(stream, "1:1")
        assert not is_the_journal(stream, None)


def test_text_is_one_line_for_a_person_without_control_characters() -> None:
    stream = io.StringIO()
    configure(format="text", stream=stream)

    structlog.get_logger().warning("model.found", name=NASTY, size=3, nothing=None)

    [line] = stream.getvalue().splitlines()
    assert "warning" in line
    assert "model.found" in line
    assert "size=3" in line
    assert "\x1b" not in line
    assert "nothing" not in line


def test_setting_it_up_again_replaces_the_first() -> None:
    first, second = Page(), Page()

    logging.getLogger("x").warning("once")
    structlog.get_logger().warning("twice")

    assert first.records == []
    assert len(second.records) == 2
