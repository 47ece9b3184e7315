"""The sweep thread's part over real directories, driven by the test instead of a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from comfywatchman.daemon.sweeps import Sweeps
from comfywatchman.daemon.tally import NoTally
from comfywatchman.daemon.watching import TIMER, Check, Stop, SweepRequest
from comfywatchman.disk.answering import Answering
from comfywatchman.domain.files import Folders
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.sweeping import Tree, is_workflow_file, models_of
from comfywatchman.watch.notice import Noticed
from comfywatchman.watch.watcher import Watcher
from tests.pipeline.office import Office

WHOLE = SweepRequest(TIMER)


@dataclass
class Room:
    sweeps: Sweeps
    office: Office
    inbox: SimpleQueue[SweepRequest | Check | Stop]
    notices: SimpleQueue[Noticed | Stop]
    workflows: Path
    models: Path

    def do(self, *requests: SweepRequest | Check) -> list[object]:
        """Have the thread do what waits in its inbox, and return what it tells."""
        before = len(self.office.told)
        for request in requests:
            self.inbox.put(request)
        for one in self.sweeps._with_waiting(self.inbox.get()) or []:
            self.sweeps._carry_out(one)
        return self.office.told[before:]

    def look(self) -> None:
        """Have it look into all that was only noted."""
        while self.sweeps.looking.busy:
            self.sweeps.looking.step()

    def noticed(self) -> list[Noticed | Stop]:
        found = []
        while not self.notices.empty():
            found.append(self.notices.get_nowait())
        return found


def room_of(
    office: Office,
    folders: Folders,
    workflows: Path,
    *,
    more: Sequence[Path] = (),
    watcher: Watcher | None = None,
    patience: float = 5.0,
) -> Room:
    """Return a room for *workflows*, ComfyUI's models, and *more* directories of models."""
    workflows.mkdir(exist_ok=True)
    trees = [
        Tree("workflows", "workflow_dirs.0", workflows, is_workflow_file),
        Tree("models", "models", folders.models_root, models_of(folders)),
        *(Tree("models", f"model_roots.{n}", p, models_of(folders)) for n, p in enumerate(more)),
    ]
    inbox: SimpleQueue[SweepRequest | Check | Stop] = SimpleQueue()
    notices: SimpleQueue[Noticed | Stop] = SimpleQueue()
    sweeps = Sweeps.build(
        inbox=inbox,
        notices=notices,
        desk=office.desk,
        reader=office.reader,
        trees=trees,
        watcher=watcher,
        folders=folders,
        settle_seconds=2.0,
        tally=NoTally(),
        reach=Reach(Answering(patience)),
    )
    return Room(sweeps, office, inbox, notices, workflows, folders.models_root)
