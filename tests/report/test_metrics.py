from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from comfywatchman.domain import errors
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadStarted,
    DownloadVerified,
    ErrorMet,
    SearchAsked,
    SweepFinished,
)
from comfywatchman.report.metrics import Build, Metrics, Sources
from tests.report.every_event import EVENTS, MEASURED

DOCS = Path(__file__).parents[2] / "docs"

CONTRACT = """
build_info{version,revision,pythonversion,schema} ready start_time_seconds
config_last_reload_successful config_last_reload_success_timestamp_seconds worker_up{worker}
worker_last_heartbeat_timestamp_seconds{worker} workflows{state} references{state} models{folder}
model_bytes{folder} analyses_total{result} analysis_duration_seconds
analysis_last_success_timestamp_seconds watch_roots{method,state} watched_directories{method}
watch_directories_expected watch_events_total{kind} watch_overflows_total watch_errors_total{kind}
watch_restarts_total{reason} watch_last_probe_success_timestamp_seconds pending_paths
sweeps_total{reason,result} sweep_last_success_timestamp_seconds{root} sweep_duration_seconds
sweep_drift_total{kind} hash_files_total{result} hash_bytes_total hash_backlog_files
hash_backlog_bytes scrub_last_success_timestamp_seconds scrub_mismatches_total
searches_total{backend,result} search_duration_seconds{backend} breaker_open{host}
downloads_total{source,result} download_bytes_total{source} downloads_in_progress
download_queue_files download_resumes_total{outcome} download_retries_total{reason}
download_verify_failures_total{reason} download_blocked_total{reason}
download_last_success_timestamp_seconds volume_free_bytes{root} jobs{kind,state}
jobs_total{kind,result} choices_waiting timer_last_success_timestamp_seconds{timer} db_bytes{file}
db_errors_total{kind} errors_total{code} webhook_deliveries_total{result}
http_requests_total{handler,code} http_rejected_total{reason} log_messages_total{level} comfyui_up
"""
"""Section 5 of the contract."""


class Everything(Sources):
    """Sources that know something of each kind."""

    def ready(self) -> bool:
        return True

    def workers(self) -> Mapping[str, tuple[bool, float]]:
        return {"settle": (True, 1000.0)}

    def models(self) -> Mapping[str, tuple[int, int]]:
        return {"loras": (3, 4000), "bad\udcff\n": (1, 1)}

    def open_breakers(self) -> Mapping[str, bool]:
        return {"civitai.com": True}

    def last_sweeps(self) -> Mapping[str, float]:
        return {"models": 5.0}

    def free_bytes(self) -> Mapping[str, int]:
        return {"models": 10}

    def timers(self) -> Mapping[str, float]:
        return {"sweep": 5.0}


class Broken(Everything):
    def workflows(self) -> Mapping[str, int]:
        raise OSError("the database is gone")

    def references(self) -> Mapping[str, int]:
        return {"present": None}  # type: ignore[dict-item]  # a source with a bug

    def jobs(self) -> Mapping[tuple[str, str], int]:
        return {("only one",): 1}  # type: ignore[dict-item]  # a source with a bug


def metrics_of(sources: Sources | None = None) -> Metrics:
    metrics = Metrics.on_own_registry(Build("1.0"), handlers=("status", "metrics"))
    metrics.attach(Everything() if sources is None else sources)
    return metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    page, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=0.0.4")
    # The parser cuts "_total" off, and then jobs and jobs_total have one name.
    return {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(page.decode())
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    for family in families(metrics).values():
        for sample in family.samples:
            if sample.name == f"comfywatchman_{name}" and sample.labels == labels:
                return sample.value
    raise AssertionError(f"no {name} {labels}")


@pytest.mark.parametrize("promised", CONTRACT.split())
def test_every_promised_metric_is_there_with_its_labels(promised: str) -> None:
    name, _, rest = promised.partition("{")
    labels = set(rest.rstrip("}").split(",")) - {""}

    family = families(metrics_of())[f"comfywatchman_{name}"]

    assert family.samples
    shown = set(family.samples[0].labels) - {"le"}
    assert shown == labels


def test_the_process_and_python_are_measured_as_well() -> None:
    found = families(metrics_of())

    assert "process_resident_memory_bytes" in found
    assert "python_info" in found
    assert "python_gc_collections_total" in found


def test_every_metric_has_its_line_in_the_documents() -> None:
    text = (DOCS / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(comfywatchman_[a-z_]+)", text, re.M))

    assert documented == {name for name in families(metrics_of()) if name.startswith("comfy")}


def test_the_rules_of_promlint_hold() -> None:
    page = metrics_of().render()[0].decode()

    for name, family in families(metrics_of()).items():
        assert family.documentation, name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
        assert (family.type == "counter") == name.endswith("_total"), name
        assert not re.search(r"_(ms|millis|kb|mb|gauge|counter|histogram|created|count|sum)$", name)
        assert not re.search(r"_(milliseconds|minutes|hours|kilobytes|megabytes)(_|$)", name)
        for sample in family.samples:
            assert not {"path", "file_name", "url", "name", "job"} & set(sample.labels)
    assert "_created" not in page
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    series = [line.rpartition(" ")[0] for line in lines]
    assert len(series) == len(set(series))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say() -> None:
    metrics = metrics_of()
    for event in EVENTS:
        metrics.observe(event)

    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=metrics.render()[0],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_can_be_counted(event: object) -> None:
    metrics = metrics_of()

    metrics.observe(event)  # type: ignore[arg-type]  # a tuple of unions loses its members here

    assert families(metrics)


def test_a_transfer_is_counted_with_its_bytes_and_its_source() -> None:
    metrics = metrics_of()

    metrics.observe(DownloadStarted("loras", "x", "civitai", "civitai.com", 100, 50))
    metrics.observe(DownloadVerified("loras", "x", "civitai", "civitai.com", MEASURED, 1.0, 50))

    assert value(metrics, "downloads_total", source="civitai", result="verified") == 1
    assert value(metrics, "download_bytes_total", source="civitai") == 50
    assert value(metrics, "download_resumes_total", outcome="resumed") == 1


def test_what_a_rule_forbids_counts_as_blocked_and_an_outage_does_not() -> None:
    metrics = metrics_of()
    forbidden = Trouble("host-not-allowed", "x", "y")
    outage = Trouble("source-unavailable", "x", "y")

    metrics.observe(DownloadFailed("loras", "x", "civitai", forbidden))
    metrics.observe(DownloadFailed("loras", "x", "civitai", outage))

    assert value(metrics, "download_blocked_total", reason="host-not-allowed") == 1
    assert value(metrics, "downloads_total", source="civitai", result="failed") == 2
    assert value(metrics, "errors_total", code="source-unavailable") == 1


def test_a_label_never_grows_beyond_its_known_values() -> None:
    metrics = metrics_of()
    before = len(metrics.render()[0].splitlines())

    for number in range(50):
        metrics.observe(SearchAsked(f"backend-{number}", "f", "n", f"result-{number}", 0.1))
        metrics.observe(ErrorMet(Trouble(f"code-{number}", "x", "y")))
        metrics.observe(SweepFinished(f"reason-{number}", 1.0, 1, 1, ((f"kind-{number}", 1),)))
        metrics.count_rejection(f"reason-{number}")

    assert len(metrics.render()[0].splitlines()) == before
    assert value(metrics, "errors_total", code="other") == 50


def test_every_error_code_is_known_from_the_start() -> None:
    metrics = metrics_of()

    for kind in errors.WatchmanError.__subclasses__():
        if kind.__module__ == errors.__name__:
            assert value(metrics, "errors_total", code=kind.code) == 0


def test_a_failing_source_costs_its_own_metric_only_and_is_counted() -> None:
    metrics = metrics_of(Broken())

    found = families(metrics)

    assert value(metrics, "ready") == 1
    assert found["comfywatchman_workflows"].samples == []
    assert value(metrics, "source_failures_total", source="workflows") >= 1
    assert value(metrics, "source_failures_total", source="references") >= 1
    assert value(metrics, "source_failures_total", source="jobs") >= 1


def test_a_folder_that_cannot_be_decoded_does_not_break_the_page() -> None:
    page = metrics_of().render()[0].decode()

    assert r'comfywatchman_models{folder="bad\\udcff\\n"} 1.0' in page


def test_what_is_told_beside_events_is_counted() -> None:
    metrics = metrics_of()

    metrics.config_read(successful=True)
    metrics.count_log("info")
    metrics.count_request("status", 200)
    metrics.count_request("unheard-of", 999)
    metrics.count_rejection("wrong-host")
    metrics.count_job("fetch")
    metrics.count_hash("changed")
    metrics.count_database_error("busy")
    metrics.count_notifications("changed", 1000)
    metrics.count_watch_restart("probe")
    metrics.count_webhook("delivered")
    metrics.count_failed_sweep("timer")
    metrics.probe_succeeded()
    metrics.scrubbed()

    assert value(metrics, "config_last_reload_successful") == 1
    assert value(metrics, "http_requests_total", handler="status", code="200") == 1
    assert value(metrics, "http_requests_total", handler="other", code="other") == 1
    assert value(metrics, "jobs_total", kind="fetch", result="done") == 1
    assert value(metrics, "watch_events_total", kind="changed") == 1000
    assert value(metrics, "sweeps_total", reason="timer", result="failed") == 1
    assert value(metrics, "watch_last_probe_success_timestamp_seconds") > 0
