"""`service` and `audit` as they are called; what systemd does with it is in the stories."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from comfywatchman.report.audit import FILE, AuditLog
from tests.cli.shell import Shell
from tests.stories.daemon import Tree

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$HOME/calls"
case "$*" in
*"show comfywatchman.service"*) echo LoadState=loaded; echo ActiveState=failed; echo SubState=x;;
*start*) echo "Job failed." >&2; exit 1;;
esac
"""


def with_programs(tree: Tree, **programs: str) -> Shell:
    """Return a shell whose PATH holds nothing but *programs*."""
    place = tree.base / "bin"
    place.mkdir()
    for name, text in programs.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    more = {"PATH": f"{place}:/usr/bin:/bin" if programs else str(place)}
    return Shell(tree, more | {"PYTHONNOUSERSITE": "1"})


def unit(tree: Tree) -> Path:
    return tree.base / "home/.config/systemd/user/comfywatchman.service"


def calls(tree: Tree) -> list[str]:
    file = tree.base / "home/calls"
    return file.read_text().splitlines() if file.exists() else []


def test_a_dry_run_prints_the_unit_of_this_installation(shell: Shell, tree: Tree) -> None:
    done = shell("service", "install", "--dry-run")

    assert done.status == 0
    assert f"--config {tree.config}" in done.out
    assert "Type=notify" in done.out
    assert "Would write" in done.err
    assert not unit(tree).exists()


def test_where_comfyui_lies_is_said_where_no_file_says_it(tree: Tree) -> None:
    shell = Shell(tree, {"COMFYUI_ROOT": str(tree.root)})
    done = shell.bare("service", "install", "--dry-run")

    assert f"--comfyui-root {tree.root}" in done.out
    assert "--config" not in done.out


def test_what_only_the_environment_says_is_named_but_not_told(tree: Tree) -> None:
    shell = with_programs(tree, systemctl=SYSTEMCTL)
    more = {**shell.more, "HF_TOKEN": "hf_" + "x" * 30}
    before = Shell(tree, more)("service", "install", "--dry-run")
    done = Shell(tree, more)("service", "install")

    assert "hubs.huggingface.token" in before.err
    assert "hubs.huggingface.token" in done.err
    assert "hf_xxx" not in before.out + before.err + done.err + unit(tree).read_text()


def test_the_unit_is_written_enabled_and_removed(tree: Tree) -> None:
    shell = with_programs(tree, systemctl=SYSTEMCTL)
    first = shell("service", "install", "--json")
    mode = stat.S_IMODE(unit(tree).stat().st_mode)
    again = shell("service", "uninstall")

    assert first.json["file"] == str(unit(tree))
    assert len(first.json["done"]) == 3
    assert mode == 0o644
    assert again.status == 0
    assert not unit(tree).exists()
    verbs = [line.split("--user ")[1] for line in calls(tree)]
    assert verbs[1:3] == ["daemon-reload", "enable comfywatchman.service"]
    assert "disable --now comfywatchman.service" in verbs


def test_a_unit_of_somebody_else_is_left_alone(tree: Tree) -> None:
    shell = with_programs(tree, systemctl=SYSTEMCTL)
    unit(tree).parent.mkdir(parents=True)
    unit(tree).write_text("[Service]\nExecStart=/mine\n")
    done = shell("service", "install")

    assert done.status == 3
    assert done.the_error()[0] == "name-taken"
    assert unit(tree).read_text() == "[Service]\nExecStart=/mine\n"


def test_what_systemd_refuses_is_told_with_its_words(tree: Tree) -> None:
    shell = with_programs(tree, systemctl=SYSTEMCTL)
    shell("service", "install")
    code, cause, _ = shell("service", "start").the_error()
    status = shell("service", "--json")

    assert code == "service-unavailable"
    assert "Job failed." in cause
    assert status.status == 1
    assert (status.json["installed"], status.json["running"]) == (True, False)


def test_doctor_compares_the_unit_with_the_one_of_this_version(tree: Tree) -> None:
    shell = with_programs(tree, systemctl=SYSTEMCTL)
    shell("service", "install")
    as_written = shell("doctor", "--offline").out
    unit(tree).write_text(unit(tree).read_text() + "\n# mine\n")
    changed = shell("doctor", "--offline").out

    assert f"ok      service: {unit(tree)}".replace(f"{tree.base}/home/", "~/") in as_written
    assert "does not run: failed" in as_written
    assert "was changed since" in changed


def test_the_journal_is_asked_for_what_the_service_wrote(tree: Tree) -> None:
    shell = with_programs(tree, journalctl='#!/bin/sh\necho "$@"\n')
    done = shell("service", "logs", "--lines", "7", "--follow")

    assert done.status == 0
    assert "-n7 --follow --user-unit comfywatchman.service" in done.out


@pytest.mark.parametrize("verb", ["install", "uninstall", "start", "stop", "restart", "status"])
def test_without_systemd_nothing_is_done(tree: Tree, verb: str) -> None:
    code, cause, remedy = with_programs(tree)("service", verb).the_error()

    assert code == "service-unavailable"
    assert "there is no program systemctl" in cause
    assert "comfywatchman run" in remedy
    assert not unit(tree).exists()


@pytest.mark.parametrize(
    "more", [("--user-name", "root"), ("--system", "--user-name", "nobody-of-that-name")]
)
def test_whom_it_runs_as_must_make_sense(shell: Shell, more: tuple[str, ...]) -> None:
    assert shell("service", "install", "--dry-run", *more).status == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a service as somebody else")
def test_a_python_that_the_user_may_not_run_is_no_service_of_that_user(
    shell: Shell, tree: Tree
) -> None:
    """Pytest's directories are 0700, so nobody else gets to a program in them."""
    import sys

    inside = tree.base / "python"
    inside.symlink_to(sys.executable)
    environ = dict(shell.environ)
    import subprocess

    line = ["-m", "comfywatchman", "--config", str(tree.config), "service", "install"]
    done = subprocess.run(
        [str(inside), *line, "--system", "--user-name", "nobody", "--dry-run"],
        capture_output=True,
        text=True,
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )

    assert "is closed to that user" in done.stderr


# -- audit


def test_an_audit_log_as_written_is_sound(shell: Shell, tree: Tree) -> None:
    tree.state.mkdir()
    log = AuditLog(tree.state)
    log.note("placed", Path("/a"), None, "x")
    log.note("placed", Path("/b"), None, "x")
    done = shell("audit", "verify", "--json")

    assert done.status == 0
    assert (done.json["sound"], done.json["lines"]) == (True, 2)
    assert shell("audit").out == f"last {done.json['head']}\n"


def test_a_changed_audit_log_ends_with_1_and_names_the_line(shell: Shell, tree: Tree) -> None:
    tree.state.mkdir()
    log = AuditLog(tree.state)
    for name in "ab":
        log.note("placed", Path(name), None, "x")
    file = tree.state / FILE
    file.write_bytes(file.read_bytes().replace(b'"a"', b'"z"'))
    done = shell("audit", "verify")

    assert done.status == 1
    assert done.out.startswith("line 2: ")
    assert json.loads(shell("audit", "verify", "--json").out)["breaks"][0]["line"] == 2
