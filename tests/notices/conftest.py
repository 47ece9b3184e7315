from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from comfywatchman.config.notify import Notify, Webhook
from comfywatchman.daemon.notices.chat import Chat
from comfywatchman.daemon.notices.courier import Courier
from comfywatchman.daemon.notices.noting import Noting
from comfywatchman.daemon.notices.posting import Poster
from comfywatchman.daemon.notices.targets import targets_of
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.secrets import Secret
from comfywatchman.net.manners import Breaking, Manners
from comfywatchman.net.policy import NetPolicy
from comfywatchman.report.redaction import Redaction
from comfywatchman.state import store
from comfywatchman.state.keeper import Keeper, Reader


@dataclass
class Heard:
    """What the log and the metrics are told."""

    delivered: list[str] = field(default_factory=list)
    troubles: list[tuple[str, Trouble, float | None]] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)

    def webhook_delivered(self, host: str, about: str, duration_seconds: float) -> None:
        self.delivered.append(about)

    def webhook_failed(
        self, host: str, about: str, trouble: Trouble, retry_in_seconds: float | None
    ) -> None:
        self.troubles.append((host, trouble, retry_in_seconds))


@dataclass
class Telling:
    keeper: Keeper
    reader: Reader
    noting: Noting
    courier: Courier
    heard: Heard


class Office:
    """Makes who tells, for the settings of a test; the state stays the same."""

    def __init__(self, base: Path, stack: ExitStack) -> None:
        self._base = base
        self._stack = stack
        self.keeper = store.open_keeper(base / "state")
        stack.callback(self.keeper.close)
        reader = store.open_reader(base / "state")
        assert reader is not None
        self.reader = reader
        stack.callback(reader.close)

    def telling(
        self,
        *hooks: Webhook,
        urls: tuple[str, ...] = (),
        named: tuple[str, ...] = (),
        hours: float = 1,
    ) -> Telling:
        notify = Notify(webhooks=hooks, urls=tuple(map(Secret, urls)))
        targets = targets_of(notify)
        heard = Heard()
        manners = Manners({}, breaking=Breaking(after=1000), longest_sleep=0.0)
        policy = NetPolicy(allowed_hosts=("*",), insecure_hosts=named, manners=manners)
        poster = Poster(policy)
        self._stack.callback(poster.close)
        courier = Courier(
            self.keeper,
            self.reader,
            targets,
            poster,
            Chat(named, {}),
            threading.Event(),
            hours * 3600,
            heard,
            heard.counted.append,
            first_wait=0.01,
        )
        noting = Noting(self.keeper, targets, "1.0", Redaction(), courier.ring, host="box")
        return Telling(self.keeper, self.reader, noting, courier, heard)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with ExitStack() as stack:
        yield Office(tmp_path, stack)
