from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from comfywatchman.server.routes import OPERATIONS, WORKFLOW_BODY
from comfywatchman.server.window import Wish, choice_id
from tests.server.small_daemon import EVIL, House, house


@pytest.fixture(scope="module")
def at() -> Iterator[House]:
    with house() as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(at: House) -> None:
    at.daemon.is_ready = True
    at.daemon.asked.clear()


def test_the_process_tells_that_it_lives(at: House) -> None:
    answer = requests.get(f"http://{at.host}:{at.port}/healthz", timeout=10)

    assert answer.status_code == 200
    assert answer.json() == {"status": "alive"}


def test_readiness_tells_what_is_lacking(at: House) -> None:
    at.daemon.is_ready = False

    answer = at.ask("GET", "/readyz")

    assert answer.status == 503
    assert answer.json == {"ready": False, "lacking": ["The first sweep goes on."]}
    at.daemon.is_ready = True
    assert at.ask("GET", "/readyz").status == 200


def test_metrics_are_those_of_the_daemon_and_count_the_asking(at: House) -> None:
    at.ask("GET", "/metrics")
    answer = at.ask("GET", "/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {
        (sample.name, sample.labels.get("handler"), sample.labels.get("code")): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    assert samples["comfywatchman_http_requests_total", "metrics", "200"] >= 1


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/api/v1/status", "version"),
        ("/api/v1/workflows", "workflows"),
        ("/api/v1/models", "models"),
        ("/api/v1/references", "references"),
        ("/api/v1/choices", "choices"),
        ("/api/v1/jobs", "jobs"),
        ("/api/v1/jobs/7", "kind"),
        ("/api/v1/downloads", "downloads"),
    ],
)
def test_each_list_is_json(at: House, path: str, key: str) -> None:
    answer = at.ask("GET", path)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert key in answer.json


def test_a_workflow_is_found_by_its_id_with_the_rows_of_the_report(at: House) -> None:
    [first, *_] = at.ask("GET", "/api/v1/workflows").json["workflows"]

    found = at.ask("GET", f"/api/v1/workflows/{first['id']}")

    assert found.json["path"] == first["path"]
    assert [row["state"] for row in found.json["references"]] == ["present", "missing"]


def test_models_are_asked_for_by_folder_and_page(at: House) -> None:
    answer = at.ask("GET", "/api/v1/models?folder=loras&limit=5&offset=10")

    assert answer.status == 200
    assert at.daemon.asked == [("models", ("loras", 5, 10))]


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=100000", "offset=9" * 40])
def test_a_number_that_is_none_is_refused(at: House, query: str) -> None:
    answer = at.ask("GET", f"/api/v1/models?{query}")

    assert answer.status == 400
    assert answer.json["error"]["code"] == "bad-request"
    assert at.daemon.asked == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/api/v1/workflows/unknown"),
        ("GET", "/api/v1/jobs/1"),
        ("GET", "/api/v1/jobs/x"),
        ("POST", "/api/v1/jobs/1/retry"),
        ("POST", "/api/v1/jobs/" + "9" * 30 + "/cancel"),
        ("GET", "/api/v1/workflows/../../../etc/passwd"),
        ("GET", "/static/../../etc/passwd"),
        ("GET", "/api/v1/status/"),
    ],
)
def test_what_is_not_there_is_a_404_with_a_remedy(at: House, method: str, path: str) -> None:
    answer = at.ask(method, path)

    assert answer.status == 404
    assert set(answer.json["error"]) == {"code", "cause", "remedy"}


def test_paths_are_analyzed(at: House) -> None:
    answer = at.ask("POST", "/api/v1/analyze", b'{"workflows": ["/wf/a.json", "/wf/b.json"]}')

    assert answer.status == 200
    assert at.daemon.asked == [("analyze", ["/wf/a.json", "/wf/b.json"])]
    assert answer.json["status"] == "blocked"
    assert answer.json["schema_version"] == 1
    assert answer.json["summary"]["workflows"] == 2
    assert [row["name"] for row in answer.json["missing_models"]] == [EVIL]
    assert [row["name"] for row in answer.json["available_models"]] == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"nodes": [], "links": [], "workflows": ["not", "paths"]}',
        b'{"3": {"class_type": "KSampler", "inputs": {}}}',
        b"not even json",
        b"[" * 100_000,
        b"",
    ],
)
def test_any_other_body_is_a_workflow(at: House, body: bytes) -> None:
    answer = at.ask("POST", "/api/v1/analyze?name=mine.json", body)

    assert answer.status == 200
    assert at.daemon.asked == [("analyze_body", (len(body), "mine.json"))]


def test_a_list_that_is_none_is_refused(at: House) -> None:
    for body in (b'{"workflows": "x"}', b'{"workflows": [1]}'):
        assert at.ask("POST", "/api/v1/analyze", body).status == 400
    many = json.dumps({"workflows": ["x"] * 1001}).encode()
    assert at.ask("POST", "/api/v1/analyze", many).status == 413
    assert at.daemon.asked == []


def test_an_error_of_the_daemon_is_told_with_a_fitting_status(at: House) -> None:
    outside = at.ask("POST", "/api/v1/analyze", b'{"workflows": ["/etc/passwd"]}')
    busy = at.ask("POST", "/api/v1/jobs/8/retry")

    assert outside.status == 404
    assert outside.json["error"] == {
        "code": "file-unreadable",
        "cause": "That is outside the workflow directories.",
        "remedy": "Move it there.",
    }
    assert busy.status == 503
    assert busy.headers["retry-after"] == "30"


def test_a_bug_tells_nothing_of_its_cause(at: House) -> None:
    answer = at.ask("POST", "/api/v1/jobs/9/retry")

    assert answer.status == 500
    assert answer.json["error"]["code"] == "internal-error"
    assert b"tell-nobody" not in answer.body


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("/api/v1/fix", b'{"workflows": ["/wf/a.json"]}', ("fix", ["/wf/a.json"])),
        ("/api/v1/sweep", b"", ("sweep", None)),
        ("/api/v1/choices/abc", b'{"candidate": 0}', ("choose", ("abc", 0))),
    ],
)
def test_what_takes_time_is_accepted(at: House, path: str, body: bytes, asked: Any) -> None:
    answer = at.ask("POST", path, body)

    assert answer.status == 202
    assert at.daemon.asked == [asked]


def test_a_job_is_tried_again_or_given_up(at: House) -> None:
    assert at.ask("POST", "/api/v1/jobs/7/retry").json["id"] == 7
    assert at.ask("POST", "/api/v1/jobs/7/cancel").json["id"] == 7
    assert at.daemon.asked == [("retry", 7), ("cancel", 7)]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"candidate": "x"}', b'{"candidate": 0, "x": 1}'])
def test_a_choice_that_names_no_candidate_is_refused(at: House, body: bytes) -> None:
    assert at.ask("POST", "/api/v1/choices/abc", body).status == 400


def test_a_candidate_that_is_not_there_is_a_404(at: House) -> None:
    assert at.ask("POST", "/api/v1/choices/abc", b'{"candidate": 5}').status == 404


def test_fix_wants_paths(at: House) -> None:
    assert at.ask("POST", "/api/v1/fix", b'{"nodes": []}').status == 400


def test_a_file_is_fetched_for_whoever_has_the_token(at: House) -> None:
    body = b'{"folder": "loras", "name": "a.safetensors", "url": "https://example.org/a"}'
    answer = at.ask("POST", "/api/v1/downloads", body)

    assert (answer.status, answer.json["jobs"]) == (202, [9])
    wish = Wish(folder="loras", name="a.safetensors", url="https://example.org/a")
    assert at.daemon.asked == [("download", wish)]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"folder": "loras", "name": 1, "url": "x"}'])
def test_a_download_says_what_from_where_to_where(at: House, body: bytes) -> None:
    assert at.ask("POST", "/api/v1/downloads", body).status == 400
    assert at.daemon.asked == []


def test_a_body_of_megabytes_is_taken_as_a_workflow_and_nowhere_else(at: House) -> None:
    body = b'{"x": "' + b"y" * 3_000_000 + b'"}'

    assert at.ask("POST", "/api/v1/analyze", body).status == 200
    assert at.ask("POST", "/api/v1/sweep", body).status == 413


def test_a_body_beyond_the_limit_is_refused_by_its_announced_size(at: House) -> None:
    headers = {
        "Authorization": "Bearer a-token-of-the-tests",
        "Content-Type": "application/json",
        "Content-Length": str(WORKFLOW_BODY + 1),
    }

    answer = at.ask("POST", "/api/v1/analyze", None, headers)

    assert answer.status == 413
    assert answer.json["error"]["code"] == "body-too-large"


def test_every_answer_has_the_headers_that_keep_browsers_from_guessing(at: House) -> None:
    for path in ("/", "/healthz", "/api/v1/status", "/nothing", "/metrics", "/openapi.json"):
        headers = at.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "date" in headers
        assert "server" not in headers
        assert not any(name.startswith("access-control") for name in headers)


def test_head_is_answered_without_a_body(at: House) -> None:
    answer = at.ask("HEAD", "/api/v1/status")

    assert answer.status == 200
    assert answer.body == b""


def test_the_description_names_every_route_and_type(at: House) -> None:
    document = at.ask("GET", "/openapi.json").json

    assert document["openapi"].startswith("3.1")
    for operation in OPERATIONS:
        assert operation.method.lower() in document["paths"][operation.path]
    references = set(_references(document))
    assert references
    for reference in references:
        name = reference.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_a_choice_has_one_id_for_one_model() -> None:
    assert choice_id("loras", "a") == choice_id("loras", "a") != choice_id("loras", "b")
