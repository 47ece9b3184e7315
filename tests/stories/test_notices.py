"""Webhooks of a real daemon: over kill -9, and no secret in anything that is left behind."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.notices.receiver import Receiver, receiving
from tests.stories.daemon import Daemon, Tree, start
from tests.stories.made import Want, drop

KEY = "canary-of-the-signing-key-0123456789"
PATH, QUERY = "canary-of-the-path", "canary-of-the-query"


def tree_with(base: Path, tree: Tree, receiver: Receiver) -> None:
    key = base / "signing-key"
    key.write_text(KEY)
    key.chmod(0o600)
    tree.settings = (
        f'[notify]\nwebhooks = [{{ url = "{receiver.url}", '
        f'events = ["workflow.*", "daemon.stopping"], secret_file = "{key}" }}]\n'
        f'insecure_hosts = ["{receiver.host}"]\n'
        '[log]\nlevel = "debug"\n'
    )
    tree.write_settings()


def cli(tree: Tree, *words: str) -> str:
    command = [sys.executable, "-m", "comfywatchman", *words, "--config", str(tree.config)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tree.base
    ).stdout


def test_what_nobody_took_is_told_after_kill_9_and_no_secret_is_left(
    tree: Tree, tmp_path: Path
) -> None:
    with receiving(*[500] * 6) as receiver:
        tree_with(tmp_path, tree, receiver)
        first = start(tree)
        first.until("daemon.ready")
        drop(tree.workflows / "a.json", Want("nowhere.safetensors"))
        first.until("webhook.failed", about="workflow.blocked")
        first.kill()
        ids = {post.headers["webhook-id"] for post in receiver.posts}
        receiver.answers.clear()
        second = start(tree)
        second.until("daemon.ready")
        told = receiver.until("workflow.blocked")
        second.until("webhook.delivered", about="workflow.blocked")
        argv = Path(f"/proc/{second.process.pid}/cmdline").read_bytes().decode()
        left = "".join(
            (
                argv,
                _page(second, "metrics"),
                _page(second, "api/v1/status"),
                cli(tree, "notify", "--json"),
            )
        )
        second.stop()
        receiver.until("daemon.stopping")

    assert told.headers["webhook-id"] in ids
    assert 'webhook_deliveries_total{result="delivered"}' in left
    assert 'worker_up{worker="notices"} 1.0' in left  # the watchdog asks for it
    left += b"".join(first.raw + second.raw).decode()
    left += "".join(f.read_bytes().decode("latin-1") for f in tree.state.rglob("*") if f.is_file())
    for canary in (KEY, PATH, QUERY):
        assert canary not in left


def _page(daemon: Daemon, path: str) -> str:
    with urllib.request.urlopen(f"{daemon.url}/{path}", timeout=10) as answer:
        return str(answer.read().decode())
