"""docs/monitoring: what its rules and its dashboard ask for is there, under these names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from comfywatchman.domain.jobs import JOB_TYPES
from comfywatchman.report.metrics import Metrics
from comfywatchman.report.metrics.declared import LEVELS, REJECTIONS
from tests.report.every_event import EVENTS
from tests.report.test_metrics import families, metrics_of

HERE = Path(__file__).parents[2] / "docs/monitoring"
_ASKED = re.compile(r"\b(comfywatchman_\w+|process_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_OF_THE_SCRAPE = {"instance", "job"}
_OF_THE_INSTALLATION = {"host", "root", "folder", "timer", "worker", "handler", "file", "source"}
"""Labels whose values depend on it."""


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((HERE / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "grafana/comfywatchman.json").read_text())
    return found


def queries() -> list[str]:
    board = dashboard()
    shown = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
    shown += [each["expr"] for each in board["annotations"]["list"]]
    shown += [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
    return [rule["expr"] for rule in alerts()] + shown


@cache
def known() -> Mapping[str, list[dict[str, str]]]:
    """Return the labels of each series by the name under which it is asked for."""
    metrics: Metrics = metrics_of()
    found: dict[str, list[dict[str, str]]] = {}
    for family in families(metrics).values():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(dict(sample.labels))
    return found


def asked(query: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (metric, label, how, value) for each matcher, and the metric alone once."""
    for name, matchers in _ASKED.findall(query):
        yield name, "", "", ""
        for label, how, value in _MATCHER.findall(matchers):
            yield name, label, how, value


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_each_query_names_metrics_labels_and_values_that_exist(query: str) -> None:
    there = known()

    for name, label, how, value in asked(query):
        assert name in there, name
        if not label or label in _OF_THE_SCRAPE:
            continue
        values = {labels.get(label) for labels in there[name]}
        assert values != {None}, f"{name} has no label {label}"
        if label not in _OF_THE_INSTALLATION:
            wanted = value.split("|") if how in {"=~", "!~"} else [value]
            missing = set(wanted) - values
            assert not missing, f"{name}{{{label}}} is never {missing}"


def test_what_an_alert_counts_stands_at_0_before_anything_happens() -> None:
    """A series that begins at 1 has not risen: nobody would hear of the first fault."""
    metrics = metrics_of()
    counted = {
        name for rule in alerts() for name in re.findall(r"(?:increase|rate)\((\w+)", rule["expr"])
    }
    before = series(metrics, counted)
    for event in EVENTS:
        metrics.observe(event)
    for kind in JOB_TYPES:
        for result in ("done", "failed", "set-aside"):
            metrics.count_job(kind, result)
    for result in ("delivered", "failed", "given-up"):
        metrics.count_webhook(result)
    for level in LEVELS:
        metrics.count_log(level)
    for reason in REJECTIONS:
        metrics.count_rejection(reason)
    for kind in ("full", "io", "corrupt", "busy", "other"):
        metrics.count_database_error(kind)

    assert {name for name, _ in before} == counted
    assert set(before.values()) == {0.0}
    assert series(metrics, counted).keys() == before.keys()


def series(
    metrics: Metrics, names: set[str]
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(metrics).values()
        for sample in family.samples
        if sample.name in names
    }


@pytest.mark.parametrize("query", [rule["expr"] for rule in alerts()])
def test_what_an_alert_tells_by_comes_from_its_labels(query: str) -> None:
    rule = next(rule for rule in alerts() if rule["expr"] == query)
    told = " ".join(rule["annotations"].values())
    there = known()
    labels = {
        label for name, *_ in asked(query) for series in there.get(name, []) for label in series
    }

    assert set(re.findall(r"\$labels\.(\w+)", told)) <= labels | _OF_THE_SCRAPE


def test_each_alert_has_a_unit_test_and_a_section_that_says_what_to_do() -> None:
    tested = yaml.safe_load((HERE / "alerts.test.yml").read_text())["tests"]
    headings = re.findall(r"^### (\w+)$", (HERE / "README.md").read_text(), re.M)
    names = [rule["alert"] for rule in alerts()]

    assert [test["name"] for test in tested] == names == headings
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"README.md#{rule['alert'].lower()}"
    for test in tested:
        fired = [case["exp_alerts"] for case in test["alert_rule_test"]]
        assert fired[0] == []
        assert fired[-1]


def test_the_dashboard_can_be_imported() -> None:
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]

    assert board["uid"] == "comfywatchman"
    assert "id" not in board
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["title"]
            assert panel["targets"]
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("name", ["prometheus.yml", "alertmanager.yml", "grafana/provisioning.yml"])
def test_the_other_examples_are_yaml(name: str) -> None:
    assert yaml.safe_load((HERE / name).read_text())


@pytest.mark.parametrize("name", ["logs/filebeat.yml", "logs/vector.yaml", "logs/config.alloy"])
def test_the_fields_that_are_shipped_are_those_of_the_log(name: str) -> None:
    text = (HERE / name).read_text()
    if name.endswith("l") and not name.endswith("alloy"):
        assert yaml.safe_load(text)

    assert "timestamp" in text
    assert "level" in text
    assert text.count("{") == text.count("}")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "words",
    ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts.test.yml"],
)
def test_promtool_agrees(words: str) -> None:
    done = subprocess.run(
        ["promtool", *words.split()], cwd=HERE, capture_output=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
def test_amtool_agrees() -> None:
    done = subprocess.run(
        ["amtool", "check-config", "alertmanager.yml"],
        cwd=HERE,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
