"""Several models at once: fetched, verified, placed, or told why not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import msgspec

from comfywatchman.daemon.engine import Engine
from comfywatchman.daemon.lock import owning
from comfywatchman.daemon.once import take_stock
from comfywatchman.daemon.others import NOBODY, Others
from comfywatchman.daemon.tally import NoTally
from comfywatchman.domain.errors import NothingFound, Trouble
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.messages import Event, ReferenceResolved
from comfywatchman.report.audit import AuditLog
from comfywatchman.state import choices, jobs

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place

_LOOK_SECONDS = 0.2
_OPEN = (jobs.WAITING, jobs.RUNNING)


def bring(
    settings: Settings,
    place: Place,
    wanted: Sequence[FetchModel],
    observe: Callable[[Event], None],
    *,
    role: str,
    stock: bool = True,
    others: Others = NOBODY,
) -> Mapping[str, Trouble | None]:
    """Fetch what *wanted* says; return why each failed, or ``None``, by the key of its job.

    Ctrl-C leaves what was fetched so far where the next call goes on with it.

    Args:
        settings: in force; that a person asked is enough, whatever ``download.auto`` says.
        place: where everything lies.
        wanted: each model once; of several with one key the first counts.
        observe: is told of events, on the thread that calls; what it raises ends the work.
        role: who owns the state meanwhile.
        stock: whether files that are here already may be used.
        others: backends and handlers that a program brought.

    Raises:
        StateLocked: a daemon or another command owns the state.
    """
    each = {job.key: job for job in reversed(wanted)}
    with _at_work(settings, place, role, others) as (engine, news):
        if stock:
            take_stock(engine, place)
        engine.desk.submit(list(reversed(each.values())), urgent=True)
        rows = _ended(engine, each, news, observe)
    # What a worker stores it tells a moment later: by now all of them have stopped.
    _hand_on(news, observe, wait=False)
    return {key: _why(row) for key, row in rows.items()}


def bring_chosen(
    settings: Settings,
    place: Place,
    asked: tuple[str, str],
    candidate: int,
    observe: Callable[[Event], None],
) -> Trouble | None:
    """Answer a question that an earlier command was left with, and fetch what is chosen.

    Args:
        settings: in force.
        place: where everything lies.
        asked: folder and name of the question.
        candidate: counted from 0.
        observe: as for `bring`.

    Raises:
        NothingFound: there is no such question, or no such candidate.
        StateLocked: a daemon or another command owns the state.
    """
    folder, name = asked
    with _at_work(settings, place, "choose", NOBODY) as (engine, news):
        choice = engine.reader.read(lambda c: choices.choice(c, folder, name))
        if choice is None or not 0 <= candidate < len(choice.candidates):
            raise NothingFound(
                f"There is no question about {folder}/{name} with a candidate {candidate + 1}.",
                remedy="`comfywatchman fix` and `comfywatchman status` show those there are.",
            )
        chosen = choice.candidates[candidate]
        job = FetchModel(choice.folder, choice.name, (chosen,), chosen=True)
        engine.desk.store([ReferenceResolved(job.folder, job.name, job.sources, chosen=True)])
        engine.desk.submit([job], urgent=True)
        rows = _ended(engine, {job.key: job}, news, observe)
    _hand_on(news, observe, wait=False)
    return _why(rows[job.key])


def willing(settings: Settings) -> Settings:
    """Return settings under which a person's own word is enough: ``auto`` is about the rest."""
    if settings.download.auto not in {"ask", "off"}:
        return settings
    download = msgspec.structs.replace(settings.download, auto="exact")
    return msgspec.structs.replace(settings, download=download)


@contextmanager
def _at_work(
    settings: Settings, place: Place, role: str, others: Others
) -> Iterator[tuple[Engine, SimpleQueue[Event]]]:
    """Own the state, and have workers that wait to be started; they stop in the end."""
    news: SimpleQueue[Event] = SimpleQueue()
    with ExitStack() as stack:
        stack.enter_context(owning(place.state_directory, role))
        readers: list[Callable[[Event], None]] = [
            AuditLog(settings.state.directory).observe,  # also of what goes elsewhere
            news.put,
        ]
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
        yield engine, news


def _ended(
    engine: Engine,
    wanted: Mapping[str, FetchModel],
    news: SimpleQueue[Event],
    observe: Callable[[Event], None],
) -> dict[str, jobs.JobRow | None]:
    """Start the workers, and wait until nothing of what is *wanted* is open."""
    engine.start()
    rows = _rows(engine, wanted)
    while any(row is not None and row.state in _OPEN for row in rows.values()):
        _hand_on(news, observe)
        rows = _rows(engine, wanted)
    return rows


def _why(row: jobs.JobRow | None) -> Trouble | None:
    return None if row is None or row.state == jobs.DONE else row.trouble


def _rows(engine: Engine, wanted: Mapping[str, FetchModel]) -> dict[str, jobs.JobRow | None]:
    with engine.reader.connect() as connection:
        return {key: jobs.by_key(connection, FetchModel.kind, key) for key in wanted}


def _hand_on(
    news: SimpleQueue[Event], observe: Callable[[Event], None], *, wait: bool = True
) -> None:
    """Hand on what happened; wait a moment where nothing did."""
    try:
        observe(news.get(timeout=_LOOK_SECONDS) if wait else news.get_nowait())
        while True:
            observe(news.get_nowait())
    except Empty:
        return
