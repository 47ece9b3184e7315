"""``queue``: run a workflow on a ComfyUI server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    UNFINISHED,
    USAGE,
    as_json,
    everywhere,
    loaded,
    note,
    print_json,
    say,
    tell,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.api.comfyui import ComfyUIClient, QueuedPrompt
    from comfywatchman.api.panels import PanelResult
    from comfywatchman.domain.api_errors import ComfyFixerError

Shown = Callable[[float, str | None], None]

EXAMPLES = """\b
Examples:
  comfywatchman queue workflow.json
  comfywatchman queue picture.png --seed 7 --size 1024x768 --prompt "a lighthouse"
  comfywatchman queue workflow.json --set 3.steps=30 --set "KSampler.cfg=4.5" -o results
  comfywatchman queue workflow.json --project panels.json -o panels
  comfywatchman queue workflow.json --dry-run > prompt.json
"""
_OF_THE_WORKFLOW = frozenset({
    *("prompt-refused", "run-failed", "vram-overflow", "run-interrupted", "run-lost"),
    "output-missing",
})  # fmt: skip
_WRONG_USE = frozenset({"settings-invalid"})


@click.command(epilog=EXAMPLES)
@everywhere
@click.argument("workflow", metavar="WORKFLOW", type=click.Path(path_type=Path))
@click.option(
    "--set", "settings", multiple=True, metavar="NODE.INPUT=VALUE",
    help="Give an input another value; NODE is an id, a title or a type. May be repeated.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="For every sampler.")
@click.option("--size", metavar="WxH", help="Of the picture: 1920x1080.")
@click.option("--prompt", "text", metavar="TEXT", help="What the picture is to show.")
@click.option(
    "--project", type=click.Path(path_type=Path), metavar="FILE",
    help="Make every panel of a project; one that was made is not made again.",
)  # fmt: skip
@click.option("--url", metavar="URL", help="The server; else the setting comfyui.url.")
@click.option(
    "-o", "--output-dir", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Bring the files that were made to DIR.",
)  # fmt: skip
@click.option("--no-wait", is_flag=True, help="End as soon as the server took it.")
@click.option("--dry-run", is_flag=True, help="Print the prompt that would be sent; run nothing.")
@as_json
@telling_errors
def queue(
    config: Path | None,
    comfyui_root: Path | None,
    workflow: Path,
    settings: Sequence[str],
    seed: int | None,
    size: str | None,
    text: str | None,
    project: Path | None,
    url: str | None,
    output_dir: Path | None,
    no_wait: bool,
    dry_run: bool,
    json_: bool,
) -> int:
    """Run WORKFLOW (what the editor saves, a prompt in API form, or an image with one of them) on a
    ComfyUI server, with live progress. Status 1 where the server refuses it, or it fails.
    """
    from comfywatchman.api.comfyui import ComfyUIClient
    from comfywatchman.api.prompts import document_of_workflow
    from comfywatchman.domain.api_errors import ComfyFixerError

    address = url or loaded(config, comfyui_root).settings.comfyui.url
    if not address:
        raise click.UsageError("There is no server: set comfyui.url, or give --url.")
    try:
        with ComfyUIClient(address) as client:
            if project is not None:
                return _project(client, workflow, project, size, output_dir, json_=json_)
            document = document_of_workflow(workflow)
            prompt = _prompt(client, document, settings, seed, size, text)
            if dry_run:
                print_json(prompt)
                return DONE
            changed = bool(settings or size) or seed is not None or text is not None
            carried = None if changed or "nodes" not in document else document
            return _run(client, prompt, carried, output_dir, wait=not no_wait, json_=json_)
    except ComfyFixerError as error:
        return _failed(error, json_=json_)


def _failed(error: ComfyFixerError, *, json_: bool) -> int:
    tell(error.trouble(), json_=json_)
    if error.code in _WRONG_USE:
        return USAGE
    return LACKING if error.code in _OF_THE_WORKFLOW else UNFINISHED


def _prompt(
    client: ComfyUIClient,
    workflow: dict[str, Any],
    settings: Sequence[str],
    seed: int | None,
    size: str | None,
    text: str | None,
) -> dict[str, Any]:
    """Return the prompt with what was asked for in it."""
    from comfywatchman.comfyui.prompt import changes

    wanted = None if size is None else changes.parse_size(size)
    prompt = client.to_prompt(workflow)
    _changed("text", text is None or changes.set_text(prompt, text), "--prompt")
    _changed("seed", seed is None or changes.set_seed(prompt, seed), "--seed")
    _changed("size", wanted is None or changes.set_size(prompt, *wanted), "--size")
    for each in settings:
        changes.set_input(prompt, each)
    return prompt


def _changed(what: str, found: object, option: str) -> None:
    if not found:
        raise click.UsageError(
            f"The workflow has no place for {option}: no node with a {what} of its own. "
            "Name the input with --set."
        )


def _run(
    client: ComfyUIClient,
    prompt: dict[str, Any],
    carried: dict[str, Any] | None,
    output_dir: Path | None,
    *,
    wait: bool,
    json_: bool,
) -> int:
    """Run *prompt*; *carried* is what the files are to carry as their workflow."""
    extra = None if carried is None else {"extra_pnginfo": {"workflow": carried}}
    prompt_id = client.queue_workflow(prompt, extra_data=extra)
    for problem in prompt_id.problems:
        note(f"Not run: {problem}")
    if not wait:
        if json_:
            print_json(_row(prompt_id, "queued", []))
        else:
            say(prompt_id)
        return LACKING if prompt_id.problems else DONE
    try:
        with _shown(prompt, quiet=json_) as shown:
            client.monitor_execution(prompt_id, shown)
    except KeyboardInterrupt:
        client.cancel(prompt_id)
        raise click.Abort from None
    files = _files(client, prompt_id, output_dir)
    if json_:
        print_json(_row(prompt_id, "done", files))
    else:
        for file in files:
            say(file.get("path") or file["url"])
    return LACKING if prompt_id.problems else DONE


def _files(client: ComfyUIClient, prompt_id: str, output_dir: Path | None) -> list[dict[str, Any]]:
    """Return the files that were made, brought to *output_dir* where there is one."""
    from comfywatchman.api.files import ensure_directory

    rows = []
    for file in client.get_outputs(prompt_id):
        row: dict[str, Any] = {
            "node": file.node_id, "filename": file.filename, "subfolder": file.subfolder,
            "type": file.type, "size": file.size, "url": client.base_url + file.view,
        }  # fmt: skip
        if output_dir is not None and file.type == "output":
            path = _free(ensure_directory(output_dir), Path(file.filename).name)
            row["path"] = str(client.download_output(file, path))
        rows.append(row)
    return rows


def _free(directory: Path, name: str) -> Path:
    """Return a path with that name, or a number behind it where the name is taken."""
    plain = Path(name)
    path, number = directory / name, 2
    while path.exists():
        path, number = directory / f"{plain.stem}_{number}{plain.suffix}", number + 1
    return path


def _row(prompt_id: QueuedPrompt, state: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    problems = [
        {"node": x.node_id, "node_type": x.node_type, "kind": x.kind, "message": x.message}
        for x in prompt_id.problems
    ]
    about = {"prompt_id": str(prompt_id), "number": prompt_id.number, "state": state}
    return {**about, "outputs": files, "problems": problems, "error": None}


def _project(
    client: ComfyUIClient,
    workflow: Path,
    project: Path,
    size: str | None,
    output_dir: Path | None,
    *,
    json_: bool,
) -> int:
    from comfywatchman.api.panels import ComfyUIIntegrationManager

    manager = ComfyUIIntegrationManager(
        workflow, client=client, output_dir=output_dir, resolution=size
    )
    with _bar(quiet=json_) as shown:
        result = manager.process_project(project, shown)
    if json_:
        rows = [_panel_row(panel) for panel in result.panels]
        print_json({"name": result.name, "done": bool(result), "panels": rows})
    else:
        for panel in result.panels:
            say(_panel_line(panel))
    return DONE if result else LACKING


def _panel_row(panel: PanelResult) -> dict[str, Any]:
    error = None
    if panel.error_code is not None:
        error = {"code": panel.error_code, "cause": panel.error_message or "", "remedy": ""}
    return {
        "id": panel.panel_id,
        "done": panel.success,
        "skipped": panel.skipped,
        "seed": panel.seed,
        "batch_size": panel.batch_size,
        "files": [str(path) for path in panel.files],
        "error": error,
    }


def _panel_line(panel: PanelResult) -> str:
    if not panel.success:
        return f"{panel.panel_id}: failed [{panel.error_code}] {panel.error_message}"
    made = "made before" if panel.skipped else "made"
    files = ", ".join(str(path) for path in panel.files) or ", ".join(map(str, panel.outputs))
    return f"{panel.panel_id}: {made}, {files}"


# -- progress


@contextmanager
def _shown(prompt: dict[str, Any], *, quiet: bool) -> Iterator[Shown]:
    """Yield what shows percent and the node that works, by its title."""
    with _bar(quiet=quiet) as bar:
        yield lambda percent, node: bar(percent, _name(prompt, node))


def _name(prompt: dict[str, Any], node: str | None) -> str | None:
    known = None if node is None else prompt.get(node)
    if known is None:
        return node
    meta = known.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return f"{title or known['class_type']} ({node})"


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Shown]:
    if quiet:
        yield lambda _percent, _what: None
    elif sys.stderr.isatty():
        yield from _live()
    else:
        yield _Lines().tell


def _live() -> Iterator[Shown]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from comfywatchman.report.visible import shortened, visible

    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("waiting", total=100.0)

        def show(percent: float, what: str | None) -> None:
            told = escape(shortened(visible(what))) if what else "waiting" if not percent else "…"
            progress.update(task, completed=percent, description=told)

        yield show


class _Lines:
    """Quiet lines elsewhere than on a terminal: one for each node."""

    def __init__(self) -> None:
        self._last: str | None = None

    def tell(self, percent: float, what: str | None) -> None:
        if what is not None and what != self._last:
            self._last = what
            note(f"{percent:3.0f} % {what}")
