"""The HTTP server as the daemon starts and stops it."""

from __future__ import annotations

from collections.abc import Collection

from comfywatchman.domain.secrets import Secret
from comfywatchman.server.app import App
from comfywatchman.server.feed import Feed
from comfywatchman.server.guard import Guard, Rules, Tally
from comfywatchman.server.handlers import Handlers
from comfywatchman.server.listening import Listener
from comfywatchman.server.patience import REQUEST_SECONDS
from comfywatchman.server.window import Commands, Window


class HttpServer:
    """API, live page, metrics and health, in one thread beside the daemon's own."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        window: Window,
        commands: Commands,
        token: Secret,
        feed: Feed,
        tally: Tally,
        version: str,
        opened: Collection[str] = (),
        names: Collection[str] = (),
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        """Take the parts; nothing is bound yet.

        *opened* are the paths, such as ``/metrics``, that need no token when *host* is not
        loopback. *names* are hosts that requests may come under besides addresses.
        *request_seconds* is how long a client may take to send the head of a request.
        """
        self._app = App(Handlers(window, commands), feed, version)
        rules = Rules(host, token, opened, frozenset(name.lower() for name in names))
        guarded = Guard(self._app.starlette(), rules, tally)
        self._listener = Listener(
            guarded,
            host=host,
            port=port,
            feed=feed,
            tally=tally,
            request_seconds=request_seconds,
        )

    def start(self) -> tuple[str, int]:
        """Answer from now on; return the address as bound.

        Raises:
            AddressInUse: the address is taken, or not ours to have.
        """
        return self._listener.start()

    def stop(self) -> None:
        """Stop answering, within a second; to be called once, and the last thing done with it."""
        self._listener.stop()
        self._app.close()
