"""The daemon, in a process whose threads can be hung up as soon as they come from their doors.

    python hanging.py run --config FILE

One line on standard input after another says what to do; each is answered with a line of JSON:

``threads``  every thread, those that the watchdog asks for, and which of these stand at a door
``hang ADDRESS NAME …``  these do not come back from what they do next; answered when all hang
``step SECONDS``  the clock was set
``go``  they go on
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar
from urllib.request import urlopen

from comfywatchman.daemon.nodes import Look
from comfywatchman.daemon.pulse import waits
from comfywatchman.daemon.scrubbing import Task
from comfywatchman.daemon.serving import Running
from comfywatchman.daemon.view_signs import signs
from comfywatchman.daemon.watching import Check
from comfywatchman.daemon.window import View

T = TypeVar("T")

LIMIT = 30.0
hung: set[int] = set()
going = threading.Event()


def hang(_frame: FrameType, _event: str, _arg: object) -> None:
    """Called by the interpreter in every thread, with each call and each return."""
    if hung and threading.get_ident() in hung:
        going.wait()


def when(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError


def view_of_the_daemon() -> View | None:
    """Return it once the main thread has nothing to do but wait: by its frames, from outside."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code.co_qualname != "_Daemon._stay":
        frame = frame.f_back
    return None if frame is None else frame.f_locals["self"]._view


def named() -> dict[str, threading.Thread]:
    return {each.name: each for each in threading.enumerate()}


def stands_at_a_door(name: str) -> bool:
    thread = named().get(name)
    return thread is not None and waits(sys._current_frames().get(thread.ident or 0))


def is_hung(name: str) -> bool:
    frame = sys._current_frames().get(named()[name].ident or 0)
    while frame is not None and frame.f_code is not hang.__code__:
        frame = frame.f_back
    return frame is not None


def threads(view: View) -> dict[str, object]:
    asked = sorted(signs(view))
    with suppress(TimeoutError):
        when(lambda: all(map(stands_at_a_door, asked)))
    return {
        "all": sorted(named()),
        "asked": asked,
        "elsewhere": [name for name in asked if not stands_at_a_door(name)],
    }


def stir(running: Running, address: str) -> None:
    """Give every thread something to do."""
    for kind in running.engine.desk.bells:
        running.engine.desk.ring(kind)
    running.requests.put(Check())
    running.nodes.inbox.put(Look())
    running.engine.keeper.rest()
    running.sweeps._on_first_done()
    if running.scrubbing is not None:
        running.scrubbing.put(Task.CLAIMS)
    if running.telling is not None:
        running.telling.courier.ring()
    if running.timers is not None:
        running.timers._scheduler.wakeup()
    for directory in running.place.workflow_dirs:
        (directory / "stir.json").write_text('{"nodes": [], "links": []}')
    with suppress(OSError):
        urlopen(f"http://{address}/healthz", timeout=0.1)


def hang_up(running: Running, names: Collection[str], address: str) -> None:
    going.clear()
    os.kill(os.getpid(), signal.SIGUSR1)
    hung.update(named()[name].ident or 0 for name in names)
    stir(running, address)
    when(lambda: all(map(is_hung, names)))


def obey() -> None:
    view: Any = when(view_of_the_daemon)
    for line in sys.stdin:
        order, *words = line.split()
        answer: object = None
        if order == "threads":
            answer = threads(view)
        elif order == "hang":
            address, *names = words
            hang_up(view.running, names, address)
        elif order == "step":
            view.running.timers._on_step(float(words[0]))
        else:
            hung.clear()
            going.set()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    threading.Thread(target=obey, name="obey", daemon=True).start()
    threading.setprofile(hang)
    # The main thread is told by a signal: imports take twice as long under a profile.
    signal.signal(signal.SIGUSR1, lambda *_: sys.setprofile(hang))
    runpy.run_module("comfywatchman", run_name="__main__", alter_sys=True)
