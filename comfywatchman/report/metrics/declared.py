"""Every metric that is counted: its name, its help, its labels and their known values."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from comfywatchman.domain import errors, jobs
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.references import WorkflowState
from comfywatchman.report.metrics.scraping import GAUGE_NAMES, PREFIX

OTHER = "other"
"""Every value that no list knows, so that a label never grows."""

CODES = tuple(
    sorted(
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, WatchmanError)
    )
)
BACKENDS = ("workflow", "hfcache", "catalog", "civitai", "huggingface", "github", "modelscope")
BLOCKING = (
    "choice-needed",
    "disk-full",
    "download-off",
    "download-too-large",
    "folder-not-writable",
    "host-not-allowed",
    "login-needed",
    "name-taken",
    "offline",
    "pickle-refused",
    "source-changed",
    "unknown-folder",
    "unsafe-file",
    "unsafe-name",
    "url-refused",
)
"""Codes that mean: it could be fetched, but a rule, a right or a full disk stands in the way."""
SWEEP_REASONS = (
    "start",
    "timer",
    "asked",
    "poll",
    "directory",
    "crowded",
    "overflow",
    "root-online",
    "settings",
)
LEVELS = ("debug", "info", "warning", "error", "critical")
REJECTIONS = (
    "wrong-host",
    "wrong-origin",
    "token-needed",
    "wrong-content-type",
    "slow",
    "flood",
    "bad-request",
)

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.1, 0.5, 1, 5, 15, 60, 300, 1800)


@dataclass(frozen=True, slots=True)
class Build:
    """What this program is."""

    version: str
    revision: str = ""
    """Of the source, where it is known."""
    python_version: str = ""
    schema: str = ""
    """Revision of the database schema."""


class Counts:
    """A counter whose labels know their values, from the start at 0."""

    def __init__(
        self,
        counter: Counter,
        known: Sequence[Sequence[str]],
        start: Iterable[tuple[str, ...]] | None = None,
    ) -> None:
        self._counter = counter
        self._known = [frozenset(values) for values in known]
        for values in product(*known) if start is None else start:
            counter.labels(*values)

    def add(self, *values: str, amount: float = 1) -> None:
        pairs = zip(values, self._known, strict=True)
        closed = [value if value in known else OTHER for value, known in pairs]
        self._counter.labels(*closed).inc(amount)


class Declared:
    """The metrics, on one registry. Who counts what stands in `comfywatchman.report.metrics`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        build: Build,
        backends: Sequence[str],
        handlers: Sequence[str],
    ) -> None:
        self._registry = registry
        self._about(build)
        self._watching()
        self._working()
        self._searching((*dict.fromkeys((*BACKENDS, *backends)),))
        self._surfaces(handlers)

    def _about(self, build: Build) -> None:
        info = self._gauge(
            "build_info",
            "What this program is; always 1.",
            ("version", "revision", "pythonversion", "schema"),
        )
        info.labels(build.version, build.revision, build.python_version, build.schema).set(1)
        self._gauge("start_time_seconds", "When this process started.").set(time.time())
        self.config_successful = self._gauge(
            "config_last_reload_successful",
            "Whether the settings that were last read are in force.",
        )
        self.config_success_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When settings were last put in force."
        )
        self.errors = self._counts(
            "errors_total", "Errors met, by their code.", code=(*CODES, OTHER)
        )
        self.log_messages = self._counts("log_messages_total", "Log lines.", level=LEVELS)
        self.source_failures = self._counts(
            "source_failures_total",
            "Gauges that could not be read at a scrape.",
            source=(*GAUGE_NAMES, OTHER),
        )

    def _watching(self) -> None:
        self.watch_events = self._counts(
            "watch_events_total",
            "Notifications from the file system.",
            kind=("changed", "moved_here", "removed", "directory_changed", "overflow", OTHER),
        )
        self.overflows = self._counter(
            "watch_overflows_total", "Times that the kernel threw notifications away."
        )
        self.watch_errors = self._counts(
            "watch_errors_total",
            "Faults of watching.",
            kind=("limit", "degraded", "root-offline", OTHER),
        )
        self.watch_restarts = self._counts(
            "watch_restarts_total",
            "Times that watching began anew.",
            reason=("overflow", "root-online", "probe", "settings", OTHER),
        )
        self.probe_at = self._gauge(
            "watch_last_probe_success_timestamp_seconds",
            "When a notification last came for a file of our own.",
        )
        self.sweeps = self._counts(
            "sweeps_total",
            "Walks over all trees.",
            reason=(*SWEEP_REASONS, OTHER),
            result=("finished", "failed"),
        )
        self.sweep_seconds = self._histogram(
            "sweep_duration_seconds", "How long a sweep took.", _SLOW
        )
        self.drift = self._counts(
            "sweep_drift_total",
            "What a sweep found that no notification had told.",
            kind=("added", "changed", "moved", "removed", OTHER),
        )

    def _working(self) -> None:
        self.analyses = self._counts(
            "analyses_total",
            "Workflows read, by what came of it.",
            result=[state.value for state in WorkflowState],
        )
        self.analysis_seconds = self._histogram(
            "analysis_duration_seconds", "How long reading one workflow took.", _QUICK
        )
        self.analysis_at = self._gauge(
            "analysis_last_success_timestamp_seconds", "When a workflow was last read well."
        )
        self.hash_files = self._counts(
            "hash_files_total",
            "Model files read to measure them.",
            result=("measured", "changed", "written", "incomplete", "failed", OTHER),
        )
        self.hash_bytes = self._counter("hash_bytes_total", "Bytes read to measure model files.")
        self.scrub_at = self._gauge(
            "scrub_last_success_timestamp_seconds",
            "When the scrub last read its part of the model files again.",
        )
        self.scrub_mismatches = self._counter(
            "scrub_mismatches_total", "Model files whose bytes changed though nothing wrote them."
        )
        self.jobs = self._counts(
            "jobs_total",
            "Jobs ended.",
            kind=(*jobs.JOB_TYPES, OTHER),
            result=("done", "failed", "set-aside"),
        )
        self.db_errors = self._counts(
            "db_errors_total",
            "Errors of the database.",
            kind=("busy", "full", "io", "corrupt", OTHER),
        )

    def _searching(self, backends: tuple[str, ...]) -> None:
        self.backends = frozenset(backends)
        """Values that the label ``backend`` knows; any other is `OTHER`."""
        sources = (*backends, OTHER)
        self.searches = self._counts(
            "searches_total",
            "Questions to search backends.",
            backend=sources,
            result=("answered", "empty", "unavailable", "mismatch", OTHER),
        )
        self.search_seconds = self._histogram(
            "search_duration_seconds", "How long a backend took to answer.", _QUICK, ("backend",)
        )
        for backend in sources:
            self.search_seconds.labels(backend)
        self.downloads = self._counts(
            "downloads_total",
            "Transfers ended; unverifiable: whole, and nobody publishes a hash that proves them.",
            source=sources,
            result=("verified", "unverifiable", "failed"),
        )
        self.download_bytes = self._counts(
            "download_bytes_total", "Bytes that came over the network.", source=sources
        )
        self.resumes = self._counts(
            "download_resumes_total",
            "Transfers that had a beginning already.",
            outcome=("resumed", "restarted", OTHER),
        )
        self.retries = self._counts(
            "download_retries_total",
            "Transfers put off to be tried again.",
            reason=(*CODES, OTHER),
        )
        self.verify_failures = self._counts(
            "download_verify_failures_total",
            "Transfers whose bytes were not the promised ones.",
            reason=("verification-failed", "wrong-answer", OTHER),
        )
        self.blocked = self._counts(
            "download_blocked_total",
            "Models that a rule, a right or a full disk kept from being fetched.",
            reason=BLOCKING,
        )
        self.download_at = self._gauge(
            "download_last_success_timestamp_seconds", "When a model was last fetched."
        )

    def _surfaces(self, handlers: Sequence[str]) -> None:
        self.webhooks = self._counts(
            "webhook_deliveries_total",
            "Tries to tell webhooks and chat services, and notices that were given up.",
            result=("delivered", "failed", "given-up", OTHER),
        )
        statuses = [str(status) for status in range(200, 600)]
        counter = Counter(
            PREFIX + "http_requests_total",
            "Answers of the HTTP server.",
            ("handler", "code"),
            registry=self._registry,
        )
        self.http_requests = Counts(
            counter,
            [(*handlers, OTHER), (*statuses, OTHER)],
            start=[(handler, "200") for handler in handlers],
        )
        self.http_rejected = self._counts(
            "http_rejected_total",
            "Requests and connections refused before any handler saw them.",
            reason=(*REJECTIONS, OTHER),
        )

    def _gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(PREFIX + name, meaning, labels, registry=self._registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(PREFIX + name, meaning, registry=self._registry)

    def _counts(self, name: str, meaning: str, **labels: Sequence[str]) -> Counts:
        counter = Counter(PREFIX + name, meaning, tuple(labels), registry=self._registry)
        return Counts(counter, list(labels.values()))

    def _histogram(
        self, name: str, meaning: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(PREFIX + name, meaning, labels, buckets=buckets, registry=self._registry)
