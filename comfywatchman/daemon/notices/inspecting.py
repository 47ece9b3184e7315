"""What the command `notify` looks at and does; no daemon is needed for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.notices.chat import Chat
from comfywatchman.daemon.notices.envelope import body_of
from comfywatchman.daemon.notices.posting import Poster
from comfywatchman.daemon.notices.targets import Target, secrets_of, targets_of
from comfywatchman.daemon.notices.telling import insecure_hosts, policy_of
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.notices import Change
from comfywatchman.report.redaction import Redaction
from comfywatchman.state import deliveries, store

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.state.keeper import Connection


@dataclass(frozen=True, slots=True)
class Receiver:
    kind: str
    name: str
    events: tuple[str, ...]
    """Patterns; none means all."""
    signed: bool
    waiting: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class NoticeNow:
    id: int
    delivery: str
    event: str
    receiver: str
    state: str
    attempts: int
    created_at: float
    error: Trouble | None


@dataclass(frozen=True, slots=True)
class NoticesNow:
    receivers: tuple[Receiver, ...]
    notices: tuple[NoticeNow, ...]
    """Those that were given up, then those that wait; newest first."""
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class Tested:
    receiver: str
    error: Trouble | None


def notices_now(settings: Settings) -> NoticesNow:
    """Return who is told, and what is on its way."""
    targets = targets_of(settings.notify)
    rows, each = _read(settings.state.directory)
    names = {target.key: target.name for target in targets}
    return NoticesNow(
        tuple(_receiver(target, each) for target in targets),
        tuple(
            NoticeNow(
                row.id,
                row.delivery,
                row.event,
                names.get(row.target, "not in the settings"),
                row.state,
                row.attempts,
                row.created_at,
                row.trouble,
            )
            for row in rows
        ),
        sum(count for (_, state), count in each.items() if state == deliveries.WAITING),
        sum(count for (_, state), count in each.items() if state == deliveries.DEAD),
    )


def _receiver(target: Target, each: Mapping[tuple[str, str], int]) -> Receiver:
    return Receiver(
        target.kind,
        target.name,
        target.events,
        target.secret_file is not None,
        each.get((target.key, deliveries.WAITING), 0),
        each.get((target.key, deliveries.DEAD), 0),
    )


def meant(settings: Settings, ids: Sequence[int] | None) -> int:
    """Return how many notices `retry` and `drop` would take."""
    rows, each = _read(settings.state.directory)
    if ids is None:
        return sum(count for (_, state), count in each.items() if state == deliveries.DEAD)
    return len({row.id for row in rows} & set(ids))


def retry(settings: Settings, ids: Sequence[int] | None) -> int:
    """Let notices be tried again, those of *ids* or all that were given up; return how many."""
    return _write(settings.state.directory, lambda c: deliveries.retry(c, ids, time.time()))


def drop(settings: Settings, ids: Sequence[int] | None) -> int:
    """Forget notices, those of *ids* or all that were given up; return how many."""
    return _write(settings.state.directory, lambda c: deliveries.drop(c, ids))


def try_out(settings: Settings, environ: Mapping[str, str]) -> list[Tested]:
    """Tell every receiver something at once, and return what came of it."""
    poster = Poster(policy_of(settings, environ, threading.Event()))
    chat = Chat(insecure_hosts(settings), environ)
    try:
        return [
            Tested(target.name, _try_out(settings, target, poster, chat))
            for target in targets_of(settings.notify)
        ]
    finally:
        poster.close()


def _try_out(settings: Settings, target: Target, poster: Poster, chat: Chat) -> Trouble | None:
    now, delivery = time.time(), deliveries.new_delivery()
    change = Change("notify.test", "notify", "test", data={"receiver": target.name})
    body = body_of(
        change,
        delivery=delivery,
        before=None,
        at=now,
        version=version("comfywatchman"),
        host=socket.gethostname(),
        redaction=Redaction(secrets_of(settings)),
    )
    row = deliveries.Delivery(
        0, delivery, target.key, change.event, body, deliveries.WAITING, 0, now, now, None
    )
    tried = poster.post(target, row) if target.kind == "webhook" else chat.tell(target, [row])
    return tried.trouble


def _read(
    directory: Path,
) -> tuple[list[deliveries.Delivery], dict[tuple[str, str], int]]:
    reader = store.open_reader(directory)
    if reader is None:
        return [], {}
    try:
        with reader.connect() as connection:
            return deliveries.listed(connection), deliveries.counts_of_each(connection)
    finally:
        reader.close()


def _write(directory: Path, change: Callable[[Connection], int]) -> int:
    """Change a few rows; a daemon that runs meanwhile finds them so at its next look.

    SQLite lets one process write at a time, and whoever comes second waits.
    """
    keeper = store.open_beside(directory)
    if keeper is None:
        return 0
    try:
        return keeper.write(change)
    finally:
        keeper.close()
