"""``choose``, ``retry``, ``cancel``: words to the running daemon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    as_json,
    everywhere,
    loaded,
    note,
    print_json,
    tell,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded

_SECONDS = 15
_NOT_FOUND = "not-found"


CHOOSE = """\b
Examples:
  comfywatchman status
  comfywatchman choose loras/detail.safetensors 1
"""


@click.command(epilog=CHOOSE)
@everywhere
@click.argument("reference", metavar="REFERENCE")
@click.argument("candidate", type=click.IntRange(min=1), metavar="CANDIDATE")
@as_json
@telling_errors
def choose(
    config: Path | None, comfyui_root: Path | None, reference: str, candidate: int, json_: bool
) -> int:
    """Answer a question. REFERENCE is folder/name as `status` shows it, or the name alone where one
    question has it, CANDIDATE its number. Where no daemon runs, what is chosen is fetched at once.
    """
    from comfywatchman.daemon.lock import owner_of
    from comfywatchman.server.window import choice_id

    found = loaded(config, comfyui_root)
    asked = _asked(found)
    folder, name = _meant(asked, reference)
    if (folder, name) in asked and owner_of(found.settings.state.directory) is None:
        return _fetched(found, (folder, name), candidate, json_=json_)
    path = f"choices/{choice_id(folder, name)}"
    with _in_words_of_commands(f"question about {reference} with a candidate {candidate}"):
        answer = post(found, path, {"candidate": candidate - 1})
    return _told(answer, f"{folder}/{name} is being fetched.", json_=json_)


def _asked(found: Loaded) -> list[tuple[str, str]]:
    """Return folder and name of every question that is open."""
    from comfywatchman.daemon.standing import standing

    return [(each.folder, each.name) for each in standing(found.settings.state.directory).choices]


def _meant(asked: Sequence[tuple[str, str]], reference: str) -> tuple[str, str]:
    """Return folder and name of the question that *reference* names, however shortly."""
    whole = [key for key in asked if "/".join(key) == reference]
    short = [key for key in asked if reference in {key[1], key[1].rpartition("/")[2]}]
    if len(whole or short) == 1:
        return (whole or short)[0]
    folder, _, name = reference.partition("/")
    return folder, name


def _fetched(found: Loaded, asked: tuple[str, str], candidate: int, *, json_: bool) -> int:
    from comfywatchman.cli.placing import located
    from comfywatchman.cli.progress import progress
    from comfywatchman.daemon.bringing import bring_chosen

    place = located(found)
    with progress(quiet=json_) as observe:
        trouble = bring_chosen(found.settings, place, asked, candidate - 1, observe)
    if trouble is not None:
        tell(trouble, json_=json_)
        return LACKING
    return _told({"placed": "/".join(asked)}, f"{'/'.join(asked)} is here.", json_=json_)


@click.command(epilog="\b\nExample:\n  comfywatchman retry 17\n")
@everywhere
@click.argument("job", type=int, metavar="JOB")
@as_json
@telling_errors
def retry(config: Path | None, comfyui_root: Path | None, job: int, json_: bool) -> int:
    """Try a job again now; its number is in `status`."""
    with _in_words_of_commands(f"job {job}"):
        answer = post(loaded(config, comfyui_root), f"jobs/{job}/retry", {})
    return _told(answer, f"Job {job} is tried again.", json_=json_)


@click.command(epilog="\b\nExample:\n  comfywatchman cancel 17\n")
@everywhere
@click.argument("job", type=int, metavar="JOB")
@as_json
@telling_errors
def cancel(config: Path | None, comfyui_root: Path | None, job: int, json_: bool) -> int:
    """Give a waiting job up; what was fetched of it so far stays for another try."""
    with _in_words_of_commands(f"job {job}"):
        answer = post(loaded(config, comfyui_root), f"jobs/{job}/cancel", {})
    return _told(answer, f"Job {job} is canceled.", json_=json_)


@contextmanager
def _in_words_of_commands(what: str) -> Iterator[None]:
    """Tell of what the daemon does not know as a command does, and not as its API does.

    Raises:
        WatchmanError: what the daemon answered.
    """
    from comfywatchman.domain.errors import WatchmanError

    try:
        yield
    except WatchmanError as error:
        if error.code == _NOT_FOUND:
            error.cause = f"There is no {what}."
            error.remedy = "`comfywatchman status` shows those there are."
        raise


def _told(answer: Any, text: str, *, json_: bool) -> int:
    if json_:
        print_json(answer)
    else:
        note(text)
    return DONE


def post(found: Loaded, path: str, body: Mapping[str, object]) -> Any:
    """Ask the daemon of these settings to do something.

    Raises:
        SourceUnavailable: no daemon runs, or it has no server.
        WatchmanError: what the daemon answered.
    """
    return ask(found, "POST", path, body)


def ask(
    found: Loaded,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    seconds: float = _SECONDS,
) -> Any:
    """Ask the daemon of these settings something, and wait for the answer so many *seconds*.

    Raises:
        SourceUnavailable: no daemon runs, or it has no server.
        WatchmanError: what the daemon answered.
    """
    import msgspec
    import requests

    from comfywatchman.daemon.lock import owner_of
    from comfywatchman.domain.errors import SourceUnavailable
    from comfywatchman.server.token import load_or_make_token

    settings = found.settings
    owner = owner_of(settings.state.directory)
    if owner is None or owner.address is None:
        raise SourceUnavailable(
            "No daemon with an HTTP server runs on this state.",
            remedy="Start one with `comfywatchman run` (http.listen must not be empty).",
        )
    token = load_or_make_token(settings.http.token_file or settings.state.directory / "http-token")
    session = requests.Session()
    session.trust_env = False
    try:
        answer = session.request(
            method,
            f"http://{owner.address}/api/v1/{path}",
            data=None if body is None else msgspec.json.encode(body),
            headers={
                "Authorization": f"Bearer {token.reveal()}",
                "Content-Type": "application/json",
            },
            timeout=seconds,
        )
        value = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise SourceUnavailable(
            f"The daemon at {owner.address} does not answer.", remedy="Look at its log."
        ) from error
    if not answer.ok:
        raise _refusal(value)
    return value


def _refusal(value: Any) -> Exception:
    from comfywatchman.domain.errors import WatchmanError

    told = value.get("error", {}) if isinstance(value, dict) else {}

    class Refused(WatchmanError):
        """What the daemon answered, with its own code."""

        code = str(told.get("code", "internal-error"))

    return Refused(str(told.get("cause", "It refused.")), remedy=str(told.get("remedy", "")))
