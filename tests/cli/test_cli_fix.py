"""``comfywatchman fix``: the whole job, once."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.shell import LIMIT, Shell
from tests.stories.daemon import Tree, running
from tests.stories.made import Want, drop, has, prompt, text


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(tree: Tree) -> list[str]:
    return list(tree.placed())


def test_what_is_missing_is_placed_verified_and_a_second_run_fetches_nothing(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    wants = [has(hub, "a.safetensors"), has(hub, "b.safetensors", "vae")]
    path = drop(tree.base / "w.json", *wants)
    first = shell("fix", path, "--json")

    assert first.status == 0
    assert first.json["workflows"][0]["state"] == "ready"
    assert {r["sha256"] for r in first.json["workflows"][0]["references"]} == {
        hub.named(want.name).sha256 for want in wants
    }
    assert names(tree) == ["loras/a.safetensors", "vae/b.safetensors"]
    for want in wants:
        assert sha256(tree.models / want.where) == hub.named(want.name).sha256
    asked = len(hub.requests)
    second = shell("fix", path)
    assert second.status == 0
    assert len(hub.requests) == asked


def test_a_person_sees_on_stderr_what_happens_and_on_stdout_how_it_stands(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    told = shell("fix", drop(tree.base / "w.json", has(hub, "a.safetensors")))

    assert "placed, verified:" in told.err
    assert "w.json: ready" in told.out
    assert "placed" not in told.out


def test_a_dry_run_says_what_would_be_fetched_and_fetches_nothing(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    told = shell("fix", path, "--dry-run", "--json")

    assert told.status == 1
    assert told.json["summary"]["bytes_to_download"] == hub.named("a.safetensors").size
    assert hub.fetched() == {}
    assert names(tree) == []
    assert {path.name[:15] for path in tree.state.iterdir()} == {"answers.sqlite3"}


def test_a_model_that_nobody_has_ends_with_1_and_its_reason_and_the_others_are_placed(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    gone = Want(
        "gone.safetensors", url="https://huggingface.co/us/loras/resolve/main/gone.safetensors"
    )
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"), gone, Want("unknown.safetensors"))
    told = shell("fix", path, "--json")

    rows = {row["name"]: row for row in told.json["workflows"][0]["references"]}
    assert told.status == 1
    assert rows["a.safetensors"]["state"] == "present"
    assert rows["gone.safetensors"]["error"]["code"] == "source-missing"
    assert rows["unknown.safetensors"]["error"]["code"] == "nothing-found"
    assert names(tree) == ["loras/a.safetensors"]


def test_a_second_run_asks_again_for_what_was_not_there_the_first_time(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    has(hub, "other.safetensors")  # so that the repository is there
    late = "https://huggingface.co/us/loras/resolve/main/late.safetensors"
    path = drop(tree.base / "w.json", Want("late.safetensors", url=late))
    first = shell("fix", path)
    hub.add(late)
    second = shell("fix", path)

    assert (first.status, second.status) == (1, 0)
    assert names(tree) == ["loras/late.safetensors"]


def test_a_model_that_is_here_under_another_folder_is_linked(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    want = has(hub, "a.safetensors")
    other = tree.models / "checkpoints/a.safetensors"
    other.write_bytes(hub.named("a.safetensors").read())
    told = shell("fix", drop(tree.base / "w.json", want))

    assert told.status == 0
    assert (tree.models / want.where).samefile(other)
    assert hub.fetched() == {}


def test_a_workflow_from_standard_input_is_fixed_too(shell: Shell, tree: Tree, hub: Hub) -> None:
    told = shell("fix", "-", "--json", stdin=text(has(hub, "a.safetensors")).encode())

    assert (told.status, told.json["workflows"][0]["path"]) == (0, "-")
    assert names(tree) == ["loras/a.safetensors"]


def test_what_standard_input_wanted_is_not_kept_as_a_workflow(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    shell("fix", "-", stdin=text(has(hub, "a.safetensors")).encode())

    assert shell("status", "--json").json["workflows"] == {}


def test_the_api_form_is_fixed_from_what_the_catalog_knows(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    url = (
        "https://huggingface.co/Comfy-Org/flux1-schnell/resolve/main/flux1-schnell-fp8.safetensors"
    )
    hub.add(url)
    path = tree.base / "w.json"
    path.write_text(json.dumps(prompt(Want("flux1-schnell-fp8.safetensors", "checkpoints"))))
    told = shell("fix", path)

    assert told.status == 0
    assert names(tree) == ["checkpoints/flux1-schnell-fp8.safetensors"]


def test_an_unreadable_workflow_ends_with_3_and_the_others_are_fixed(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    broken = tree.base / "broken.json"
    broken.write_text("{")
    told = shell("fix", broken, drop(tree.base / "w.json", has(hub, "a.safetensors")), "--json")

    assert told.status == 3
    assert [row["state"] for row in told.json["workflows"]] == ["unreadable", "ready"]


def test_a_daemon_that_owns_the_state_does_it_and_the_command_waits_for_it(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    late = Want(
        "late.safetensors", url="https://huggingface.co/us/loras/resolve/main/late.safetensors"
    )
    has(hub, "other.safetensors")  # so that the repository is there
    path = drop(tree.workflows / "w.json", late)
    with running(tree) as daemon:
        daemon.until("reference.unresolved")
        hub.add(str(late.url))
        told = shell("fix", path, "--json")

        assert daemon.events("model.placed")
    assert (told.status, told.json["workflows"][0]["state"]) == (0, "ready")
    assert str(daemon.process.pid) in told.err
    assert names(tree) == ["loras/late.safetensors"]


def test_a_daemon_that_ends_while_the_command_waits_is_told(tmp_path: Path) -> None:
    with Hub(sizes=(3_000_000, 3_000_000), throttle=500_000) as hub:
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
        path = drop(tree.workflows / "w.json", has(hub, "a.safetensors"))
        with running(tree) as daemon:
            fixing = Shell(tree).begin("fix", path)
            assert fixing.stderr is not None
            assert b"The daemon" in fixing.stderr.readline()
            daemon.until("download.started")
            daemon.when(lambda: len(daemon.events("workflow.analyzed")) >= 2)
            daemon.kill()
            _, err = fixing.communicate(timeout=LIMIT)

    assert fixing.returncode == 3
    # Which one depends on whether the daemon had answered before it ended.
    assert err.splitlines()[0] in {b"error: interrupted", b"error: source-unavailable"}


def test_a_daemon_does_nothing_for_workflows_that_are_not_in_its_directories(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    with running(tree):
        told = shell("fix", path, "--json")

    assert told.status == 3
    assert told.json["error"]["code"] == "file-unreadable"
    assert hub.requests == []


def test_a_person_s_ctrl_c_ends_it_with_130_and_a_later_call_goes_on(
    tmp_path: Path,
) -> None:
    with Hub(sizes=(3_000_000, 3_000_000), throttle=1_000_000) as hub:
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
        shell = Shell(tree)
        path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
        fixing = shell.begin("fix", path)
        assert fixing.stderr is not None
        for line in fixing.stderr:
            if line.startswith(b"fetching"):
                break
        part = _grown(tree)
        began = time.monotonic()
        fixing.send_signal(signal.SIGINT)
        _, err = fixing.communicate(timeout=LIMIT)
        took = time.monotonic() - began

        assert fixing.returncode == 130
        assert took < 5
        assert err.rstrip().endswith(b"interrupted")
        assert b"Traceback" not in err
        assert names(tree) == [part.relative_to(tree.models).as_posix()]
        kept = part.stat().st_size
        told = shell("fix", path)
        assert told.status == 0
        assert "resuming loras/a.safetensors" in told.err
        assert names(tree) == ["loras/a.safetensors"]
        assert sha256(tree.models / "loras/a.safetensors") == hub.named("a.safetensors").sha256
        asked = [r.range for r in hub.requests if r.range and r.where == "storage"]
        assert asked == [f"bytes={kept}-"]


def _grown(tree: Tree) -> Path:
    """Return the part of the only transfer once there are bytes in it."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        for name, path in tree.placed().items():
            if name.endswith(".part") and path.stat().st_size > 100_000:
                return path
    raise AssertionError("no part grew")


def test_a_model_in_a_workflow_that_hides_behind_a_wrong_hash_is_not_placed(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    good = has(hub, "a.safetensors")
    told = shell(
        "fix", drop(tree.base / "w.json", Want(good.name, url=good.url, sha256="0" * 64)), "--json"
    )

    (row,) = told.json["workflows"][0]["references"]
    assert (told.status, row["error"]["code"]) == (1, "wrong-answer")
    assert names(tree) == []


def test_a_file_of_ours_with_other_bytes_is_left_alone(shell: Shell, tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    mine = tree.models / want.where
    mine.write_bytes(weights("mine", 3000))
    told = shell("fix", drop(tree.base / "w.json", want), "--json")

    assert told.json["workflows"][0]["references"][0]["state"] == "present"
    assert mine.read_bytes() == weights("mine", 3000)


def test_beside_a_daemon_it_ends_with_the_reason_while_a_source_cannot_be_reached(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    tree.write_settings(max_retries=1)
    path = drop(tree.workflows / "w.json", has(hub, "a.safetensors"))
    hub.fault("drop", "a.safetensors", where="hub", times=100)
    with running(tree):
        told = shell("fix", path, "--json")

    assert told.status == 1
    (row,) = told.json["workflows"][0]["references"]
    assert row["error"]["code"] == "source-unavailable"


@pytest.mark.parametrize("auto", ["ask", "off"])
def test_who_asks_has_said_yes_whatever_is_fetched_with_nobody_asked(
    shell: Shell, tree: Tree, hub: Hub, auto: str
) -> None:
    tree.write_settings(auto=auto)
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))

    planned = shell("fix", path, "--dry-run")
    fixed = shell("fix", path, "--yes")

    assert "choose" not in planned.out
    assert fixed.status == 0, fixed.err
    assert names(tree) == ["loras/a.safetensors"]


def test_a_question_that_is_left_can_be_answered_without_a_daemon(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    url = hub.add_plain("plain.safetensors")
    path = drop(tree.base / "w.json", Want("plain.safetensors", url=url))

    left = shell("fix", path, "--yes")
    wrong = shell("choose", "loras/plain.safetensors", "2")
    chosen = shell("choose", "loras/plain.safetensors", "1")

    assert left.status == 1
    assert "comfywatchman choose" in left.out
    assert wrong.the_error()[0] == "nothing-found"
    assert chosen.status == 0, chosen.err
    assert names(tree) == ["loras/plain.safetensors"]
    assert shell("fix", path, "--yes").status == 0


def test_what_a_workflow_elsewhere_got_is_in_use_while_the_workflow_is_there(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    assert shell("fix", path).status == 0

    kept = shell("inventory", "unused", "--json").json
    path.unlink()
    left = shell("inventory", "unused", "--json").json

    assert (kept["models"], kept["workflows"]) == ([], 1)
    assert [Path(row["path"]).name for row in left["models"]] == ["a.safetensors"]
    assert shell("fix", drop(tree.base / "other.json", Want("b.pt"))).status == 1
    assert sum(shell("status", "--json").json["workflows"].values()) == 1
