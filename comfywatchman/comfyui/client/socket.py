"""The web socket of a server, read by a thread of its own, made anew when it dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from comfywatchman.comfyui.client.messages import News, read_news

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

LARGEST_FRAME = 64 << 20
"""A picture of a node that sends its results this way; a larger one ends the connection."""
_WAITING_FRAMES = 2
"""So many frames are held before the server has to wait: memory stays bounded."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


class Ear(threading.Thread):
    """Hears what a server says to one client id, until it is closed."""

    def __init__(
        self, base_url: str, client_id: str, timeout: float, hear: Callable[[News | None], None]
    ) -> None:
        """Prepare; *hear* gets each message, and ``None`` when the connection comes or goes."""
        super().__init__(name="comfyui-ear", daemon=True)
        scheme, _, rest = base_url.partition("://")
        scheme = "wss" if scheme == "https" else "ws"
        self._url = f"{scheme}://{rest}/ws?clientId={quote(client_id)}"
        self._timeout = timeout
        self._hear = hear
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._connection: ClientConnection | None = None
        self.connected = threading.Event()
        self.frames = 0
        """Of all kinds, pictures as well."""

    def close(self) -> None:
        """End it; a connection that is open is closed."""
        with self._lock:
            self._over.set()
            connection = self._connection
        if connection is not None:
            connection.close()

    def run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._over.is_set():
            heard = self.frames
            self._listen()
            self.connected.clear()
            self._tell(None)
            pause = _FIRST_PAUSE if self.frames > heard else min(pause * 2, _LONGEST_PAUSE)
            self._over.wait(pause)

    def _listen(self) -> None:
        """Listen to one connection until it ends, whoever ends it."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        try:
            with connect(
                self._url,
                proxy=None,
                compression=None,
                user_agent_header="comfywatchman",
                open_timeout=self._timeout,
                close_timeout=1.0,
                ping_timeout=max(60.0, self._timeout),  # loading a model stops a server for long
                max_size=LARGEST_FRAME,
                max_queue=_WAITING_FRAMES,
            ) as connection:
                with self._lock:
                    if self._over.is_set():
                        return
                    self._connection = connection
                self.connected.set()
                self._tell(None)
                for frame in connection:
                    self.frames += 1
                    news = read_news(frame)
                    if news is not None:
                        self._tell(news)
        except (OSError, WebSocketException, ValueError, EOFError):
            return  # gone, refused, or no web socket: /history tells the rest
        finally:
            self._connection = None

    def _tell(self, news: News | None) -> None:
        self._hear(news)
