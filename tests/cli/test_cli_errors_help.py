"""How errors are told, how help looks, and that neither waits for heavy libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from comfywatchman.cli.main import commands
from tests.cli.shell import Shell
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop

HEAVY = (
    *("sqlalchemy", "alembic", "requests", "rich", "watchdog", "apscheduler"),
    *("starlette", "uvicorn", "prometheus_client", "yaml", "structlog"),
)


def every_command(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from every_command(inner, (*path, name))


ALL = dict(every_command(commands))
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_help_of_every_command_has_an_example(path: tuple[str, ...]) -> None:
    command = ALL[path]
    context = click.Context(command, info_name=" ".join(("comfywatchman", *path)))

    shown = command.get_help(context)
    assert "Example" in shown
    assert f"comfywatchman {' '.join(path)}".strip() in shown.partition("Example")[2]
    assert command.help


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_settings_and_comfyui_can_be_named_everywhere(path: tuple[str, ...]) -> None:
    names = {option for parameter in LEAVES[path].params for option in parameter.opts}

    if path not in {("demo",), ("schema",)}:  # they read neither
        assert {"--config", "--comfyui-root"} <= names


READING = {
    *(("analyze",), ("status",), ("inventory", "list")),
    *(("config", "show"), ("config", "check"), ("config", "path")),
    *(("doctor",), ("service", "status"), ("audit", "verify")),
}
DOING = {
    *(("fix",), ("config", "init"), ("service", "install"), ("service", "uninstall")),
    *(("notify", "retry"), ("notify", "drop"), ("state", "import")),
}


@pytest.mark.parametrize("path", sorted(READING), ids=" ".join)
def test_what_reads_can_print_json(path: tuple[str, ...]) -> None:
    assert any("--json" in parameter.opts for parameter in LEAVES[path].params)


@pytest.mark.parametrize("path", sorted(DOING), ids=" ".join)
def test_what_does_something_can_be_tried_dry(path: tuple[str, ...]) -> None:
    assert any("--dry-run" in parameter.opts for parameter in LEAVES[path].params)


def modules_after(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.rsplit("\n", 2)[-2].split())


def test_the_command_line_starts_without_heavy_libraries() -> None:
    assert modules_after("import comfywatchman.cli.main").isdisjoint(HEAVY)


def test_help_needs_no_heavy_libraries() -> None:
    program = (
        "import contextlib, sys\n"
        "from comfywatchman.cli.main import commands\n"
        "with contextlib.suppress(SystemExit):\n"
        "    commands(['analyze', '--help'])"
    )
    assert modules_after(program).isdisjoint(HEAVY)


def test_an_error_is_told_in_three_lines(shell: Shell, tree: Tree) -> None:
    told = shell("analyze", "-", "--comfyui-root", tree.base / "nowhere")

    code, cause, remedy = told.the_error()
    assert (told.status, code) == (2, "comfyui-not-found")
    assert str(tree.base / "nowhere") in cause
    assert "comfyui_root" in remedy


def test_an_error_is_told_to_a_program_as_json(shell: Shell, tree: Tree) -> None:
    told = shell("analyze", "-", "--json", "--comfyui-root", tree.base / "nowhere")

    assert (told.status, told.err) == (2, "")
    assert set(told.json) == {"error"}
    assert set(told.json["error"]) == {"code", "cause", "remedy"}
    assert told.json["error"]["code"] == "comfyui-not-found"


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["analyze"],
        ["analyze", "--bogus", "x"],
        ["analyze", "x", "--format", "poem"],
        ["fix"],
        ["run", "--log-format", "xml"],
        ["choose", "loras/x"],
        ["retry", "many"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_in_the_same_form(shell: Shell, arguments: list[str]) -> None:
    told = shell(*arguments)

    code, _, remedy = told.the_error()
    assert (told.status, code) == (2, "usage")
    assert "--help" in remedy


def test_wrong_usage_is_told_to_a_program_as_json(shell: Shell) -> None:
    told = shell("analyze", "--json")

    assert told.status == 2
    assert told.json["error"]["code"] == "usage"


@pytest.mark.parametrize(
    "arguments", [["choose", "loras/x", "1"], ["retry", "1"], ["cancel", "1"]], ids=" ".join
)
def test_without_a_daemon_there_is_nobody_to_talk_to(shell: Shell, arguments: list[str]) -> None:
    told = shell(*arguments)

    code, _, remedy = told.the_error()
    assert (told.status, code) == (3, "source-unavailable")
    assert "comfywatchman run" in remedy


def test_whoever_reads_our_output_may_stop_reading(shell: Shell, tree: Tree) -> None:
    for number in range(3):
        drop(tree.workflows / f"{number}.json", *(Want(f"{n}.pt") for n in range(200)))
    analyzing = shell.begin("analyze", tree.workflows, "--json")
    assert analyzing.stdout is not None
    assert analyzing.stderr is not None
    analyzing.stdout.read(100)
    analyzing.stdout.close()
    with analyzing.stderr as stderr:
        err = stderr.read()

    assert analyzing.wait(60) == 0
    assert err == b""


def test_the_version_is_told(shell: Shell) -> None:
    told = shell.bare("--version")

    assert told.status == 0
    assert "comfywatchman" in told.out


def test_an_empty_query_is_wrong_usage(shell: Shell) -> None:
    told = shell("search", " ")

    assert (told.status, told.the_error()[0]) == (2, "usage")
