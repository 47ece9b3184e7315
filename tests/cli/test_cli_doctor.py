"""`doctor`: each fault that it is for is found, told with a remedy, and nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.report.audit import FILE, AuditLog
from comfywatchman.state import store
from tests.cli.shell import Shell
from tests.stories.daemon import Tree, running

TOKEN = "hf_" + "x" * 30


def look(shell: Shell, *more: str) -> tuple[int, list[dict[str, Any]]]:
    done = shell("doctor", "--offline", "--json", *more)
    assert done.err == ""
    return done.status, done.json["checks"]


def of(checks: list[dict[str, Any]], about: str) -> list[dict[str, Any]]:
    return [check for check in checks if check["about"] == about]


def verdicts(checks: list[dict[str, Any]], about: str) -> set[str]:
    return {check["verdict"] for check in of(checks, about)}


def listed(directory: Path) -> list[tuple[str, int]]:
    return sorted((str(p), p.lstat().st_mtime_ns) for p in directory.rglob("*"))


def test_a_sound_installation_has_no_failure_and_is_left_as_it_was(
    shell: Shell, tree: Tree
) -> None:
    before = listed(tree.root)
    status, checks = look(shell)

    assert status == 0
    assert {check["verdict"] for check in checks} <= {"ok", "warning", "skipped"}
    assert verdicts(checks, "comfyui") == {"ok"}
    assert verdicts(checks, "reading workflows") == {"ok"}
    assert any(check["facts"].get("file_system") for check in of(checks, "model directory"))
    assert listed(tree.root) == before
    assert not tree.state.exists()


def test_whatever_is_not_well_has_a_remedy(shell: Shell, tree: Tree) -> None:
    shutil.rmtree(tree.workflows)
    _, checks = look(shell)

    assert verdicts(checks, "workflow directory") == {"warning"}
    assert all(check["remedy"] for check in checks if check["verdict"] in {"warning", "failed"}), (
        checks
    )


def damaged(tree: Tree) -> None:
    tree.state.mkdir(mode=0o700)
    store.open_keeper(tree.state).close()
    file = store.database_path(tree.state)
    data = bytearray(file.read_bytes())
    data[4096:8192] = bytes(4096)
    file.write_bytes(data)


def newer(tree: Tree) -> None:
    tree.state.mkdir(mode=0o700)
    store.open_keeper(tree.state).close()
    connection = sqlite3.connect(store.database_path(tree.state))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()


def forged(tree: Tree) -> None:
    tree.state.mkdir(mode=0o700)
    log = AuditLog(tree.state)
    for name in "abc":
        log.note("placed", Path(name), None, "x")
    lines = (tree.state / FILE).read_bytes().splitlines(keepends=True)
    (tree.state / FILE).write_bytes(lines[0] + lines[2])


def elsewhere(tree: Tree) -> None:
    tree.root.rename(tree.base / "away")


def writable_by_others(tree: Tree) -> None:
    tree.config.chmod(0o620)


def misspelled(tree: Tree) -> None:
    tree.config.write_text(tree.config.read_text().replace("comfyui_root", "comfyui_rot"))


def unplugged(tree: Tree) -> None:
    (tree.models / "vae").symlink_to(tree.base / "drive")


def taken(tree: Tree) -> None:
    # An address that is not this machine's (RFC 5737).
    tree.config.write_text(tree.config.read_text().replace("127.0.0.1:0", "192.0.2.1:8189"))


@pytest.mark.parametrize(
    ("fault", "about"),
    [
        (damaged, "database"),
        (newer, "database"),
        (forged, "audit log"),
        (elsewhere, "comfyui"),
        (misspelled, "settings"),
        (writable_by_others, "settings"),
        (unplugged, "model directory"),
        (taken, "daemon"),
    ],
)
def test_a_fault_is_found_and_ends_with_1(
    shell: Shell, tree: Tree, fault: Callable[[Tree], None], about: str
) -> None:
    fault(tree)
    status, checks = look(shell)

    assert status == 1
    failed = [check for check in checks if check["verdict"] == "failed"]
    assert {check["about"] for check in failed} == {about}
    assert all(check["remedy"] for check in failed)


def test_a_part_that_no_job_goes_on_with_is_a_warning(shell: Shell, tree: Tree) -> None:
    (tree.models / "loras" / ".a.safetensors.0123456789ab.part").write_bytes(b"x")
    status, checks = look(shell)

    assert status == 0
    assert verdicts(checks, "leftovers") == {"warning"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_told(shell: Shell, tree: Tree) -> None:
    (tree.models / "loras").chmod(0o500)
    status, checks = look(shell)
    (tree.models / "loras").chmod(0o700)

    assert status == 1
    assert "failed" in verdicts(checks, "model directory")


def test_a_directory_on_a_read_only_mount_is_told(shell: Shell, tree: Tree) -> None:
    loras = tree.models / "loras"
    mount = f"mount -t tmpfs -o ro none '{loras}' && exec \"$@\""
    line = shell.line("--config", tree.config, "doctor", "--offline", "--json")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", *line],
        capture_output=True,
        env=shell.environ,
        check=False,
    )
    if not done.stdout:
        pytest.skip("mounting needs rights that we do not have")
    [found] = [
        check
        for check in of(json.loads(done.stdout)["checks"], "model directory")
        if str(loras) in check["cause"]
    ]

    assert found["verdict"] == "warning"
    assert "read-only" in found["cause"]
    assert found["facts"]["file_system"] == "tmpfs"


def test_no_secret_and_no_home_directory_is_in_a_report(tree: Tree) -> None:
    shell = Shell(tree, {"HF_TOKEN": TOKEN, "HTTPS_PROXY": "http://me:pa55word@proxy.example:1"})
    home = tree.base / "home"
    (home / "models").mkdir(parents=True)
    text = tree.config.read_text()
    more = f'model_directories = [{{ type = "lora", path = "{home}/models" }}]\n'
    tree.config.write_text(more + text)
    done = shell("doctor", "--offline", "--json")

    assert "~/models" in done.out
    assert all(word not in done.out for word in (TOKEN, "pa55word", f"{home}/"))


def test_a_hub_that_answers_and_one_that_does_not_are_told_apart(
    shell: Shell, tree: Tree, hub: Any
) -> None:
    nobody = "http://127.0.0.1:9"
    tree.config.write_text(tree.config.read_text() + f'[hubs.civitai]\nendpoint = "{nobody}"\n')
    done = shell("doctor", "--json")
    found = {check["about"]: check for check in done.json["checks"]}

    assert done.status == 1
    assert found[f"network {hub.url.partition('://')[2]}"]["verdict"] == "ok"
    assert found["network 127.0.0.1:9"]["verdict"] == "failed"


class Whose(BaseHTTPRequestHandler):
    """A hub of one's own that takes one token."""

    def do_GET(self) -> None:
        right = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("token", "verdict"), [(TOKEN, "ok"), ("hf_" + "y" * 30, "failed")])
def test_a_hub_is_asked_whether_it_takes_the_token(tree: Tree, token: str, verdict: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Whose) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        tree.config.write_text(tree.config.read_text().replace(tree.hub_url, endpoint))
        done = Shell(tree, {"HF_TOKEN": token})("doctor", "--json")
        server.shutdown()
        thread.join(10)

    [found] = of(done.json["checks"], "token huggingface")
    assert found["verdict"] == verdict
    assert token not in done.out


def test_a_proxy_that_does_not_answer_is_named_without_its_password(tree: Tree) -> None:
    shell = Shell(tree, {"HTTPS_PROXY": "http://me:pa55word@127.0.0.1:9", "NO_PROXY": ""})
    done = shell("doctor", "--json")
    [found] = of(done.json["checks"], "network civitai.com")

    assert found["verdict"] == "failed"
    assert "through the proxy 127.0.0.1" in found["cause"]
    assert "pa55word" not in done.out


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_a_certificate_that_nobody_signed_is_told(tree: Tree, tmp_path: Path) -> None:
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-keyout", tmp_path / "key", "-out", tmp_path / "certificate"],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Whose) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        endpoint = f"https://localhost:{server.server_port}"
        tree.config.write_text(tree.config.read_text().replace(tree.hub_url, endpoint))
        done = Shell(tree)("doctor", "--json")
        server.shutdown()
        thread.join(10)

    [found] = of(done.json["checks"], f"network localhost:{server.server_port}")
    assert found["verdict"] == "failed"
    assert "certificate" in found["cause"].lower()


def test_a_running_daemon_is_found_and_asked(shell: Shell, tree: Tree) -> None:
    with running(tree):
        _, checks = look(shell)

    assert verdicts(checks, "daemon") == {"ok"}
    assert verdicts(checks, "database") == {"ok"}
    assert any("ready" in check["cause"] for check in of(checks, "daemon"))


def test_people_read_a_line_each_and_a_sum(shell: Shell, tree: Tree) -> None:
    elsewhere(tree)
    done = shell("doctor", "--offline", "--quiet")

    assert done.status == 1
    assert "FAILED  comfyui:" in done.out
    assert "ok " not in done.out
    assert "1 failed" in done.err
