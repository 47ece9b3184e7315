"""Whether a running ComfyUI server is at work."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from comfywatchman.domain.errors import WatchmanError
from comfywatchman.net.asking import Net
from comfywatchman.net.failures import is_absence
from comfywatchman.net.policy import NetPolicy
from comfywatchman.net.urls import origin_of

MOST_BYTES = 16 << 20
"""Each prompt in the queue brings its whole workflow along; a longer answer than this is no idle
server's."""


_OK = 200
_ITS_PROXY = 500
"""From here up the server, or what stands before it, failed to answer."""


class _Queue(msgspec.Struct):
    """The part of the answer to ``GET /queue`` that we read."""

    queue_running: list[msgspec.Raw]


_DECODER = msgspec.json.Decoder(_Queue)


@dataclass(frozen=True, slots=True)
class Server:
    """A ComfyUI server at *url*, which may run or not. Any thread may ask."""

    url: str

    def runs_prompt(self) -> bool | None:
        """Say whether it runs a prompt now; ``None`` where it is there and does not say.

        A server that loads a model may be too busy to answer, or have a proxy answer for it. Where
        nothing listens, or something that is no ComfyUI, no prompt runs. Asked over plain http and
        at home as well, and answered within seconds.
        """
        policy = NetPolicy(
            insecure_hosts=(origin_of(self.url).name,), connect_timeout=1.0, read_timeout=2.0
        )
        net = Net(policy)
        try:
            with net.ask("GET", f"{self.url.rstrip('/')}/queue") as reply:
                if reply.status >= _ITS_PROXY:
                    return None
                return reply.status == _OK and _runs(reply.read(MOST_BYTES))
        except WatchmanError as error:
            return False if is_absence(error) else None
        finally:
            net.close()


@dataclass(frozen=True, slots=True)
class Servers:
    """Several servers, any of which may run or not."""

    urls: tuple[str, ...]

    def runs_prompt(self) -> bool | None:
        """Say whether any of them runs a prompt; ``None`` where one is there and does not say."""
        silent = False
        for url in self.urls:
            said = Server(url).runs_prompt()
            if said:
                return True
            silent = silent or said is None
        return None if silent else False


def _runs(body: bytes) -> bool:
    if len(body) == MOST_BYTES:
        return True
    try:
        return bool(_DECODER.decode(body).queue_running)
    except msgspec.DecodeError:
        return False
