"""``comfywatchman export script``: what it prints is run by a real shell and a real aria2."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.shell import LIMIT, Shell
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_aria2 = pytest.mark.skipif(shutil.which("aria2c") is None, reason="aria2 is not installed")
NOWHERE = Want("nowhere.safetensors", "loras", None)


def run(
    shell: Shell, *arguments: object, stdin: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**shell.environ, "PATH": os.environ["PATH"], **environ},
        cwd=shell.tree.base,
        check=False,
    )


def script(shell: Shell, *wants: Want, kind: str = "sh") -> Path:
    told = shell(
        "export", "script", "--for", kind, drop(shell.tree.base / "w.json", *wants), "-o", "get.sh"
    )
    assert told.out == ""
    return shell.tree.base / "get.sh"


def proven(tree: Tree, hub: Hub, want: Want) -> bool:
    data = (tree.models / want.where).read_bytes()
    return hashlib.sha256(data).hexdigest() == hub.named(want.name).sha256


@needs_curl
def test_the_shell_script_fetches_and_proves_what_is_missing(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    wants = [has(hub, 'it\'s a "model" $HOME.safetensors'), has(hub, "b.safetensors", "vae")]
    made = script(shell, *wants)
    done = run(shell, "sh", made)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("verified: ") == 2
    assert all(proven(tree, hub, want) for want in wants)
    assert [path for path in tree.placed() if path.endswith(".part")] == []
    assert shell("analyze", tree.base / "w.json").status == 0
    again = run(shell, "sh", made)
    assert again.returncode == 0
    assert again.stdout.count("here already: ") == 2


@needs_curl
def test_it_goes_on_where_it_was_broken_off(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    made = script(shell, want)
    hub.fault("cut", want.name, after=10_000)
    done = run(shell, "sh", made)

    assert done.returncode == 0, done.stderr
    assert proven(tree, hub, want)
    ranges = [r for r in hub.requests if r.status == 206]
    assert ranges, "it began anew"


@needs_curl
def test_other_bytes_than_promised_get_no_name(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    made = script(shell, want)
    hub.fault("corrupt", want.name, times=9)
    done = run(shell, "sh", made)

    assert done.returncode == 1
    assert "could not be fetched as it should be" in done.stderr
    assert not (tree.models / want.where).exists()


@needs_curl
def test_a_file_that_is_there_stays_as_it_is(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    made = script(shell, want)
    mine = tree.models / want.where
    mine.write_bytes(weights("mine", 4000))
    done = run(shell, "sh", made)

    assert done.returncode == 1
    assert "stays as it is" in done.stderr
    assert mine.read_bytes() == weights("mine", 4000)


@needs_curl
def test_models_can_lie_elsewhere_where_it_runs(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    made = script(shell, want)
    done = run(shell, "sh", made, MODELS=str(tree.base / "other place"))

    assert done.returncode == 0, done.stderr
    assert (tree.base / "other place" / want.where).exists()
    assert tree.placed() == {}


@needs_curl
def test_a_token_comes_from_the_environment_and_stands_nowhere(tmp_path: Path) -> None:
    with Hub(tokens=frozenset({"hf_canaryOfTheScript"})) as hub:
        tree = Tree(tmp_path, f'{hub.url}"\ntoken = "hf_canaryOfTheScript"\n# "', tuple(hub.hosts))
        shell = Shell(tree)
        want = has(hub, "a.safetensors")
        hub.gate("us/loras")
        made = script(shell, want)

        assert "canary" not in made.read_text()
        assert "HF_TOKEN" in made.read_text()
        done = run(shell, "sh", made, HF_TOKEN="hf_canaryOfTheScript")
        assert done.returncode == 0, done.stderr
        told = {
            request.where
            for request in hub.requests
            if any(name.lower() == "authorization" for name in request.headers)
        }
        assert told == {"hub"}


def test_what_no_script_can_fetch_is_named_and_ends_with_1(shell: Shell, hub: Hub) -> None:
    path = drop(shell.tree.base / "w.json", has(hub, "a.safetensors"), NOWHERE)
    told = shell("export", "script", "--for", "sh", path)

    assert told.status == 1
    assert "loras/nowhere.safetensors" in told.out.partition("set -u")[0]
    assert "loras/nowhere.safetensors" in told.err


def test_where_nothing_is_missing_the_script_does_nothing(shell: Shell, tree: Tree) -> None:
    made = script(shell)
    assert run(shell, "sh", made).returncode == 0


def test_somebody_elses_file_is_not_written_over(shell: Shell, tree: Tree, hub: Hub) -> None:
    mine = tree.base / "get.sh"
    mine.write_text("echo mine\n")
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    told = shell("export", "script", "--for", "sh", path, "-o", mine)

    assert told.status == 3
    assert mine.read_text() == "echo mine\n"


@needs_aria2
def test_aria2_fetches_what_the_list_says(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a b.safetensors", "vae")
    made = script(shell, want, kind="aria2")
    done = run(shell, "aria2c", "--no-conf", "--quiet", f"--input-file={made}")

    assert done.returncode == 0, done.stdout
    assert proven(tree, hub, want)


@needs_aria2
def test_aria2_leaves_a_file_that_is_there_as_it_is(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    made = script(shell, want, kind="aria2")
    mine = tree.models / want.where
    mine.write_bytes(b"mine, and shorter")
    done = run(shell, "aria2c", "--no-conf", "--quiet", f"--input-file={made}")

    assert done.returncode != 0
    assert mine.read_bytes() == b"mine, and shorter"


def test_powershell_gets_every_name_in_quotes(shell: Shell, hub: Hub) -> None:
    text = script(shell, has(hub, "it's $(x).safetensors"), kind="powershell").read_text()

    assert "'it''s $(x).safetensors'" in text
    assert hub.named("it's $(x).safetensors").sha256 in text
