"""Events, counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import assert_never

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from comfywatchman.domain import errors, messages
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import Event
from comfywatchman.report.events import trouble_of
from comfywatchman.report.metrics.declared import BACKENDS, BLOCKING, OTHER, Build, Declared
from comfywatchman.report.metrics.scraping import Scraped
from comfywatchman.report.metrics.sources import Sources


class Metrics:
    """Everything that is counted, on a registry of its own. Any thread may tell it something."""

    def __init__(
        self,
        registry: CollectorRegistry,
        build: Build,
        *,
        backends: Sequence[str] = BACKENDS,
        handlers: Sequence[str] = (),
    ) -> None:
        """Register everything.

        *backends* are the search backends of the settings, *handlers* the names of the HTTP
        routes; both are values of labels.
        """
        # Without this each counter and histogram is written twice, with the time of its birth.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
        self._registry = registry
        self._declared = Declared(registry, build, backends, handlers)

    @classmethod
    def on_own_registry(
        cls, build: Build, *, backends: Sequence[str] = BACKENDS, handlers: Sequence[str] = ()
    ) -> Metrics:
        """Return metrics with those of the process, the platform and the garbage collector."""
        registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        return cls(registry, build, backends=backends, handlers=handlers)

    def attach(self, sources: Sources) -> None:
        """Ask *sources* at each scrape from now on; to be called once."""
        self._registry.register(Scraped(sources, self._declared.source_failures.add))

    def render(self) -> tuple[bytes, str]:
        """Return the page and its content type.

        Always the text format 0.0.4, which every Prometheus reads: OpenMetrics has no room for
        both ``jobs`` and ``jobs_total``, and we have no exemplars.
        """
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    # -- what is told by others than events

    def config_read(self, *, successful: bool) -> None:
        """Note that the settings were read, at the start or again."""
        self._declared.config_successful.set(successful)
        if successful:
            self._declared.config_success_at.set_to_current_time()

    def count_log(self, level: str) -> None:
        self._declared.log_messages.add(level)

    def count_request(self, handler: str, status: int) -> None:
        """Count an answer of the HTTP server."""
        self._declared.http_requests.add(handler, str(status))

    def count_rejection(self, reason: str) -> None:
        """Count a request or connection that was refused before any handler saw it."""
        self._declared.http_rejected.add(reason)

    def count_job(self, kind: str, result: str = "done") -> None:
        """Count a job that ended, unless an event tells of it."""
        self._declared.jobs.add(kind, result)

    def count_hash(self, result: str) -> None:
        """Count a file that was not measured, and why.

        ``changed`` meanwhile, ``written`` to by somebody, ``incomplete``, or ``failed``.
        """
        self._declared.hash_files.add(result)

    def count_hash_bytes(self, amount: int) -> None:
        """Count bytes read to measure files, whatever came of it."""
        self._declared.hash_bytes.inc(amount)

    def count_database_error(self, kind: str) -> None:
        """Count ``busy``, ``full``, ``io`` or ``corrupt``."""
        self._declared.db_errors.add(kind)

    def count_notifications(self, kind: str, amount: int = 1) -> None:
        """Count notifications of the kernel, many at once: there may be thousands a second."""
        self._declared.watch_events.add(kind, amount=amount)

    def count_watch_restart(self, reason: str) -> None:
        self._declared.watch_restarts.add(reason)

    def probe_succeeded(self) -> None:
        """Note that a file of our own was written and its notification came."""
        self._declared.probe_at.set_to_current_time()

    def scrubbed(self, at: float | None = None) -> None:
        """Note when the scrub last read its part of the model files (Unix seconds), or now."""
        self._declared.scrub_at.set(time.time() if at is None else at)

    def count_webhook(self, result: str) -> None:
        """Count ``delivered``, ``failed`` or, of these, ``given-up``."""
        self._declared.webhooks.add(result)

    def count_failed_sweep(self, reason: str) -> None:
        self._declared.sweeps.add(reason, "failed")

    # -- events

    def observe(self, event: Event) -> None:
        trouble = trouble_of(event)
        if trouble is not None:
            self._declared.errors.add(trouble.code)
        self._count(event)

    def _count(self, event: Event) -> None:  # noqa: PLR0912  # one case for each event: a table
        match event:
            case messages.WatchDegraded(trouble=trouble):
                limit = trouble.code == errors.WatchLimitReached.code
                self._declared.watch_errors.add("limit" if limit else "degraded")
            case messages.WatchOverflowed():
                self._declared.overflows.inc()
            case messages.RootOffline():
                self._declared.watch_errors.add("root-offline")
            case messages.SweepFinished():
                self._swept(event)
            case messages.WorkflowAnalyzed():
                self._declared.analyses.add(event.analysis.state.value)
                self._declared.analysis_seconds.observe(event.duration_seconds)
                if event.analysis.content.trouble is None:
                    self._declared.analysis_at.set_to_current_time()
            case messages.ModelIndexed():
                self._declared.hash_files.add("measured")
            case messages.ModelCorrupt(reading=reading) if reading is not None:
                self._declared.scrub_mismatches.inc()
            case messages.SearchAsked():
                self._declared.searches.add(event.backend, event.result)
                backend = event.backend if event.backend in self._declared.backends else OTHER
                self._declared.search_seconds.labels(backend).observe(event.duration_seconds)
            case messages.DownloadStarted():
                if event.offset > 0:
                    self._declared.resumes.add("resumed")
                elif event.lost > 0:
                    self._declared.resumes.add("restarted")
            case messages.DownloadVerified():
                result = "verified" if event.promised else "unverifiable"
                self._declared.downloads.add(event.source, result)
                self._declared.download_bytes.add(event.source, amount=event.received)
                self._declared.download_at.set_to_current_time()
            case messages.DownloadQuarantined(trouble=trouble):
                self._declared.verify_failures.add(trouble.code)
            case messages.DownloadRetrying(trouble=trouble):
                self._declared.retries.add(trouble.code)
            case messages.DownloadFailed(trouble=trouble):
                self._declared.downloads.add(event.source, "failed")
                self._block(trouble)
            case (
                messages.ReferenceUnresolved(trouble=trouble)
                | messages.ReferenceAmbiguous(trouble=trouble)
            ):
                self._block(trouble)
            case messages.JobFailed(kind=kind):
                self._declared.jobs.add(kind, "failed")
            case messages.JobSetAside(kind=kind):
                self._declared.jobs.add(kind, "set-aside")
            case (
                messages.DaemonStarted()
                | messages.DaemonReady()
                | messages.DaemonStopping()
                | messages.DaemonStopped()
                | messages.WatchStarted()
                | messages.RootOnline()
                | messages.SweepStarted()
                | messages.WorkflowSettled()
                | messages.WorkflowRemoved()
                | messages.ModelFound()
                | messages.ModelVerified()
                | messages.ModelCorrupt()  # a web page under a model's name has not decayed
                | messages.InventoryProgressed()
                | messages.ModelChanged()
                | messages.ModelMoved()
                | messages.ModelRemoved()
                | messages.ReferenceResolved()
                | messages.DownloadQueued()
                | messages.DownloadProgressed()
                | messages.DownloadPaused()
                | messages.ModelPlaced()
                | messages.ErrorMet()
            ):
                pass  # a gauge of the sources shows what they lead to, or the log is enough
            case _:
                assert_never(event)

    def _swept(self, event: messages.SweepFinished) -> None:
        self._declared.sweeps.add(event.reason, "finished")
        self._declared.sweep_seconds.observe(event.duration_seconds)
        for kind, count in event.drift:
            self._declared.drift.add(kind, amount=count)

    def _block(self, trouble: Trouble) -> None:
        if trouble.code in BLOCKING:
            self._declared.blocked.add(trouble.code)
