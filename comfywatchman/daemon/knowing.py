"""What commands know about node types: from the state where that is true, else from a look.

Nothing is asked over the network here, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from comfywatchman.comfyui.node_map import MapFiles, find_map
from comfywatchman.comfyui.packs import face, list_packs
from comfywatchman.daemon.nodes import bases, has_code
from comfywatchman.domain.packs import NodeTypes, NothingKnown
from comfywatchman.pipeline.node_types import Bookkeeping, StoredTypes
from comfywatchman.state import node_types, store

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.domain.references import Analysis
    from comfywatchman.state.keeper import Connection, Keeper, Reader


@contextmanager
def known_types(
    settings: Settings, place: Place, analyses: Sequence[Analysis]
) -> Iterator[NodeTypes]:
    """Yield what is known about the node types of *analyses*, for the time of a report."""
    types = sorted({use.type for a in analyses for use in a.content.node_types if not use.core})
    if not types:
        yield NothingKnown()
        return
    files = find_map(settings.comfyui.node_map, bases(place), place.layout.custom_nodes)
    with ExitStack() as stack:
        reader = store.open_reader(place.state_directory)
        if reader is not None:
            stack.callback(reader.close)
            if reader.read(lambda c: _is_true(c, place, files)):
                yield StoredTypes(stack.enter_context(reader.connect()))
                return
        keeper, memory = store.open_in_memory()
        stack.callback(keeper.close)
        if reader is not None:
            _take_over(reader, keeper)
        books = Bookkeeping(keeper, memory)
        books.packs(place.layout.custom_nodes, has_code=has_code(place), whole=True)
        books.node_map(files, types)
        yield StoredTypes(stack.enter_context(memory.connect()))


def look_at_packs(settings: Settings, place: Place, keeper: Keeper, reader: Reader) -> None:
    """Bring the rows about packs and the node map up to date: for a command that owns the state."""
    books = Bookkeeping(keeper, reader)
    books.packs(place.layout.custom_nodes, has_code=has_code(place), whole=True)
    books.node_map(find_map(settings.comfyui.node_map, bases(place), place.layout.custom_nodes))


def _is_true(connection: Connection, place: Place, files: MapFiles) -> bool:
    """Whether nothing seems to have changed since the rows were written."""
    packs = node_types.known(connection, node_types.PACKS)
    known_map = node_types.known(connection, node_types.MAP)
    listing = list_packs(place.layout.custom_nodes)
    return (
        packs is not None
        and packs.stamp == face(listing.packs)
        and (known_map.stamp if known_map is not None else "") == files.stamp
    )


def _take_over(reader: Reader, keeper: Keeper) -> None:
    """Copy what was read of packs, and what a server told: only what changed is read again."""
    with reader.connect() as connection:
        kept = node_types.everything_but_the_map(connection)
    keeper.write(lambda c: node_types.restore(c, kept))
