"""``fix``: the daemon's own workers, for some workflows, once."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.contents import went
from comfywatchman.daemon.engine import Engine
from comfywatchman.daemon.installation import Place, locate
from comfywatchman.daemon.knowing import look_at_packs
from comfywatchman.daemon.lock import owning
from comfywatchman.daemon.others import NOBODY, Others
from comfywatchman.daemon.survey import STDIN, each_workflow, unreadable
from comfywatchman.daemon.tally import NoTally
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import (
    FileUnreadable,
    Interrupted,
    StateUnusable,
    Trouble,
    WatchmanError,
)
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import Event, ModelRemoved, WorkflowRemoved
from comfywatchman.domain.references import Analysis, ReferenceState, WorkflowContent
from comfywatchman.pipeline.moving import moved, under_known_names
from comfywatchman.pipeline.sweeping import Tree, TreeNews, found_model, models_of, sweep_tree
from comfywatchman.pipeline.views import with_answers
from comfywatchman.report.audit import AuditLog
from comfywatchman.state import jobs, models, store, workflows
from comfywatchman.state.coding import natural_key

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.state.keeper import Connection, Reader

_LOOK_SECONDS = 0.2
_LONGEST_PAUSE = 2.0
_LONG_SECONDS = 120.0
"""A source that wants to be left alone for longer is not waited for."""
_ARRIVING_SECONDS = 20.0
"""A file that has not grown for so long is not waited for."""
_OPEN = (jobs.WAITING, jobs.RUNNING)
_LACKING = frozenset({"missing", "ambiguous", "elsewhere", "arriving"})


def fix_once(
    settings: Settings,
    paths: Sequence[str],
    observe: Callable[[Event], None],
    others: Others = NOBODY,
) -> list[Analysis]:
    """Analyze *paths*, fetch what they lack, and return how they stand then.

    Ctrl-C leaves what was fetched so far where the next call or the daemon goes on with it.

    Raises:
        StateLocked: a daemon owns the state; it does this work for what is dropped.
    """
    place = locate(settings, os.environ)
    with ExitStack() as stack:
        stack.enter_context(owning(place.state_directory, "fix"))
        unread: list[Analysis] = []
        files = each_workflow(paths, lambda path, why: unread.append(unreadable(path, why)))
        asked = [_on_disk(path, stack) for path in files]
        changed = threading.Event()
        audit = AuditLog(place.state_directory)
        readers = [observe, audit.observe, lambda _event: changed.set()]
        engine = Engine.build(
            settings,
            place,
            readers,
            os.environ,
            NoTally(),
            download=True,
            lasting=False,
            others=others,
        )
        stack.callback(engine.stop)
        # A person wants it now: what was not there before may be there by now.
        engine.answers.forget(found=False)
        take_stock(engine, place)
        # Who asks for this has said yes: `download.auto` is about what nobody asked for.
        engine.desk.submit([AnalyzeWorkflow(path) for path, _ in asked], urgent=True)
        # What came by standard input is no workflow that anybody will find there again.
        held = [WorkflowRemoved(path) for path, shown in asked if shown == STDIN]
        stack.callback(engine.desk.store, held)
        engine.start()
        waits = _Arrivals(engine, place, [path for path, _ in asked])
        began = time.monotonic()
        while not _done(engine.reader, waits.paths) or waits.looked_again():
            # With thousands of models a look costs something, and each event asks for one.
            time.sleep(min(_LONGEST_PAUSE, 4 * (time.monotonic() - began)))
            changed.wait(_LOOK_SECONDS)
            changed.clear()
            began = time.monotonic()
        found = [_standing(engine.reader, path, shown) for path, shown in asked]
        if any(not use.core for analysis in found for use in analysis.content.node_types):
            look_at_packs(settings, place, engine.keeper, engine.reader)
        _forget_gone(engine, place)
        return found + unread


@dataclass(slots=True)
class _Arrivals:
    """Models that somebody else brings, another daemon perhaps: nobody tells us of their end."""

    engine: Engine
    place: Place
    paths: Sequence[Path]
    _seen: frozenset[tuple[Path, int]] = frozenset()
    _since: float = field(default_factory=time.monotonic)

    def looked_again(self) -> bool:
        """Look again at what is arriving; false where nothing is, or has not grown for long."""
        arriving = frozenset(self._arriving())
        now = time.monotonic()
        if not arriving:
            return False
        if arriving != self._seen:
            self._seen, self._since = arriving, now
        elif now - self._since > _ARRIVING_SECONDS:
            return False
        time.sleep(_LOOK_SECONDS)
        take_stock(self.engine, self.place)
        self.engine.desk.submit([AnalyzeWorkflow(path, Cause.ARRIVED) for path in self.paths])
        return True

    def _arriving(self) -> Iterator[tuple[Path, int]]:
        with self.engine.reader.connect() as connection:
            for path in self.paths:
                analysis = workflows.one(connection, path)
                for finding in analysis.findings if analysis else ():
                    if finding.state is ReferenceState.ARRIVING and finding.path is not None:
                        yield finding.path, finding.size or 0


def _forget_gone(engine: Engine, place: Place) -> None:
    """Forget workflows outside the watched directories that went: no sweep notices it there.

    The others are kept: what they ask for is in use.
    """
    known = engine.reader.read(workflows.paths)
    outside = (path for path in known if not _is_inside(path, place.workflow_dirs))
    engine.desk.store([WorkflowRemoved(path) for path in outside if went(path)])


def _is_inside(path: Path, directories: Sequence[Path]) -> bool:
    return any(directory in path.parents for directory in directories)


def follow(settings: Settings, paths: Sequence[Path], pid: int) -> list[Analysis]:
    """Wait until the daemon *pid*, which owns the state, has nothing left to do for *paths* now.

    What a source does not give for some time it tries again later by itself; that is not waited
    for, and is what the findings tell.

    Raises:
        StateUnusable: its database cannot be read.
        Interrupted: the daemon ended before.
    """
    reader = store.open_reader(settings.state.directory)
    if reader is None:
        raise StateUnusable(
            f"The state in {settings.state.directory} cannot be read.",
            remedy="Stop the daemon and run the command again.",
        )
    try:
        retries = settings.download.max_retries
        while not _done(reader, paths, lambda row: _put_off(row, retries)):
            if not _lives(pid):
                raise Interrupted(
                    f"The daemon (process {pid}) ended before it was done.",
                    remedy="Run the command again.",
                )
            time.sleep(_LOOK_SECONDS)
        return [_standing(reader, path, path) for path in paths]
    finally:
        reader.close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's, and there
        return True
    return True


def _on_disk(path: Path, stack: ExitStack) -> tuple[Path, Path]:
    """Return where to read *path* and how to show it; standard input is kept in a file."""
    if path != STDIN:
        return path, path
    held = tempfile.NamedTemporaryFile(prefix="comfywatchman-")  # noqa: SIM115 - the stack closes it
    file = stack.enter_context(held)
    file.write(sys.stdin.buffer.read())
    file.flush()
    return Path(file.name), path


def take_stock(engine: Engine, place: Place) -> None:
    """Bring the rows of the inventory up to date with the disk."""
    folders = place.layout.folders
    for number, root in enumerate(folders.roots()):
        tree = Tree("models", f"model_roots.{number}", root, models_of(folders))
        news = sweep_tree(tree, engine.reader)
        engine.reach.offline = {**engine.reach.offline, **_offline(news)}
        again = tuple(news.found.renumbered())
        engine.keeper.write(lambda c, again=again: models.renumber(c, again))  # type: ignore[misc]  # bound at once
        events: list[Event] = [
            moved(engine.reader, move.after, move.before, move.now) for move in news.found.moved
        ]
        new = [*news.found.added(), *news.found.changed()]
        renamed = under_known_names(engine.reader, new, look)
        events += renamed
        came = {event.path for event in renamed}
        for path in (path for path, _ in new if path not in came):
            try:
                events += found_model(path)
            except (WatchmanError, OSError):
                continue
        events += [ModelRemoved(path) for path, _ in news.found.removed()]
        engine.desk.store(events)


def _offline(news: TreeNews) -> dict[Path, Trouble]:
    """Return the directories that are not there, or are not what they were.

    Who fixes a workflow wants its models now: in a folder that was emptied they may be put.
    """
    if news.offline is not None:
        return {news.tree.root: news.offline}
    emptied = news.emptied()
    return {place: why for place, why in news.out_of_reach().items() if place not in emptied}


def _put_off(row: jobs.JobRow, retries: int) -> bool:
    """Whether a job waits for better times: it failed as often as a command would try it."""
    if row.state != jobs.WAITING or row.trouble is None:
        return False
    return row.attempts > retries or row.not_before > time.time() + _LONG_SECONDS


def _never(_row: jobs.JobRow) -> bool:
    return False


def _done(
    reader: Reader, paths: Sequence[Path], put_off: Callable[[jobs.JobRow], bool] = _never
) -> bool:
    with reader.connect() as connection:
        return not any(_open(connection, path, put_off) for path in paths)


def _open(connection: Connection, path: Path, put_off: Callable[[jobs.JobRow], bool]) -> bool:
    """Whether something is still to be done for the workflow, but for what is *put_off*.

    Each look sees what was stored by then, so the analysis is looked at before and after: a
    transfer that ended in between has asked for another.
    """
    before = jobs.by_key(connection, "analyze", str(path))
    if before is not None and before.state in _OPEN:
        return True
    wants = workflows.wants_of(connection, path)
    lacking = {
        natural_key(f"{folder}/{name}")
        for (folder, name), state in wants.items()
        if state in _LACKING
    }
    for kind in ("resolve", "fetch"):
        for key in jobs.open_keys(connection, kind) & lacking:
            row = jobs.by_key(connection, kind, key) if put_off is not _never else None
            if row is None or (row.state in _OPEN and not put_off(row)):
                return True
    return jobs.by_key(connection, "analyze", str(path)) != before


def _standing(reader: Reader, path: Path, shown: Path) -> Analysis:
    with reader.connect() as connection:
        analysis = workflows.one(connection, path)
        if analysis is not None:
            return replace(with_answers(connection, analysis), path=shown)
        row = jobs.by_key(connection, "analyze", str(path))
        trouble = row.trouble if row is not None else None
        if trouble is None and not path.exists():
            trouble = FileUnreadable(
                f"{path} is not there.", remedy="Check the path; nothing was done."
            ).trouble()
    return Analysis(shown, "", WorkflowContent("unknown", "none", trouble=trouble))
