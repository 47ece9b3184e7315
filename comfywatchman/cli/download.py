"""``comfywatchman download``: one model, named by a person."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

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
    of_comfyui,
    offline_flag,
    print_json,
    say,
    tell,
    telling_errors,
)
from comfywatchman.cli.placing import located

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.installation import Place
    from comfywatchman.daemon.ordering import Order
    from comfywatchman.domain.errors import StateLocked, Trouble
    from comfywatchman.domain.jobs import FetchModel
    from comfywatchman.domain.messages import Event

EPILOG = """\b
Examples:
  comfywatchman download https://civitai.com/models/133005?modelVersionId=357609
  comfywatchman download urn:air:sdxl:lora:civitai:328553@368189 --dry-run
  comfywatchman download hf://Comfy-Org/flux1-dev/flux1-dev-fp8.safetensors --folder checkpoints
  comfywatchman download https://example.org/x.bin --folder vae --name x.safetensors --sha256 9f86…
"""
_OF_THE_FILE = frozenset(
    {"choice-needed", "hash-invalid", "login-needed", "name-taken", "not-given-out"}
    | {"nothing-found", "pickle-refused", "source-changed", "source-missing", "unsafe-file"}
    | {"verification-failed", "wrong-answer", "download-too-large"}
)
"""Codes that say something about the model; the others are about the machine or the network."""
_OF_THE_CALL = frozenset({"unknown-folder", "unsafe-name", "url-refused"})
"""Codes that another call cures."""
_LOOK_SECONDS = 0.3
_OPEN = frozenset({"waiting", "running"})


@click.command(epilog=EPILOG)
@everywhere
@click.argument("ref", metavar="REF")
@click.option("--folder", metavar="F", help="Folder of ComfyUI, where the source does not say it.")
@click.option("--name", metavar="N", help="What to call it there; subfolder/name goes as well.")
@click.option("--sha256", metavar="H", help="The SHA-256 that its bytes must have.")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and fetch nothing.")
@offline_flag
@as_json
@telling_errors
def download(
    config: Path | None,
    comfyui_root: Path | None,
    ref: str,
    folder: str | None,
    name: str | None,
    sha256: str | None,
    dry_run: bool,
    offline: bool,
    json_: bool,
) -> int:
    """Fetch the model REF, verify it and put it where ComfyUI looks. REF is an address, a page of a
    model or a version of Civitai, urn:air:…, hf://owner/repo/path, or a SHA-256.
    """
    from comfywatchman.daemon.ordering import Order, planned
    from comfywatchman.domain.errors import WatchmanError

    found = loaded(config, comfyui_root, offline=offline or None)
    place = located(found)
    folder = of_comfyui(place.layout.folders, folder)
    order = Order(ref, folder, name, _sha256(sha256))
    try:
        job = planned(found.settings, place.layout.folders, order)
        trouble = None if dry_run else _fetched(found, place, job, quiet=json_)
    except WatchmanError as error:
        trouble = error.trouble()
        tell(trouble, json_=json_)
        return USAGE if trouble.code in _OF_THE_CALL else _status(trouble, error.exit_status)
    return _end(found, place, order, job, trouble, dry_run=dry_run, json_=json_)


def _sha256(text: str | None) -> str | None:
    """Read what is given for ``--sha256``.

    Raises:
        HashInvalid: it is none.
    """
    from comfywatchman.resolve.hashes import hash_of

    return None if text is None else hash_of(text.strip().removeprefix("sha256:"), "SHA256").digits


def _fetched(found: Loaded, place: Place, job: FetchModel, *, quiet: bool) -> Trouble | None:
    from comfywatchman.cli.progress import progress
    from comfywatchman.daemon.bringing import bring
    from comfywatchman.domain.errors import StateLocked

    try:
        with progress(quiet=quiet) as observe:
            told = bring(found.settings, place, [job], _but_the_end(observe), role="download")
            return told[job.key]
    except StateLocked as error:
        return by_the_daemon(found, job, error)


def _but_the_end(observe: Callable[[Event], None]) -> Callable[[Event], None]:
    """Leave out why it failed: that is told as the error that the command ends with."""
    from comfywatchman.domain.messages import DownloadFailed, ReferenceAmbiguous

    return lambda event: (
        None if isinstance(event, (DownloadFailed, ReferenceAmbiguous)) else observe(event)
    )


def by_the_daemon(found: Loaded, job: FetchModel, locked: StateLocked) -> Trouble | None:
    """Let the daemon that owns the state fetch it, and wait for the end.

    Raises:
        StateLocked: no daemon owns the state, but another command does.
        WatchmanError: the daemon refuses.
    """
    from comfywatchman.cli.talk import ask, post
    from comfywatchman.daemon.lock import owner_of
    from comfywatchman.domain.errors import Trouble

    owner = owner_of(found.settings.state.directory)
    if owner is None or owner.role != "run" or owner.address is None:
        raise locked
    source = job.sources[0]
    wish = {"folder": job.folder, "name": job.name, "url": source.url, "size": source.size}
    accepted = post(found, "downloads", wish | {"sha256": source.sha256})
    note(f"The daemon (process {owner.pid}) does it.")
    while True:
        row = ask(found, "GET", f"jobs/{accepted['jobs'][0]}")
        if row["state"] not in _OPEN:
            error = row["error"]
            return None if row["state"] == "done" else _trouble(error, row["state"])
        if row["error"] is not None and row["state"] == "waiting" and row["attempts"] > 1:
            told = Trouble(**row["error"])
            return Trouble(told.code, told.cause, f"The daemon tries it again. {told.remedy}")
        time.sleep(_LOOK_SECONDS)


def _trouble(error: dict[str, str] | None, state: str) -> Trouble:
    from comfywatchman.domain.errors import Trouble

    if error is not None:
        return Trouble(**error)
    return Trouble("interrupted", f"The job is {state}.", "`comfywatchman retry` has it go on.")


def _end(
    found: Loaded,
    place: Place,
    order: Order,
    job: FetchModel,
    trouble: Trouble | None,
    *,
    dry_run: bool,
    json_: bool,
) -> int:
    from comfywatchman.cli.lookups import candidate_lines
    from comfywatchman.place import plan
    from comfywatchman.report.render import candidate_row

    final = plan(place.layout.folders, job.folder, job.name, fingerprint="").final
    source = job.sources[0]
    if json_:
        state = "planned" if dry_run else "failed" if trouble else "placed"
        lies = _as_it_lies(found, final) if state == "placed" else {}
        about = {"ref": order.ref, "folder": job.folder, "name": job.name, "path": str(final)}
        told = {"state": state, "source": candidate_row(source), "error": trouble}
        print_json({**about, **lies, **told})
    elif dry_run:
        say(f"{job.folder}/{job.name} would be fetched to {final}")
        for line in candidate_lines(1, candidate_row(source)):
            say(line)
    elif trouble is not None:
        tell(trouble, json_=False)
    else:
        say(str(final))
    if trouble is not None:
        return _status(trouble)
    return LACKING if dry_run and not final.exists() else DONE


def _status(trouble: Trouble, otherwise: int = UNFINISHED) -> int:
    return LACKING if trouble.code in _OF_THE_FILE else otherwise


def _as_it_lies(found: Loaded, path: Path) -> dict[str, object]:
    """Return size and measured SHA-256 of what was placed, and whether nothing proves it."""
    from comfywatchman.state import hashes, placed, store

    reader = store.open_reader(found.settings.state.directory)
    if reader is None:
        return {}
    try:
        known = reader.read(lambda c: hashes.known(c, path))
        unproven = path in reader.read(lambda c: placed.unverifiable(c, {path}))
    finally:
        reader.close()
    if known is None:
        return {}
    return {"size": known.stamp.size, "sha256": known.sha256, "unverifiable": unproven}
