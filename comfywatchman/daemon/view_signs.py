"""What the service manager is shown: which threads must live, and one line of status."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from comfywatchman.daemon.timers import CLOCK_THREAD
from comfywatchman.server.listening import HTTP_THREAD
from comfywatchman.state import choices, jobs, workflows

if TYPE_CHECKING:
    from comfywatchman.daemon.pulse import Signs
    from comfywatchman.daemon.serving import Running
    from comfywatchman.daemon.window import View

MAIN = "MainThread"
SCHEDULER, KEEPER = "APScheduler", "keeper_0"
"""As their libraries call them. The observer is not here: the sweep thread, which the scheduler
wakes every ten seconds, begins anew whatever of it has ended, and a file of our own tells whether
it still hears."""


def signs(view: View) -> Signs:
    """Return every thread that has to live now; those that are being stopped need not."""
    running = view.running
    names = [MAIN, HTTP_THREAD] if view.serves else [MAIN]
    if running is None or view.stopping.is_set():
        return dict.fromkeys(names, (True, 0.0))
    names += [KEEPER, SCHEDULER, CLOCK_THREAD] if running.timers is not None else [KEEPER]
    return {**dict.fromkeys(names, (True, 0.0)), **running.alive()}


def described(view: View) -> str:
    """Say in one line what is being done."""
    running = view.running
    if view.stopping.is_set():
        return "stopping"
    if running is None:
        return view.obstacle.cause if view.obstacle is not None else "starting"
    if not running.sweeps.first_done.is_set():
        return f"first sweep; {_counted(running)}"
    return _counted(running)


def _counted(running: Running) -> str:
    with running.engine.reader.connect() as connection:
        files = Counter(workflows.counts(connection))
        work = Counter(jobs.counts(connection))
        asked = len(choices.open_choices(connection))
    said = [f"{files.total()} workflows", f"{files['ready']} ready"]
    for count, what in (
        (work["fetch", jobs.RUNNING], "downloading"),
        (work["fetch", jobs.WAITING], "to download"),
        (asked, "to be chosen by you (comfywatchman status)"),
    ):
        if count:
            said.append(f"{count} {what}")
    return ", ".join(said)
