"""Gauges that are read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from comfywatchman.domain.jobs import JOB_TYPES
from comfywatchman.domain.references import ReferenceState, WorkflowState
from comfywatchman.report.metrics.sources import Sources
from comfywatchman.report.visible import visible

PREFIX = "comfywatchman_"

MOST_SERIES = 100
"""Per metric; what a broken source says beyond it is left out."""

_METHODS = ("events", "polling")

Samples = Iterable[tuple[Sequence[str], Sequence[float]]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Gauges that one question answers."""

    gauges: tuple[tuple[str, str], ...]
    """(name, help); a sample has one number for each."""
    labels: tuple[str, ...]
    read: Callable[[Sources], Samples]


def _one(value: float) -> Samples:
    return [((), (value,))]


def _each(values: Mapping[str, float], known: Iterable[str] = ()) -> Samples:
    every: dict[str, float] = {**dict.fromkeys(known, 0.0), **values}
    return [((key,), (number,)) for key, number in every.items()]


def _pairs(
    values: Mapping[tuple[str, str], float], known: Iterable[tuple[str, str]] = ()
) -> Samples:
    every: dict[tuple[str, str], float] = {**dict.fromkeys(known, 0.0), **values}
    return [(key, (number,)) for key, number in every.items()]


_READINGS: tuple[_Reading, ...] = (
    _Reading(
        (("ready", "Whether the first sweep is done and the database is writable."),),
        (),
        lambda s: _one(s.ready()),
    ),
    _Reading(
        (("comfyui_up", "Whether ComfyUI answered when it was last asked."),),
        (),
        lambda s: _one(s.comfyui_up()),
    ),
    _Reading(
        (
            ("worker_up", "Whether the thread lives and gets on."),
            (
                "worker_last_heartbeat_timestamp_seconds",
                "When the thread last said that it goes on.",
            ),
        ),
        ("worker",),
        lambda s: [((name,), pair) for name, pair in s.workers().items()],
    ),
    _Reading(
        (("workflows", "Workflow files."),),
        ("state",),
        lambda s: _each(s.workflows(), [state.value for state in WorkflowState]),
    ),
    _Reading(
        (("references", "Model references of all workflows."),),
        ("state",),
        lambda s: _each(s.references(), [state.value for state in ReferenceState]),
    ),
    _Reading(
        (
            ("models", "Model files."),
            ("model_bytes", "Size of the model files."),
        ),
        ("folder",),
        lambda s: [((folder,), pair) for folder, pair in s.models().items()],
    ),
    _Reading(
        (("watch_roots", "Watched directory trees."),),
        ("method", "state"),
        lambda s: _pairs(
            s.watch_roots(),
            [(m, state) for m in _METHODS for state in ("online", "degraded", "offline")],
        ),
    ),
    _Reading(
        (("watched_directories", "Directories that are watched."),),
        ("method",),
        lambda s: _each(s.watched_directories(), _METHODS),
    ),
    _Reading(
        (("watch_directories_expected", "Directories that should be watched."),),
        (),
        lambda s: _one(s.watch_directories_expected()),
    ),
    _Reading(
        (("pending_paths", "Paths that changed and did not come to rest yet."),),
        (),
        lambda s: _one(s.pending_paths()),
    ),
    _Reading(
        (("sweep_last_success_timestamp_seconds", "When the tree was last walked to the end."),),
        ("root",),
        lambda s: _each(s.last_sweeps()),
    ),
    _Reading(
        (
            ("hash_backlog_files", "Model files that wait for being measured."),
            ("hash_backlog_bytes", "Bytes that wait for being measured."),
        ),
        (),
        lambda s: [((), s.hash_backlog())],
    ),
    _Reading(
        (("breaker_open", "Whether the host is left alone for a while."),),
        ("host",),
        lambda s: _each(s.open_breakers()),
    ),
    _Reading(
        (("downloads_in_progress", "Transfers under way."),),
        (),
        lambda s: _one(s.downloads_in_progress()),
    ),
    _Reading(
        (("download_queue_files", "Models that wait for a transfer to begin."),),
        (),
        lambda s: _one(s.download_queue()),
    ),
    _Reading(
        (("download_bytes_per_second", "Speed of all transfers under way."),),
        (),
        lambda s: _one(s.download_speed()),
    ),
    _Reading(
        (
            ("download_remaining_bytes", "Bytes still to come of the transfers under way."),
            ("download_remaining_seconds", "How long the slowest of them will take."),
        ),
        (),
        lambda s: [((), s.download_remaining())],
    ),
    _Reading(
        (("models_unverifiable", "Placed models that nobody publishes a hash for."),),
        (),
        lambda s: _one(s.unverifiable()),
    ),
    _Reading(
        (("volume_free_bytes", "Bytes free on the volume of the root."),),
        ("root",),
        lambda s: _each(s.free_bytes()),
    ),
    _Reading(
        (("jobs", "Job rows."),),
        ("kind", "state"),
        lambda s: _pairs(
            s.jobs(), [(kind, state) for kind in JOB_TYPES for state in ("waiting", "running")]
        ),
    ),
    _Reading(
        (("choices_waiting", "Questions that only a person can answer."),),
        (),
        lambda s: _one(s.choices_waiting()),
    ),
    _Reading(
        (("notices", "Notices that wait for their receiver, and those that were given up."),),
        ("state",),
        lambda s: _each(s.notices(), ("waiting", "dead")),
    ),
    _Reading(
        (("timer_last_success_timestamp_seconds", "When the timer last did its work."),),
        ("timer",),
        lambda s: _each(s.timers()),
    ),
    _Reading(
        (("db_bytes", "Size of the database files."),),
        ("file",),
        lambda s: _each(s.db_bytes(), ("main", "wal")),
    ),
)

GAUGE_NAMES = tuple(name for reading in _READINGS for name, _ in reading.gauges)


class Scraped(Collector):
    """Asks the sources. One that fails leaves its metrics without samples, and is counted."""

    def __init__(self, sources: Sources, failed: Callable[[str], None]) -> None:
        self._sources = sources
        self._failed = failed

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing, so that registering asks nobody.

        Names would be compared as OpenMetrics does, where the gauge ``jobs`` and the counter
        ``jobs_total`` are one family; in the text format they are two.
        """
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for reading in _READINGS:
            families = _families(reading)
            for labels, numbers in self._samples(reading):
                for family, number in zip(families, numbers, strict=True):
                    family.add_metric(labels, number)
            yield from families

    def _samples(self, reading: _Reading) -> list[tuple[list[str], list[float]]]:
        try:
            return [
                _checked(reading, values, numbers)
                for values, numbers in islice(reading.read(self._sources), MOST_SERIES)
            ]
        except Exception:  # noqa: BLE001  # one broken source must not take the whole page down
            self._failed(reading.gauges[0][0])
            return []


def _checked(
    reading: _Reading, values: Sequence[str], numbers: Sequence[float]
) -> tuple[list[str], list[float]]:
    """Return a sample that prometheus_client cannot stumble over, or raise here."""
    if len(values) != len(reading.labels) or len(numbers) != len(reading.gauges):
        raise ValueError(f"{reading.gauges[0][0]} has another number of labels or values")
    return [visible(value)[:100] for value in values], [float(number) for number in numbers]


def _families(reading: _Reading) -> list[GaugeMetricFamily]:
    return [
        GaugeMetricFamily(PREFIX + name, meaning, labels=reading.labels)
        for name, meaning in reading.gauges
    ]
