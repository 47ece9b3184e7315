"""The examples of docs/examples, run."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from tests.contract.test_other_peoples import example
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has, text


@pytest.fixture
def home(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMFYWATCHMAN_CONFIG", str(tree.config))
    monkeypatch.chdir(tree.base)
    return tree.base


def test_the_flask_service_answers_what_a_workflow_lacks(home: Path, tree: Tree, hub: Hub) -> None:
    pytest.importorskip("flask")
    client = example("flask_service").create_app().test_client()
    here = has(hub, "here.safetensors")
    (tree.models / here.where).write_bytes(hub.named(here.name).read())
    good = client.post("/analyze", data=text(here, Want("gone.safetensors")))
    bad = client.post("/analyze", data="{")

    assert good.status_code == 200
    assert good.json["ready"] is False
    assert good.json["missing_models"] == ["gone.safetensors"]
    assert good.json["available_models"] == ["here.safetensors"]
    assert (bad.status_code, bad.json["error"]["code"]) == (422, "workflow-unreadable")


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    came: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((dict(self.headers.items()), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", came
        server.shutdown()
        thread.join()


def test_the_notifier_sends_a_signed_line_after_the_run(
    home: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "quiet")
    path = drop(home / "w.json", has(hub, "a.safetensors"))
    with receiver() as (url, came):
        status = example("webhook_notifier").main([url, str(path)])

    ((headers, body),) = came
    assert status == 0
    assert json.loads(body)["resolved"] == 1
    assert headers["X-Signature"] == (
        "sha256=" + hmac.new(b"quiet", body, hashlib.sha256).hexdigest()
    )


def test_a_run_is_counted_for_prometheus(home: Path, hub: Hub) -> None:
    path = drop(home / "w.json", has(hub, "a.safetensors"), Want("no.safetensors"))
    status = example("prometheus_run").main([str(home / "x.prom"), str(path)])

    written = (home / "x.prom").read_text()
    assert status == 1
    assert 'comfy_run_models{state="finished"} 1.0' in written
    assert 'comfy_run_models{state="skipped"} 1.0' in written
    assert f"comfy_run_bytes_total {float(hub.named('a.safetensors').size)}" in written


def test_the_audit_trail_has_a_line_for_each_model(home: Path, tree: Tree, hub: Hub) -> None:
    path = drop(home / "w.json", has(hub, "a.safetensors"), Want("no.safetensors"))
    status = example("audit_trail").main([str(home / "trail.jsonl"), str(path)])

    placed, failed = map(json.loads, (home / "trail.jsonl").read_text().splitlines())
    assert status == 1
    assert (placed["result"], placed["proven"]) == ("placed", True)
    assert placed["sha256"] == hub.named("a.safetensors").sha256
    assert failed["result"] == "nothing-found"


def test_lora_manager_finds_its_side_cars_and_keeps_those_it_has(
    home: Path, tree: Tree, hub: Hub
) -> None:
    from comfywatchman.disk.files import look
    from comfywatchman.inventory.claims.sidecars import beside

    path = drop(home / "w.json", has(hub, "a.safetensors"), has(hub, "b.safetensors"))
    kept = tree.models / "loras/b.metadata.json"
    kept.write_text("{}")
    status = example("lora_manager").main([str(path)])

    model = tree.models / "loras/a.safetensors"
    stamp = look(model)
    assert stamp is not None
    (said,) = beside(model, stamp)
    assert status == 0
    assert getattr(said, "sha256", None) == hub.named("a.safetensors").sha256
    required = {"file_name", "model_name", "file_path", "size", "modified", "sha256"}
    written = json.loads(model.with_name("a.metadata.json").read_text())
    assert required | {"base_model", "preview_url"} <= set(written)
    assert kept.read_text() == "{}"


def test_the_git_hook_lets_good_workflows_through_and_refuses_the_others(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = example("pre_commit_check").main
    good = str(drop(home / "good.json", Want("a.safetensors")))
    (home / "package.json").write_text('{"name": "x"}')
    (home / "broken.json").write_text('{"nodes": [')
    secret = "https://civitai.com/api/download/models/1?token=0123456789abcdef0123456789abcdef"
    leaky = str(drop(home / "leaky.json", Want("a.safetensors", url=secret)))

    assert check([good, str(home / "package.json")]) == 0
    assert capsys.readouterr().err == ""
    assert check([good, str(home / "broken.json"), leaky]) == 1
    told = capsys.readouterr().err
    assert "broken.json" in told
    assert "leaky.json: secret" in told
    assert "0123456789abcdef" not in told


def test_the_git_hook_works_in_a_repository(home: Path) -> None:
    import sys

    import comfywatchman

    root = Path(comfywatchman.__file__).parents[1]
    repository = home / "repository"
    repository.mkdir()
    hook = repository / ".git/hooks/pre-commit"

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        return subprocess.run(
            ["git", *identity, *words], cwd=repository, capture_output=True, text=True, check=False
        )

    git("init", "-q")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\ngit diff --cached --name-only --diff-filter=ACM -z -- '*.json' |\n"
        f"    xargs -0 -r '{sys.executable}' '{root}/docs/examples/pre_commit_check.py'\n"
    )
    hook.chmod(0o755)
    drop(repository / "good.json", Want("a.safetensors"))
    git("add", ".")
    assert git("commit", "-q", "-m", "good").returncode == 0
    (repository / "broken.json").write_text('{"nodes": [')
    git("add", ".")
    refused = git("commit", "-q", "-m", "broken")

    assert refused.returncode != 0
    assert "broken.json" in refused.stderr
