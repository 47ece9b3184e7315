"""The demo itself, with the real daemon."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.scratch import Scratch

DEMO = [sys.executable, "-m", "comfywatchman", "demo"]


def started(*arguments: str, directory: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"TMPDIR": str(directory), "COMFYUI_ROOT": "/nowhere"}
    return subprocess.Popen(
        [*DEMO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def daemon_of(demo: subprocess.Popen[str], waiting_for: str = "daemon: process") -> tuple[int, str]:
    """Read what the demo says until *waiting_for*; return the daemon's process and address."""
    assert demo.stderr is not None
    found = None
    for line in demo.stderr:
        found = re.search(r"daemon: process (\d+), (http://\S+)", line) or found
        if waiting_for in line and found:
            return int(found[1]), found[2]
    raise AssertionError("the demo ended before")


def test_every_model_is_placed_and_verified(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with started("--keep", str(kept), directory=tmp_path) as demo:
        out, words = demo.communicate(timeout=100)

    assert demo.returncode == 0, words
    assert "16 models hash to what the hub serves" in out
    models = [path for path in (kept / "ComfyUI" / "models").rglob("*") if path.is_file()]
    assert len(models) == 16
    assert not list(kept.rglob("*.part"))
    assert "placed " in words
    assert (kept / "comfywatchman.log").stat().st_size > 0
    assert str(kept / "config.toml") in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_daemon_and_no_tree(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started(directory=tmp_path) as demo:
        daemon, _ = daemon_of(demo, "fetching")
        demo.send_signal(number)
        _, words = demo.communicate(timeout=30)

    assert demo.returncode == 130
    assert "The scratch tree is removed" in words
    assert not is_running(daemon)
    assert list(tmp_path.iterdir()) == []


def test_with_stay_it_goes_on_serving_until_it_is_told_to_end(tmp_path: Path) -> None:
    with started("--stay", directory=tmp_path) as demo:
        daemon, address = daemon_of(demo, "Ctrl-C ends")
        healthy = requests.get(f"{address}/healthz", timeout=5).status_code
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=30)

    assert healthy == 200
    assert demo.returncode == 130
    assert not is_running(daemon)
    assert len(list(tmp_path.glob("comfywatchman-demo-*/ComfyUI/models/*/*.safetensors"))) == 16


def test_a_directory_that_is_not_empty_is_not_touched(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    with started("--keep", str(kept), directory=tmp_path) as demo:
        _, words = demo.communicate(timeout=30)

    assert demo.returncode == 2
    assert "settings-invalid" in words
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]


def test_the_settings_are_valid_toml_whatever_the_directory_is_called(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / 'a "quoted" näme \\ and more')

    scratch.make(hub="http://127.0.0.1:1", hosts=["127.0.0.1:1"], listen="127.0.0.1:0")

    settings = tomllib.loads(scratch.settings.read_text(encoding="utf-8"))
    assert settings["comfyui_root"] == str(scratch.comfyui)
    assert settings["download"]["insecure_hosts"] == ["127.0.0.1:1"]


def test_nothing_of_the_users_reaches_the_daemon(tmp_path: Path) -> None:
    own = {
        "PATH": "/bin",
        "HF_TOKEN": "hf_secret",
        "HF_HOME": "/home/me/hf",
        "COMFYUI_ROOT": "/home/me/ComfyUI",
        "COMFYWATCHMAN_DOWNLOAD__AUTO": "off",
        "CIVITAI_API_KEY": "secret",
    }

    environment = Scratch(tmp_path).environment(own)

    assert environment == {"PATH": "/bin", "HF_HOME": str(tmp_path / "huggingface")}
