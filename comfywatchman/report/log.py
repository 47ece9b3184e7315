"""Sets up the log: structlog and the standard library end in the same renderer and the same sink.

`comfywatchman.report.lean.keep_rich_out` is to be called before this module is imported in a
process that stays.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TextIO, cast

import structlog

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import Event
from comfywatchman.report.events import lines
from comfywatchman.report.lines import Level
from comfywatchman.report.record import (
    ExcInfo,
    Fields,
    Record,
    plain,
    timestamp,
    to_json,
    to_text,
    told,
)
from comfywatchman.report.redaction import Redaction
from comfywatchman.report.sink import FileSink, Sink, StreamSink, is_the_journal

Format = Literal["json", "text"]

_NUMBERS: Mapping[str, int] = MappingProxyType(
    {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
)

_TALKATIVE = {
    # At info apscheduler tells of every run of every timer, uvicorn of its own start; at debug
    # watchdog tells every notification, our own log file's among them.
    "apscheduler": (logging.WARNING, logging.INFO),
    "asyncio": (logging.WARNING, logging.INFO),
    "uvicorn": (logging.WARNING, logging.INFO),
    # Its warnings are about what clients send; a stranger could fill the disk with them.
    "uvicorn.error": (logging.ERROR, logging.INFO),
    "watchdog": (logging.INFO, logging.INFO),
}
"""Other people's loggers: from which level on we listen, normally and at debug."""

NOTICES_THREAD = "notices"
"""What posts to webhooks. At debug urllib3 tells the path of each request: of theirs, a secret."""

Listener = Callable[[bytes], None]


class Log:
    """The one way from a record to its line. Any thread may use it; no method raises."""

    def __init__(
        self,
        sink: Sink,
        *,
        format: Format,  # noqa: A002  # the setting is called so
        level: str,
        redaction: Redaction,
        count: Callable[[str], None] | None = None,
    ) -> None:
        self._sink = sink
        self._format = format
        self._threshold = _NUMBERS[level]
        self._redaction = redaction
        self._count = count
        self._listeners: tuple[tuple[Listener, Callable[[], bool]], ...] = ()
        self._lost = 0

    @property
    def dropped(self) -> int:
        """How many lines could not be written."""
        return self._sink.dropped + self._lost

    def listen(self, listener: Listener, wanted: Callable[[], bool] = lambda: True) -> None:
        """Hand each record as a line of JSON to *listener*, our own debug lines included.

        It runs on the thread that logs, so it does nothing but put. While it is not *wanted* no
        line is made that nobody else reads: a first sweep has a hundred thousand of them.
        """
        self._listeners = (*self._listeners, (listener, wanted))

    def record(
        self,
        level: str,
        logger: str,
        event: str,
        fields: Fields,
        exc_info: ExcInfo | None = None,
    ) -> None:
        try:
            listeners = [listener for listener, wanted in self._listeners if wanted()]
            written = _NUMBERS.get(level, logging.INFO) >= self._threshold
            if written or listeners:
                record = self._plain(level, logger, event, fields, exc_info)
                self._emit(level, record, listeners, written=written)
        except Exception:  # noqa: BLE001  # a value that changes meanwhile, a listener's bug: counted
            self._lost += 1

    def close(self) -> None:
        self._sink.close()

    def _plain(
        self, level: str, logger: str, event: str, fields: Fields, exc_info: ExcInfo | None
    ) -> Record:
        more = {key: value for key, value in fields.items() if key not in _OURS}
        if exc_info is not None:
            more["exception"] = told(exc_info, self._redaction)
        return {
            "timestamp": timestamp(datetime.now(UTC)),
            "level": level,
            **plain({"event": event, "logger": logger}, self._redaction),
            **plain(more, self._redaction),
        }

    def _emit(
        self, level: str, record: Record, listeners: Sequence[Listener], *, written: bool
    ) -> None:
        as_json = to_json(record) if listeners or self._format == "json" else b""
        for listener in listeners:
            listener(as_json)
        if written:
            self._sink.write(level, as_json if self._format == "json" else to_text(record))
            if self._count is not None:
                self._count(level)


_OURS = frozenset({"timestamp", "level", "event", "logger"})


class EventLog:
    """Every event of the domain as its line."""

    def __init__(self, log: Log, logger: str = "comfywatchman") -> None:
        self._log = log
        self._logger = logger

    def turn_to(self, log: Log) -> None:
        """Write to *log* from now on."""
        self._log = log

    def observe(self, event: Event) -> None:
        for line in lines(event):
            self._log.record(line.level, self._logger, line.event, line.fields)

    def config_loaded(self, path: Path | None) -> None:
        self._say("config.loaded", "info", path=path)

    def config_reloaded(self, path: Path | None) -> None:
        self._say("config.reloaded", "info", path=path)

    def config_rejected(self, path: Path | None, trouble: Trouble) -> None:
        self._say("config.rejected", "error", path=path, error=trouble)

    def webhook_delivered(self, host: str, about: str, duration_seconds: float) -> None:
        """Tell that the event named *about* was posted to *host*."""
        self._say(
            "webhook.delivered", "info", host=host, about=about, duration_seconds=duration_seconds
        )

    def webhook_failed(
        self, host: str, about: str, trouble: Trouble, retry_in_seconds: float | None
    ) -> None:
        """Tell that the event named *about* was not; ``None``: nor will it be, it was given up."""
        level: Level = "warning" if retry_in_seconds is not None else "error"
        again = None if retry_in_seconds is None else round(retry_in_seconds, 1)
        self._say(
            "webhook.failed", level, host=host, about=about, retry_in_seconds=again, error=trouble
        )

    def _say(self, event: str, level: Level, **fields: object) -> None:
        self._log.record(level, self._logger, event, fields)


def configure(
    *,
    format: Format = "json",  # noqa: A002  # the setting is called so
    level: str = "info",
    file: Path | None = None,
    stream: TextIO | None = None,
    secrets: tuple[str, ...] = (),
    count: Callable[[str], None] | None = None,
) -> Log:
    """Send every record of this process to *file*, or else to *stream* (standard error).

    Called once, by whoever starts the process; calling it again replaces what was set up.

    Values in *secrets* are blanked out wherever they turn up. *count* is told the level of each
    line written, for ``log_messages_total``.
    """
    sink: Sink
    if file is not None:
        sink = FileSink(file)
    else:
        target = sys.stderr if stream is None else stream
        journal = is_the_journal(target, os.environ.get("JOURNAL_STREAM"))
        sink = StreamSink(target, journal=journal)
    log = Log(sink, format=format, level=level, redaction=Redaction(secrets), count=count)
    _take_over_structlog(log, level)
    _take_over_logging(log, level)
    return log


def _take_over_structlog(log: Log, level: str) -> None:
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _Handed(log)],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=_named,
        # Not cached: a logger made before this call, or before the next one, must end here too.
        cache_logger_on_first_use=False,
    )


class _Handed:
    """The last processor: gives the record to the log, so that structlog writes nothing itself."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, logger: object, method: str, record: MutableMapping[str, Any]) -> str:
        fields = dict(record)
        name = fields.pop("logger", None) or getattr(logger, "name", "comfywatchman")
        level = {"warn": "warning", "exception": "error", "fatal": "critical"}.get(method, method)
        found = _exc_info(fields.pop("exc_info", None))
        fields.pop("stack_info", None)
        self._log.record(level, str(name), str(fields.pop("event", "")), fields, found)
        raise structlog.DropEvent


class _Named:
    """What structlog calls the logger; only its name matters."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, message: str) -> None:
        """Never reached: the last processor drops each record."""

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


def _named(*arguments: object) -> _Named:
    return _Named(str(arguments[0]) if arguments else "comfywatchman")


def _take_over_logging(log: Log, level: str) -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge(log))
    root.setLevel(_NUMBERS[level])
    logging.captureWarnings(capture=True)
    for name, (normally, debugging) in _TALKATIVE.items():
        floor = debugging if level == "debug" else normally
        logging.getLogger(name).setLevel(max(floor, _NUMBERS[level]))


class _Bridge(logging.Handler):
    """Takes the records of the standard library: watchdog, apscheduler, urllib3, uvicorn."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == NOTICES_THREAD and record.name.startswith("urllib3"):
            return
        level = record.levelname.lower()
        level = level if level in _NUMBERS else _nearest(record.levelno)
        self._log.record(level, record.name, _message(record), {}, _exc_info(record.exc_info))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a wrong format string of a library is no reason to fail
        return str(record.msg)


def _nearest(number: int) -> str:
    return max((n, name) for name, n in _NUMBERS.items() if n <= max(number, 10))[1]


def _exc_info(given: object) -> ExcInfo | None:
    """Return what *given* stands for: an exception, a triple, or "the one being handled"."""
    if isinstance(given, BaseException):
        return (type(given), given, given.__traceback__)
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[1], BaseException):
        return cast("ExcInfo", given)
    if given and not isinstance(given, tuple):
        found = sys.exc_info()
        return cast("ExcInfo", found) if found[1] is not None else None
    return None
