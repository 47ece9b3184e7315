"""Runs every check by itself: none holds up another, and none outlives its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from comfywatchman.daemon.doctor.finding import Check, Finding, Subject, fail, skip
from comfywatchman.daemon.doctor.finding import troubled as of_trouble
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.report.redaction import Redaction

T = TypeVar("T")


def examine(subject: Subject, checks: Sequence[Check]) -> Iterator[Finding]:
    """Yield what each check finds, in their order; all of them run at once.

    No secret and no name of a home directory is in it.
    """
    began = time.monotonic()
    running = [(check, _started(subject, check)) for check in checks]
    clean = _Cleaning(subject)
    for check, answer in running:
        left = check.seconds - (time.monotonic() - began)
        try:
            found = answer.get(timeout=max(0.01, left))
        except Empty:
            found = [_late(check)]
        for each in found:
            yield clean.finding(each)


def _started(subject: Subject, check: Check) -> SimpleQueue[list[Finding]]:
    answer: SimpleQueue[list[Finding]] = SimpleQueue()
    # One that hangs on a dead share cannot be ended; it must not hold the command.
    run = threading.Thread(
        target=lambda: answer.put(_carried_out(subject, check)), name=check.about, daemon=True
    )
    run.start()
    return answer


def _carried_out(subject: Subject, check: Check) -> list[Finding]:
    if check.needs and subject.loaded is None:
        return [skip(check.about, "The settings cannot be read.")]
    if check.needs == "comfyui" and subject.place is None:
        return [skip(check.about, "ComfyUI was not found.")]
    try:
        return list(check.look(subject))
    except WatchmanError as error:
        return [of_trouble(check.about, error.trouble())]
    except Exception as error:  # noqa: BLE001 - a check that fails must not hide the others
        return [
            fail(
                check.about,
                f"The check itself failed: {type(error).__name__}: {error}",
                "Please report it, with the output of `comfywatchman doctor --json`.",
            )
        ]


def _late(check: Check) -> Finding:
    return fail(
        check.about,
        f"There was no answer within {check.seconds:g} seconds.",
        "A disk, a share or a host does not answer: look at what this check is about.",
    )


def found_in_time(look: Callable[[], T], seconds: float) -> T | None:
    """Return what *look* finds; ``None`` where it takes longer, or what it needs is not there."""
    answer: SimpleQueue[T | None] = SimpleQueue()

    def run() -> None:
        found = None
        with suppress(WatchmanError):  # a check of its own says so
            found = look()
        answer.put(found)

    threading.Thread(target=run, name="looking", daemon=True).start()
    try:
        return answer.get(timeout=seconds)
    except Empty:
        return None


class _Cleaning:
    """Takes out what is nobody's business."""

    def __init__(self, subject: Subject) -> None:
        known: list[str] = []
        if subject.loaded is not None:
            hubs = subject.loaded.settings.hubs
            known = [t.reveal() for t in (hubs.civitai.token, hubs.huggingface.token) if t]
        self._redaction = Redaction(tuple(known))
        self._home = str(subject.home)

    def finding(self, found: Finding) -> Finding:
        facts = {key: self._value(value) for key, value in found.facts.items()}
        return replace(
            found,
            about=self._text(found.about),
            cause=self._text(found.cause),
            remedy=self._text(found.remedy),
            facts=facts,
        )

    def _value(self, value: object) -> object:
        if isinstance(value, (str, Path)):
            return self._text(str(value))
        if isinstance(value, (list, tuple)):
            return [self._value(each) for each in value]
        return value

    def _text(self, text: str) -> str:
        if len(self._home) > 1:
            text = text.replace(self._home + "/", "~/")
        return self._redaction.text(text.encode("utf-8", "backslashreplace").decode())
