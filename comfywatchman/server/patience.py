"""Connections: how long we wait for a request, and how many we keep.

uvicorn by itself never closes a connection that sends half a request or none, so that a few
hundred of them use up whatever limit there is.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from comfywatchman.domain.errors import Trouble
from comfywatchman.server.answers import error_body
from comfywatchman.server.guard import JSON_POLICY, Tally

MOST_CONNECTIONS = 64
REQUEST_SECONDS = 5.0
"""From the first chance to send a request until its headers are complete."""
READING_SECONDS = 10.0
"""How long a client may leave an answer unread while we have more of it."""


class Crowd:
    """The open connections, oldest first. Lives on the server's thread."""

    def __init__(self, tally: Tally, most: int = MOST_CONNECTIONS) -> None:
        self._tally = tally
        self._most = most
        self._open: dict[PatientProtocol, None] = {}

    def admit(self, arriving: PatientProtocol) -> bool:
        """Take a connection in, at the cost of the oldest one that waits for a request."""
        if len(self._open) >= self._most:
            idle = next((held for held in self._open if held.waits_for_request), None)
            self._tally.count_rejection("flood")
            if idle is None:
                return False
            self.leave(idle)
            idle.transport.abort()
        self._open[arriving] = None
        return True

    def leave(self, leaving: PatientProtocol) -> None:
        self._open.pop(leaving, None)

    def too_slow(self) -> None:
        self._tally.count_rejection("slow")

    def malformed(self) -> None:
        self._tally.count_rejection("bad-request")


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to every wait for the other side."""

    def __init__(self, *, crowd: Crowd, request_seconds: float, **others: Any) -> None:
        super().__init__(**others)
        self._crowd = crowd
        self._request_seconds = request_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def waits_for_request(self) -> bool:
        """Whether the client has our attention and did not ask for anything (whole) yet."""
        return self.conn.their_state is h11.IDLE

    @property
    def _answering(self) -> bool:
        # None until the first request, whatever uvicorn's annotation says.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def connection_made(  # type: ignore[override]  # uvicorn narrows the transport, too
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        if not self._crowd.admit(self):
            transport.abort()
            return
        self._mind_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._mind_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The beginning of a next request may have come with the one that is answered now, or the
        # body of this one is not all here yet.
        begun, _ = self.conn.trailing_data
        more = begun or self.conn.their_state is h11.SEND_BODY
        if more and not self.transport.is_closing():
            self._mind_deadline()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(READING_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close; uvicorn would say it in plain text."""
        self._crowd.malformed()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        trouble = Trouble("bad-request", msg, "Send HTTP/1.1 with headers of at most 16 KB.")
        body = error_body(trouble)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", JSON_POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def shutdown(self) -> None:
        """Close at once where nothing is being answered; uvicorn calls it at the stop."""
        if self._answering:
            self.cycle.keep_alive = False
        else:
            self.transport.abort()

    def _mind_deadline(self) -> None:
        """Start the clock when a wait begins, and never anew for a byte that trickles in."""
        rest_of_body = self.conn.their_state is h11.SEND_BODY and not self._answering
        if not (self.waits_for_request or rest_of_body):
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self._request_seconds, self._too_late)

    def _too_late(self) -> None:
        self._deadline = None
        if not self._answering and not self.transport.is_closing():
            self._give_up()

    def _give_up(self) -> None:
        self._crowd.too_slow()
        self.transport.abort()
