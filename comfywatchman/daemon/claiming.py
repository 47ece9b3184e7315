"""Takes in what hash caches of other programs say, and tells of what turned out wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from comfywatchman.daemon.hearsay import Wanted
from comfywatchman.daemon.installation import Place
from comfywatchman.domain.errors import ClaimRefuted, ClaimsUnreadable, Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.claims import Said, Shelf, Unreadable, any_cache, beside, claims_of
from comfywatchman.state import claims, models, workflows
from comfywatchman.state.claims import Claim

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Keeper, Reader

Beat = Callable[[], None]
"""Called for each directory, so that somebody can see that it goes on, or stop it."""

Answers = Callable[[Path], bool]
"""Whether what a directory lies on answers; else nobody goes there."""

_MANAGER = "ComfyUI-LoRA-Manager"
_ABOVE = 3
"""How many directories above a root of models may be that of stable-diffusion-webui."""
_BATCH = 500
_CHECKED = "claims.checked"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a look at the caches came to."""

    claims: int
    unreadable: tuple[tuple[Path, Trouble], ...]


def gather(
    place: Place,
    keeper: Keeper,
    reader: Reader,
    beat: Beat = lambda: None,
    answers: Answers = lambda _directory: True,
) -> Gathered:
    """Read every cache there is and store what it says of files that are known."""
    found = _stored(_everything(place, reader, beat, answers), keeper)
    keeper.write(claims.forget_gone)
    return found


def gather_of(
    wanted: Wanted,
    place: Place,
    keeper: Keeper,
    reader: Reader,
    beat: Beat,
    *,
    answers: Answers = lambda _directory: True,
) -> Gathered:
    """Read every cache there is and store what it says of the *wanted* files that are known."""
    here = {directory: stems for directory, stems in wanted.items() if answers(directory)}
    return _stored(_something(here, place, reader, beat), keeper)


def _stored(every: Iterable[Said | Unreadable], keeper: Keeper) -> Gathered:
    troubles: list[tuple[Path, Trouble]] = []
    count = 0
    batch: list[Claim] = []

    def store() -> None:
        if batch:
            kept = list(batch)
            keeper.write(lambda c: claims.note(c, kept, time.time()))
            batch.clear()

    for said in every:
        if isinstance(said, Unreadable):
            troubles.append((said.path, said.error.trouble()))
            continue
        batch.append(claim_of(said))
        count += 1
        if len(batch) >= _BATCH:
            store()
    store()
    return Gathered(count, tuple(troubles))


def _everything(
    place: Place, reader: Reader, beat: Beat, answers: Answers
) -> Iterator[Said | Unreadable]:
    """Go through the inventory by directories: all of it at once takes 100 MB where it is large."""
    for directory in map(os.fsdecode, reader.read(models.directories)):
        beat()
        if answers(Path(directory)):
            yield from _beside(Path(directory), _known_in(reader, Path(directory)))
    shelf = shelf_of(place, {})
    if any_cache(shelf):
        known = {file.path: file.stamp for file in reader.read(models.every)}
        yield from claims_of(replace(shelf, models=known))


def _something(
    wanted: Wanted, place: Place, reader: Reader, beat: Beat
) -> Iterator[Said | Unreadable]:
    shelf = shelf_of(place, {})
    cached = any_cache(shelf)
    known: dict[Path, Stamp] = {}
    for directory, stems in wanted.items():
        beat()
        here = _known_in(reader, directory, stems)
        yield from _beside(directory, here)
        if cached:
            known |= here
    if known:
        yield from claims_of(replace(shelf, models=known))


def _known_in(
    reader: Reader, directory: Path, stems: Container[str] | None = None
) -> dict[Path, Stamp]:
    """Return the known files directly in *directory*, or those of these *stems*."""
    files = reader.read(partial(models.in_directory, directory=directory))
    return {f.path: f.stamp for f in files if stems is None or f.path.stem in stems}


def _beside(directory: Path, known: Mapping[Path, Stamp]) -> Iterator[Said | Unreadable]:
    names = _names_in(directory) if known else frozenset()
    for path, stamp in known.items():
        for said in beside(path, stamp, names):
            if isinstance(said, ClaimsUnreadable):
                yield Unreadable(path, said)
            else:
                yield said


def _names_in(directory: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))  # noqa: PTH208 - names, and many of them
    except OSError:
        return frozenset()


def shelf_of(place: Place, known: Mapping[Path, Stamp]) -> Shelf:
    """Return where caches may lie: in ComfyUI's packs, in the user's settings, above the roots."""
    folders = place.layout.folders
    packs = {place.comfyui_root / "custom_nodes", *place.layout.custom_nodes}
    above: dict[Path, None] = {}
    for root in folders.roots():
        for directory in (root, *root.parents)[: _ABOVE + 1]:
            if directory != place.comfyui_root and len(directory.parts) > 1:
                above.setdefault(directory)
    settings = platformdirs.user_config_path(_MANAGER, appauthor=False)
    return Shelf(tuple(sorted(packs)), (settings,), tuple(above), known)


def refuted(keeper: Keeper, reader: Reader) -> list[tuple[Path, Trouble]]:
    """Return the claims that were found wrong since this was asked last: each is told once."""
    now = time.time()
    with reader.connect() as connection:
        since = workflows.timer_times(connection).get(_CHECKED, 0.0)
        wrong = claims.wrong(connection, since)
    keeper.write(lambda c: workflows.note_timer(c, _CHECKED, now))
    return [(claim.path, _refutation(claim, measured)) for claim, measured in wrong]


def _refutation(claim: Claim, measured: str) -> Trouble:
    return ClaimRefuted(
        f"{claim.told_by or claim.source} says that {claim.path} has SHA-256 {claim.sha256}; "
        f"a measure gave {measured}.",
        remedy="The measure counts. Have that program look at the file anew.",
    ).trouble()


def claim_of(said: Said) -> Claim:
    """Return what was read as it is stored."""
    return Claim(
        said.path,
        said.source,
        said.stamp,
        said.sha256,
        said.after_sha256,
        said.autov3,
        said.blake3,
        said.told_by,
    )
