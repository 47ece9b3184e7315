"""What a person sees while models are fetched: bars on a terminal, quiet lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadProgressed,
    DownloadRetrying,
    DownloadStarted,
    Event,
    ModelPlaced,
    ReferenceAmbiguous,
    ReferenceUnresolved,
    WorkflowAnalyzed,
)
from comfywatchman.report.visible import shortened

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Observe = Callable[[Event], None]


@contextmanager
def progress(*, quiet: bool) -> Iterator[Observe]:
    """Yield a reader of events that shows them on stderr."""
    if quiet:
        yield lambda _event: None
    elif not sys.stderr.isatty():
        yield _line
    else:
        yield from _bars()


def bars_of_bytes(*, transient: bool = False) -> Progress:
    """Return bars on stderr that show how many bytes, how fast, and for how long still."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=transient,
    )


def _bars() -> Iterator[Observe]:
    with bars_of_bytes() as shown:
        tasks: dict[str, TaskID] = {}
        yield lambda event: _move(event, shown, tasks)


def _move(event: Event, shown: Progress, tasks: dict[str, TaskID]) -> None:
    match event:
        case DownloadStarted(folder=folder, name=name, size=size, offset=offset):
            key = f"{folder}/{name}"
            if key in tasks:
                shown.update(tasks[key], total=size, completed=offset)
            else:
                tasks[key] = shown.add_task(shortened(key), total=size, completed=offset)
        case DownloadProgressed(folder=folder, name=name, done=done, size=size):
            key = f"{folder}/{name}"
            if key in tasks:
                shown.update(tasks[key], completed=done, total=size)
        case ModelPlaced(folder=folder, name=name, measured=measured):
            key = f"{folder}/{name}"
            if key in tasks:
                shown.update(tasks[key], completed=measured.size, total=measured.size)
            shown.console.print(told(event), markup=False, highlight=False)
        case _:
            text = told(event)
            if text is not None:
                shown.console.print(text, markup=False, highlight=False)


def _line(event: Event) -> None:
    text = told(event)
    if text is not None:
        click.echo(text, err=True)


def _how_placed(event: ModelPlaced) -> str:
    if event.linked_from is not None:
        return "here already" if event.linked_from == event.path else "here already, linked"
    return "placed, verified" if event.promised else "placed, unverifiable (no published hash)"


def told(event: Event) -> str | None:  # noqa: PLR0911 - one line for each kind of news
    """Return one line about *event* for a person, or ``None`` where it is no news."""
    match event:
        case WorkflowAnalyzed(analysis=analysis):
            lacking = sum(finding.lacking for finding in analysis.findings)
            state = analysis.state.value
            return f"{analysis.path.name}: {state}" + (f", {lacking} lacking" if lacking else "")
        case DownloadStarted(folder=folder, name=name, host=host, offset=offset):
            verb = "resuming" if offset else "fetching"
            return f"{verb} {folder}/{name} from {host}"
        case DownloadRetrying(folder=folder, name=name, trouble=trouble, retry_in_seconds=wait):
            return f"{folder}/{name}: {trouble.cause} Trying again in {wait:.0f} s."
        case DownloadFailed(folder=folder, name=name, trouble=trouble):
            return f"{folder}/{name}: {trouble.cause} {trouble.remedy}"
        case ModelPlaced(path=path):
            return f"{_how_placed(event)}: {path}"
        case (
            ReferenceAmbiguous(folder=folder, name=name, trouble=trouble)
            | ReferenceUnresolved(folder=folder, name=name, trouble=trouble)
        ):
            return f"{folder}/{name}: {trouble.cause}"
        case _:
            return None
