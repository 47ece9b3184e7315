"""Walking a tree around what in it does not answer."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.answering import Silent
from comfywatchman.disk.scouts import mount_on_the_way

if TYPE_CHECKING:
    from comfywatchman.daemon.walks import Walked, Walks
    from comfywatchman.daemon.watching import SweepRequest
    from comfywatchman.disk.walk import Avoid
    from comfywatchman.pipeline.reach import Reach
    from comfywatchman.pipeline.sweeping import Tree

WALK_PATIENCE = 30.0
"""Seconds that a walk may stand still: a busy share needs some, and one that hangs never ends."""


@dataclass(slots=True)
class Around:
    """Has trees walked, each walk in a thread of its own; owned by the sweep thread.

    A share that hangs below a root is passed by: only what lies on it waits.
    """

    reach: Reach
    walks: Walks
    patience: float = WALK_PATIENCE
    _hung: set[bytes] = field(default_factory=set)
    """Mounts that were silent before, which are asked before they are gone to."""

    def walk(self, tree: Tree, request: SweepRequest) -> Walked:
        """Walk what *request* wants of *tree*, but for what does not answer.

        Raises:
            Silent: nothing of it answers; its file name is the directory of which that is so.
        """
        answering, about = self.reach.answering, str(tree.root)
        answering.ask(about, lambda _beat: os.path.lexists(tree.root))
        mute = self._mute(tree)
        self._refuse(request.below, mute)
        try:
            return self._asked(tree, request, mute)
        except Silent:
            more = answering.mute(again=True) - mute
            if not more:
                raise
        # The thread that hangs there is left behind; what it is about is not the tree.
        answering.blame(about, min(more))
        self._hung |= more
        self._refuse(request.below, mute | more)
        return self._asked(tree, request, mute | more)

    def _asked(self, tree: Tree, request: SweepRequest, mute: Collection[bytes]) -> Walked:
        avoid = _avoiding(mute) if mute else None
        return self.reach.answering.ask(
            str(tree.root),
            lambda beat: self.walks.walk(tree, request, beat, avoid),
            self.patience,
        )

    def _mute(self, tree: Tree) -> frozenset[bytes]:
        """Return the mounts in *tree*, as far as they are known, that do not answer."""
        answering = self.reach.answering
        below = {
            answering.mount_of(str(place))
            for place in self.reach.doubtful
            if tree.root in place.parents
        }
        asked = below | self._hung | answering.mute(again=False)
        mute = frozenset(
            mount for mount in asked if mount and not answering.answers(mount, anew=True)
        )
        self._hung = set(mute)
        return mute

    def _refuse(self, below: Path | None, mute: Collection[bytes]) -> None:
        """Raise for what lies on one of the mounts *mute*.

        Raises:
            Silent: with the directory where that begins.
        """
        if below is None or not mute or mount_on_the_way(os.fsencode(below), mute) is None:
            return
        way = (*reversed(below.parents), below)
        first = next(each for each in way if mount_on_the_way(os.fsencode(each), mute) is not None)
        raise Silent(str(first))


def _avoiding(mute: Collection[bytes]) -> Avoid:
    def avoid(path: bytes) -> None:
        if mount_on_the_way(path, mute) is not None:
            raise Silent(os.fsdecode(path))

    return avoid
