"""Notes what changed for those who are to be told, with the event itself or not at all."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comfywatchman.daemon.notices.changes import AT_ONCE, STORED, change_of, over
from comfywatchman.daemon.notices.envelope import body_of
from comfywatchman.daemon.notices.targets import Target
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.messages import DaemonReady, Event, WorkflowAnalyzed
from comfywatchman.domain.notices import Change, fits
from comfywatchman.report.redaction import Redaction
from comfywatchman.state import deliveries

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection, Keeper

PROCESS = uuid.uuid4().hex[:12]
"""Tells this process from all others; their numbers come again, in containers at each start."""


@dataclass(slots=True)
class Noting:
    """Any thread may tell it something; what it stores belongs to the keeper's thread."""

    keeper: Keeper
    targets: Sequence[Target]
    version: str
    redaction: Redaction
    ring: Callable[[], None]
    """Wakes who delivers."""
    host: str = field(default_factory=socket.gethostname)

    def within(self, connection: Connection, events: Sequence[Event]) -> None:
        """Note what stored *events* change, in their transaction and before they are stored."""
        now = time.time()
        for event in events:
            if isinstance(event, STORED):
                self._note(connection, event, now)

    def observe(self, event: Event) -> None:
        """Note what an event that is not stored changes; one that is was noted before."""
        if not isinstance(event, AT_ONCE):
            if isinstance(event, STORED):
                self.ring()
            return
        try:
            self.keeper.write(lambda connection: self._at_once(connection, event))
        except (WatchmanError, RuntimeError):
            return  # a disk that refuses it is told by whoever needs it more; or all is closed
        self.ring()

    def tell(self, change: Change) -> None:
        """Note a change that no event tells of."""
        try:
            self.keeper.write(lambda c: self._changed(c, change, "", time.time()))
        except (WatchmanError, RuntimeError):
            return  # as above
        self.ring()

    def _at_once(self, connection: Connection, event: Event) -> None:
        if isinstance(event, DaemonReady):
            deliveries.forget_errors(connection)
        self._note(connection, event, time.time())

    def _note(self, connection: Connection, event: Event, now: float) -> None:
        for subject in over(event):
            deliveries.forget_told(connection, subject)
        change = change_of(event, PROCESS)
        if change is None:
            return
        before = None
        if isinstance(event, WorkflowAnalyzed):
            # From before anybody wanted to be told.
            before = deliveries.workflow_state(connection, event.analysis.path)
        self._changed(connection, change, before, now)

    def _changed(
        self, connection: Connection, change: Change, before: str | None, now: float
    ) -> None:
        before = deliveries.told_of(connection, change.subject) or before
        if change.state == before:
            return
        deliveries.note_told(connection, change.subject, change.state, now)
        if change.event:
            self.send(connection, change, before, now)

    def send(self, connection: Connection, change: Change, before: str | None, now: float) -> None:
        """Let *change* wait for everybody who wants to be told."""
        for target in self.targets:
            if not fits(change.event, target.events):
                continue
            delivery = deliveries.new_delivery()
            body = body_of(
                change,
                delivery=delivery,
                before=before,
                at=now,
                version=self.version,
                host=self.host,
                redaction=self.redaction,
            )
            deliveries.add(connection, delivery, target.key, change.event, body, now)
