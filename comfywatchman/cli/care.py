"""``comfywatchman inventory sweep``, ``verify``, ``unused``, ``export``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    UNFINISHED,
    as_json,
    everywhere,
    loaded,
    note,
    of_comfyui,
    print_json,
    say,
    tell_unread,
    telling_errors,
)
from comfywatchman.cli.placing import located

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.ledger import Hand, Ledger
    from comfywatchman.daemon.resweep import Changes, Swept
    from comfywatchman.daemon.unused import Asked, Unused
    from comfywatchman.daemon.verify import Checked, Sample
    from comfywatchman.domain.files import Reading, Unread

_MOST_LINES = 200

SWEEP = """\b
Examples:
  comfywatchman inventory sweep
  comfywatchman inventory sweep --json
"""


def handing(found: Loaded) -> Hand:
    """Return what hands readings to the running daemon."""

    def hand_over(readings: Sequence[tuple[Path, Reading | Unread]]) -> None:
        from comfywatchman.cli.talk import post
        from comfywatchman.server.readings import body_of

        body = body_of(readings)
        unread = {"unreadable": body.unreadable} if body.unreadable else {}
        post(found, "models/measured", {"models": body.models, **unread})

    return hand_over


def tell_unkept(ledger: Ledger) -> None:
    """Say what was read in vain, since nobody took it down."""
    if ledger.unkept and ledger.why is not None:
        note(f"Measures not kept: {ledger.unkept}. {ledger.why.cause} {ledger.why.remedy}")


@click.command(epilog=SWEEP)
@everywhere
@click.option("--removed", is_flag=True, help="Forget what is missing, even if a drive is away.")
@as_json
@telling_errors
def sweep(config: Path | None, comfyui_root: Path | None, removed: bool, json_: bool) -> int:
    """Look again now, at models and workflows, and say what changed since somebody looked last."""
    from comfywatchman.cli.talk import post
    from comfywatchman.daemon.resweep import sweep_now

    found = loaded(config, comfyui_root)
    place = located(found)
    auto = found.settings.inventory.claims == "auto"
    asked = {"removed": True} if removed else {}
    swept = sweep_now(place, lambda: post(found, "sweep", asked), with_claims=auto, removed=removed)
    if json_:
        print_json(
            {
                "models": _changes(swept.models),
                "workflows": _changes(swept.workflows),
                "offline": [{"path": path, "error": told} for path, told in swept.offline],
                "absent": [{"path": path, "error": told} for path, told in swept.absent],
                "troubles": [{"path": path, "error": told} for path, told in swept.told],
                "claims": [{"path": path, "error": told} for path, told in swept.claims],
                "duration_seconds": swept.seconds,
                "by_daemon": swept.by_daemon,
            }
        )
    else:
        _tell_changes(swept)
    return UNFINISHED if swept.offline or swept.troubles else DONE


def _changes(changes: Changes) -> dict[str, object]:
    return {
        "files": changes.files,
        "added": changes.added,
        "changed": changes.changed,
        "moved": [{"before": before, "path": path} for before, path in changes.moved],
        "removed": changes.removed,
    }


def _tell_changes(swept: Swept) -> None:
    from comfywatchman.report.render.words import counted

    for changes in (swept.models, swept.workflows):
        lines = [f"added    {path}" for path in changes.added]
        lines += [f"changed  {path}" for path in changes.changed]
        lines += [f"moved    {before} -> {path}" for before, path in changes.moved]
        lines += [f"removed  {path}" for path in changes.removed]
        for line in lines[:_MOST_LINES]:
            say(line)
        if len(lines) > _MOST_LINES:
            note(f"and {len(lines) - _MOST_LINES} more (--json names all)")
    for path, trouble in (*swept.absent, *swept.offline, *swept.told, *swept.claims):
        note(f"{path}: {trouble.cause} {trouble.remedy}")
    changed = len(swept.models) + len(swept.workflows)
    who = "The daemon swept" if swept.by_daemon else "Swept"
    what = f"{changed} changed" if changed else "nothing changed"
    note(
        f"{who} {counted(swept.models.files, 'model file')} and "
        f"{counted(swept.workflows.files, 'workflow')} in "
        f"{swept.seconds:.1f} s; {what}."
    )
    if not swept.by_daemon and swept.workflows.added + swept.workflows.changed:
        note(
            "Workflows are read by the daemon, or by `comfywatchman fix`; until then they are new."
        )


VERIFY = """\b
Examples:
  comfywatchman inventory verify
  comfywatchman inventory verify models/checkpoints/a.safetensors
  comfywatchman inventory verify --folder loras --sample 20
  comfywatchman inventory verify --sample 5%
"""


def _sample(_: click.Context, __: click.Parameter, text: str | None) -> Sample:
    from comfywatchman.daemon.verify import Sample

    if text is None:
        return Sample()
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) if percent else int(number)
    except ValueError:
        value = -1
    if rest or not 0 < value < 1e9 or (percent and value > 100):
        raise click.BadParameter(f"{text!r} is neither a number of files nor a share such as 10%.")
    return Sample(share=value / 100) if percent else Sample(count=int(value))


@click.command(epilog=VERIFY)
@everywhere
@click.argument(
    "paths", nargs=-1, type=click.Path(path_type=Path, readable=False), metavar="[PATH]…"
)
@click.option("--folder", metavar="NAME", help="Only this folder of ComfyUI, such as loras.")
@click.option(
    "--sample",
    metavar="N|N%",
    callback=_sample,
    help="Only so many files, or such a part: those that nobody read for longest.",
)
@as_json
@telling_errors
def verify(
    config: Path | None,
    comfyui_root: Path | None,
    paths: tuple[Path, ...],
    folder: str | None,
    sample: Sample,
    json_: bool,
) -> int:
    """Read whole model files again and compare them with what was measured before. Ctrl-C keeps
    what is done. PATH is a model file or a directory that holds some.
    """
    import random
    import threading

    from comfywatchman.cli.reading import reading_bars
    from comfywatchman.daemon.care import Restoring
    from comfywatchman.daemon.contents import Wishes
    from comfywatchman.daemon.ledger import Ledger
    from comfywatchman.daemon.stock import stock_of
    from comfywatchman.daemon.verify import Verifier, chosen

    found = loaded(config, comfyui_root)
    place = located(found)
    folders = place.layout.folders
    folder = of_comfyui(folders, folder)
    ledger = Ledger(place.state_directory, folders, handing(found))
    checked: list[Checked] = []
    with stock_of(folders, place.state_directory) as stock:
        files = chosen(stock, paths, folder, sample, random.Random())
        total = sum(file.stamp.size for file in files)
        wishes = Wishes(found.settings, place, stock.reader)
        blake3 = found.settings.inventory.blake3
        verifier = Verifier(stock, ledger, threading.Event(), Restoring(folders, wishes), blake3)
        try:
            with reading_bars(quiet=json_, total=total) as bars:
                for each in verifier.run(files, bars.begin, bars.at):
                    bars.end()
                    checked.append(each)
                    if not json_ and each.outcome != "equal":
                        _tell_checked(each)
        finally:
            # Also when somebody has enough of it: what was read is not read in vain.
            ledger.flush()
            tell_unkept(ledger)
            if not json_:
                _tell_counts(checked, total)
    if json_:
        print_json({"files": checked, "summary": dict(Counter(c.outcome for c in checked))})
    return max(tell_unread(stock.unread), _status(checked))


def _tell_checked(checked: Checked) -> None:
    if checked.trouble is None:
        say(f"{checked.outcome:<10} {checked.path}  {checked.sha256 or ''}")
        if checked.sha256_before is not None:
            say(f"{'':<10} It had {checked.sha256_before} before it was written to.")
        return
    say(f"{checked.outcome:<10} {checked.trouble.cause}")
    say(f"{'':<10} {checked.trouble.remedy}")
    for source in checked.sources:
        from comfywatchman.report.redaction import redacted

        proven = "publishes this hash" if source.sha256 else "publishes no hash"
        say(f"{'':<10} source: {redacted(source.url)} ({source.origin}, {proven})")


def _tell_counts(checked: Sequence[Checked], total: int) -> None:
    from comfywatchman.report.render.words import counted

    counts = Counter(each.outcome for each in checked)
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    read = sum(each.size for each in checked)
    note(f"{counted(len(checked), 'file')}, {read:,} of {total:,} bytes: {said or 'none'}.")


def _status(checked: Sequence[Checked]) -> int:
    outcomes = {each.outcome for each in checked}
    if outcomes & {"unreadable", "changed"}:
        return UNFINISHED
    return LACKING if outcomes & {"corrupt", "trouble"} else DONE


UNUSED = """\b
Examples:
  comfywatchman inventory unused
  comfywatchman inventory unused --folder loras --json
"""


@click.command(epilog=UNUSED)
@everywhere
@click.option("--folder", metavar="NAME", help="Only this folder of ComfyUI, such as loras.")
@as_json
@telling_errors
def unused(config: Path | None, comfyui_root: Path | None, folder: str | None, json_: bool) -> int:
    """Model files that no known workflow names, whether its node is active or not, largest first.
    Nothing is removed.
    """
    from comfywatchman.daemon.stock import stock_of
    from comfywatchman.daemon.unused import asked_for
    from comfywatchman.daemon.unused import unused as found_unused

    found = loaded(config, comfyui_root)
    place = located(found)
    folder = of_comfyui(place.layout.folders, folder)
    with stock_of(place.layout.folders, place.state_directory) as stock:
        files = list(stock.files())
        asked = asked_for(found.settings, place, stock.reader)
    left = found_unused(files, asked, place, folder)
    if json_:
        print_json(
            {
                "models": [
                    {
                        "path": file.path,
                        "folder": next((f for f, _ in place.layout.folders.named(file.path)), None),
                        "size": file.stamp.size,
                        "sha256": file.sha256,
                    }
                    for file in left.files
                ],
                "bytes": left.total,
                "workflow_dirs": place.workflow_dirs,
                "workflows": asked.read,
                "unreadable": [
                    {"path": path, "error": trouble} for path, trouble in asked.unreadable
                ],
                "computed_references": asked.computed,
                "left_out": left.left_out,
            }
        )
        return tell_unread(stock.unread)
    for file in left.files:
        say(f"{file.stamp.size:>15,}  {file.path}")
    _tell_unused(left, asked, place.workflow_dirs)
    return tell_unread(stock.unread)


def _tell_unused(left: Unused, asked: Asked, directories: Sequence[Path]) -> None:
    """Say what was looked at, since a workflow that lies elsewhere may need any of the files."""
    from comfywatchman.report.render.words import counted

    note(
        f"{counted(len(left.files), 'file')}, {left.total:,} bytes, that none of "
        f"{counted(asked.read, 'workflow')} names."
    )
    note("Looked for workflows in:")
    for directory in directories:
        say_about = "" if directory.is_dir() else "  (not there)"
        note(f"  {directory}{say_about}")
    if asked.unreadable:
        unread = counted(len(asked.unreadable), "file")
        note(f"{unread} there could not be read; what they need is not known:")
        for path, trouble in asked.unreadable[:10]:
            note(f"  {path}: {trouble.cause}")
    if asked.computed:
        note(f"{counted(asked.computed, 'name')} made when the workflow runs: not known either.")
    if left.left_out:
        note(
            f"Left out: {counted(left.left_out, 'file')} that ComfyUI loads by itself (vae_approx)."
        )
    note("Nothing was removed.")


EXPORT = """\b
Examples:
  comfywatchman inventory export > models.json
  comfywatchman inventory export --format csv -o models.csv
"""


@click.command(epilog=EXPORT)
@everywhere
@click.option(
    "--format",
    "format_",
    type=click.Choice(["json", "csv"]),
    help="How to write it; json, unless FILE ends in .csv.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write there, over an earlier export, instead of to standard output.",
)
@as_json
@telling_errors
def export(
    config: Path | None,
    comfyui_root: Path | None,
    format_: str | None,
    output: Path | None,
    json_: bool,
) -> int:
    """Everything that is known of every model file, in a stable order, as JSON or CSV."""
    import sys

    from comfywatchman.cli.exporting import write_export
    from comfywatchman.daemon.listing import rows_of
    from comfywatchman.daemon.stock import stock_of
    from comfywatchman.report.render import encoded
    from comfywatchman.report.render.inventory import SCHEMA_VERSION, Export, to_csv
    from comfywatchman.report.render.words import counted

    if format_ == "csv" and json_:
        raise click.UsageError("--json and --format csv exclude each other.")
    found = loaded(config, comfyui_root)
    place = located(found)
    folders = place.layout.folders
    with stock_of(folders, place.state_directory) as stock:
        rows = rows_of(stock.files(), folders, unlisted=True)
    if format_ is None and output is not None and output.suffix.lower() == ".csv" and not json_:
        format_ = "csv"
    if format_ == "csv":
        data = to_csv(rows).encode()
    else:
        root = str(place.comfyui_root)
        whole = Export(schema_version=SCHEMA_VERSION, comfyui_root=root, models=tuple(rows))
        data = encoded(whole) + b"\n"
    if output is None:
        sys.stdout.buffer.write(data)
        return tell_unread(stock.unread)
    write_export(output, data)
    note(f"{counted(len(rows), 'row')} written to {output}.")
    return tell_unread(stock.unread)
