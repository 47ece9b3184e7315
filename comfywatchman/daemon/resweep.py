"""``inventory sweep``: looking again now, and saying what changed since somebody looked last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.claiming import gather, refuted
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.lock import Owner, owner_of, owning
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import RootOffline, StateLocked, Trouble, WatchmanError
from comfywatchman.domain.messages import (
    Event,
    ModelRemoved,
    WorkflowRemoved,
)
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.moving import moved, under_known_names
from comfywatchman.pipeline.sweeping import Tree, TreeNews, found_model, sweep_tree, trees
from comfywatchman.state import models, store, workflows

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

WAIT_SECONDS = 600.0
"""How long the daemon may take for a sweep."""
_LOOK_SECONDS = 0.2
_BATCH = 500


@dataclass(slots=True)
class Changes:
    """What differs from what was known, of one kind of file."""

    added: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)
    moved: list[tuple[Path, Path]] = field(default_factory=list)
    """Before and after."""
    removed: list[Path] = field(default_factory=list)
    files: int = 0
    """How many there are now."""

    def __len__(self) -> int:
        return len(self.added) + len(self.changed) + len(self.moved) + len(self.removed)


@dataclass(slots=True)
class Swept:
    """What a sweep came to."""

    models: Changes = field(default_factory=Changes)
    workflows: Changes = field(default_factory=Changes)
    offline: list[tuple[Path, Trouble]] = field(default_factory=list)
    """Roots that are not there: nothing below them counts as removed."""
    absent: list[tuple[Path, Trouble]] = field(default_factory=list)
    """Roots that are not there, and of which nobody knows that they ever were."""
    troubles: list[tuple[Path, Trouble]] = field(default_factory=list)
    odd: list[tuple[Path, Trouble]] = field(default_factory=list)
    """Links to nothing, pipes: what is no file, and keeps the sweep from nothing."""
    claims: list[tuple[Path, Trouble]] = field(default_factory=list)
    """Hash caches of other programs that cannot be read, and claims that a measure refuted."""
    seconds: float = 0.0
    by_daemon: bool = False

    @property
    def told(self) -> list[tuple[Path, Trouble]]:
        """Everything that is wrong with single files and directories."""
        return [*self.troubles, *self.odd]

    def take(self, news: TreeNews, reader: Reader) -> None:
        root = news.tree.root
        if news.offline is not None:
            if news.tree.kind == "models" and not reader.read(lambda c: models.below(c, root)):
                # Examples of extra_model_paths.yaml name a dozen that nobody has.
                if not news.tree.optional:
                    self.absent.append((root, news.offline))
            elif not news.tree.optional:
                self.offline.append((root, news.offline))
            return
        changes = self.models if news.tree.kind == "models" else self.workflows
        changes.files += news.files
        changes.added += [path for path, _ in news.found.added()]
        changes.changed += [path for path, _ in news.found.changed()]
        changes.moved += [(move.before, move.after) for move in news.found.moved]
        changes.removed += [path for path, _ in news.found.removed()]
        # What is missing because its drive is, is not gone.
        self.offline += [(held.place, held.trouble) for held in news.found.held]
        self.odd += news.odd
        for path, trouble in news.troubles:
            held = trouble.code != RootOffline.code or reader.read(
                lambda c, path=path: models.below(c, path)  # type: ignore[misc]  # asked at once
            )
            (self.troubles if held else self.odd).append((path, trouble))


def sweep_now(
    place: Place,
    ask_daemon: Callable[[], None],
    *,
    with_claims: bool = True,
    removed: bool = False,
) -> Swept:
    """Walk every tree, say what changed, and have it stored: by us, or by the daemon that runs.

    Args:
        place: of the installation.
        ask_daemon: asks the running daemon to sweep.
        with_claims: whether we read the hash caches of other programs, too; the daemon has a timer
            of its own for that.
        removed: whether what is missing was removed, also where its drive may not be there.

    Raises:
        StateLocked: a command owns the state just now.
        SourceUnavailable: the daemon does not answer.
    """
    try:
        with owning(place.state_directory, "inventory"):
            return _alone(place, with_claims=with_claims, removed=removed)
    except StateLocked as locked:
        owner = owner_of(place.state_directory)
        if owner is None or owner.role != "run" or owner.address is None:
            raise locked from None
        return _with_daemon(place, owner, ask_daemon, removed=removed)


def _alone(place: Place, *, with_claims: bool, removed: bool) -> Swept:
    started = time.monotonic()
    swept = Swept()
    with (
        closing(store.open_keeper(place.state_directory)) as keeper,
        closing(_reader(place)) as reader,
    ):
        desk = Desk(keeper, reader, ())
        for tree in _trees(place):
            news = sweep_tree(tree, reader, believe=removed)
            swept.take(news, reader)
            _store(desk, news, swept)
        if with_claims:
            swept.claims += gather(place, keeper, reader).unreadable
            swept.claims += refuted(keeper, reader)
    swept.seconds = time.monotonic() - started
    return swept


def _store(desk: Desk, news: TreeNews, swept: Swept) -> None:
    """Store what a walk found, some at a time."""
    batch: list[Event] = []
    for event in _events(news, desk.reader, swept):
        batch.append(event)
        if len(batch) >= _BATCH:
            desk.store(batch)
            batch = []
    desk.store(batch)
    if news.offline is None:
        _note_walk(desk, news)


def _note_walk(desk: Desk, news: TreeNews) -> None:
    again = tuple(news.found.renumbered())
    rows = models if news.tree.kind == "models" else workflows
    if again:
        desk.keeper.write(lambda c: rows.renumber(c, again))
    if news.tree.kind == "models":
        key = f"sweep.{news.tree.key}"
        desk.keeper.write(lambda c: workflows.note_timer(c, key, time.time()))


def _events(news: TreeNews, reader: Reader, swept: Swept) -> Iterator[Event]:
    if news.offline is not None:
        return
    if news.tree.kind == "workflows":
        # What is new stays new until a daemon or `fix` has read it: it is they who fetch.
        yield from (WorkflowRemoved(path) for path, _ in news.found.removed())
        return
    new = [*news.found.added(), *news.found.changed()]
    renamed = under_known_names(reader, new, look)
    yield from renamed
    for move in news.found.moved:
        yield moved(reader, move.after, move.before, move.now)
    came = {event.path for event in renamed}
    for path in (path for path, _ in new if path not in came):
        try:
            yield from found_model(path)
        except WatchmanError as error:
            swept.troubles.append((path, error.trouble()))
    yield from (ModelRemoved(path) for path, _ in news.found.removed())


def _with_daemon(
    place: Place, owner: Owner, ask_daemon: Callable[[], None], *, removed: bool
) -> Swept:
    """Compare by ourselves, which changes nothing, and have the daemon sweep and store."""
    started, asked_at = time.monotonic(), time.time()
    swept = Swept(by_daemon=True)
    with closing(_reader(place)) as reader:
        for tree in _trees(place):
            swept.take(sweep_tree(tree, reader, believe=removed), reader)
        ask_daemon()
        gone = {path for path, _ in (*swept.offline, *swept.absent)}
        awaited = [t.key for t in _trees(place) if t.root not in gone and t.root.is_dir()]
        _wait(reader, awaited, asked_at, place, owner)
    swept.seconds = time.monotonic() - started
    return swept


def _wait(reader: Reader, keys: Sequence[str], asked_at: float, place: Place, owner: Owner) -> None:
    """Wait until the daemon has walked every tree since it was asked."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        times = reader.read(workflows.timer_times)
        if all(times.get(f"sweep.{key}", 0.0) >= asked_at for key in keys):
            return
        now = owner_of(place.state_directory)
        if now is None or now.pid != owner.pid:
            return  # it ended; what we compared is still true
        time.sleep(_LOOK_SECONDS)


def _trees(place: Place) -> list[Tree]:
    """Return every tree, models first: a workflow that is read afterwards finds their rows."""
    return sorted(trees(place.workflow_dirs, place.layout.folders), key=lambda tree: tree.kind)


def _reader(place: Place) -> Reader:
    reader = store.open_reader(place.state_directory)
    if reader is None:
        raise StateLocked(
            f"The state in {place.state_directory} is of another version.",
            remedy="Restart the daemon: it brings its state up to date.",
        )
    return reader
