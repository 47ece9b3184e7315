"""Transfers are slow while ComfyUI computes, and are not broken off."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.comfyui.queue import Server
from comfywatchman.config.settings import ComfyUI, Download, Settings
from comfywatchman.daemon.easing import LONGEST_SILENCE, Easing
from comfywatchman.daemon.parts import easing_for, shared_for
from comfywatchman.download.pace import Bandwidth
from tests.comfyui.serving_comfyui import SmallComfyUI
from tests.daemon.bench import LIMIT, MIB, wait_for
from tests.download.fetching import Brought, Fetching
from tests.shelf import Shelf

BUSY = b'{"queue_running": [[0, "p", {}, {}, []]], "queue_pending": []}'
IDLE = b'{"queue_running": [], "queue_pending": []}'
DATA = bytes(3 * MIB)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as shelf:
        yield shelf


def test_a_transfer_is_slow_while_comfyui_runs_a_prompt_and_goes_on_after(
    shelf: Shelf, tmp_path: Path
) -> None:
    bandwidth, stop, brought = Bandwidth(narrow=MIB / 60), threading.Event(), list[Brought]()
    fetching = Fetching.of(tmp_path / "part", shelf)
    fetching.bandwidth = bandwidth
    address = shelf.put("/m.bin", DATA)
    worker = threading.Thread(target=lambda: brought.append(fetching.fetch(address)))
    with SmallComfyUI(bodies={"/queue": BUSY}) as comfyui:
        easing = Easing(Server(comfyui.url).runs_prompt, bandwidth, stop, poll_seconds=0.01)
        easing.start()
        bandwidth.used.set()
        wait_for(lambda: bandwidth.is_narrow)
        asked = comfyui.asked("/queue")
        worker.start()
        wait_for(lambda: comfyui.asked("/queue") > asked + 1)  # by whoever waits for its turn
        assert brought == []
        comfyui.bodies["/queue"] = IDLE
        worker.join(LIMIT)
        stop.set()
        easing.end()
        easing.join(LIMIT)

    assert brought[0].measured.sha256 == hashlib.sha256(DATA).hexdigest()
    assert len(shelf.asked) == 1
    assert not easing.is_alive()


def test_a_comfyui_that_hangs_slows_transfers_for_a_minute_and_not_for_ever() -> None:
    now, stop, bandwidth = [0.0], threading.Event(), Bandwidth(narrow=1)
    easing = Easing(lambda: None, bandwidth, stop, poll_seconds=0.01, clock=lambda: now[0])
    easing.start()
    try:
        bandwidth.used.set()
        wait_for(lambda: bandwidth.is_narrow)
        now[0] = LONGEST_SILENCE + 1
        bandwidth.used.set()
        wait_for(lambda: not bandwidth.is_narrow)
    finally:
        stop.set()
        easing.end()
        easing.join(LIMIT)


@pytest.mark.parametrize(
    ("settings", "eases"),
    [
        (Settings(), True),
        (Settings(download=Download(yield_to_comfyui=False)), False),
        (Settings(comfyui=ComfyUI(url="")), False),
        (Settings(comfyui=ComfyUI(url="", more_urls=("http://127.0.0.1:8288",))), True),
    ],
)
def test_who_is_asked_follows_from_the_settings(settings: Settings, eases: bool) -> None:
    shared = shared_for(settings)

    assert (easing_for(settings, shared, threading.Event()) is not None) == eases
    assert shared.bandwidth is not None
    shared.bandwidth.shut(closed=True)
    assert shared.bandwidth.bytes_per_second == 8 * MIB
