"""One look at workflows without a daemon: reads and compares, changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.installation import Place, locate
from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.lookup import lookup
from comfywatchman.daemon.parts import parser_for
from comfywatchman.disk.walk import Listing, walk
from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import RootOffline, Trouble, WatchmanError
from comfywatchman.domain.files import Folders, ModelFile, ShortHash, Stamp
from comfywatchman.domain.references import Analysis, WorkflowContent
from comfywatchman.inventory import examine_model, may_still_arrive
from comfywatchman.pipeline.analyzing import analyze, compared
from comfywatchman.pipeline.library import WalkedLibrary
from comfywatchman.pipeline.sweeping import is_workflow_file, models_of
from comfywatchman.state import models, store, workflows

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.state.keeper import Reader

STDIN = Path("-")

Unread = Callable[[Path, Trouble], None]
"""Is told of a directory that could not be read."""


def survey(
    settings: Settings,
    paths: Sequence[str],
    *,
    on_each: Callable[[Analysis], None] | None = None,
    on_unread: Unread | None = None,
) -> tuple[Place, list[Analysis]]:
    """Analyze *paths*: files, directories, or ``-`` for standard input.

    A directory among them that cannot be read is told as a workflow that cannot be; of one among
    the models, whose files count as missing then, *on_unread* is told.

    Raises:
        ComfyUINotFound: there is no ComfyUI to compare with.
    """
    place = locate(settings, os.environ)
    state = settings.state.directory
    library = WalkedLibrary.of(files_on_disk(place.layout.folders, state, on_unread))
    analyses = []
    unread: list[Analysis] = []
    folders = place.layout.folders
    with parser_for(settings, first_lessons(settings)[0].lines) as parser:
        for path in each_workflow(paths, lambda path, why: unread.append(unreadable(path, why))):
            if path == STDIN:
                parsed = parser.read_bytes(sys.stdin.buffer.read(), "-")
                analysis = compared(path, parsed, folders, library)
            else:
                analysis = analyze(path, parser, folders, library).analysis
            analyses.append(analysis)
            if on_each is not None:
                on_each(analysis)
    return place, analyses + unread


def unreadable(path: Path, trouble: Trouble) -> Analysis:
    """Return what there is to say of a directory in which workflows may be."""
    return Analysis(path, "", WorkflowContent("directory", "none", trouble=trouble))


def resolved(settings: Settings, place: Place, analyses: Sequence[Analysis]) -> list[Analysis]:
    """Ask the backends about every missing reference and attach what they offer."""
    answers: dict[tuple[str, str], tuple[tuple[Candidate, ...], Trouble | None]] = {}
    with lookup(settings, os.environ) as looking:
        for key, want in gathered(analyses).items():
            resolution = looking.chosen(want, looking.offers(want))
            answers[key] = (resolution.chosen or resolution.candidates, resolution.why)
    return [_with_answers(analysis, answers) for analysis in analyses]


def gathered(analyses: Sequence[Analysis]) -> dict[tuple[str, str], Wanted]:
    """Return what is missing, once each, with all that the workflows say about it."""
    urls: dict[tuple[str, str], list[str]] = {}
    hashes: dict[tuple[str, str], set[str]] = {}
    told: dict[tuple[str, str], dict[ShortHash, None]] = {}
    linked: dict[tuple[str, str], dict[str, None]] = {}
    for analysis in analyses:
        for finding in analysis.fetchable:
            key = (finding.reference.folder or "", finding.reference.name)
            declared = finding.reference.declared
            urls.setdefault(key, []).extend(d.url for d in declared if d.url)
            hashes.setdefault(key, set()).update(d.sha256 for d in declared if d.sha256)
            told.setdefault(key, {}).update(dict.fromkeys(finding.reference.told_hashes))
            linked.setdefault(key, {}).update(dict.fromkeys(finding.reference.linked))
    return {
        key: Wanted(
            *key,
            tuple(dict.fromkeys(found)),
            tuple(sorted(hashes[key])),
            tuple(told[key]),
            tuple(linked[key]),
        )
        for key, found in urls.items()
    }


def told_by_all(
    settings: Settings, analysis: Analysis, wanted: Mapping[tuple[str, str], Wanted]
) -> dict[tuple[str, str], Wanted]:
    """Return what is *wanted* with what other workflows say of it that were read before.

    Where two of them mean different files, a transfer for either is a question.
    """
    reader = store.open_reader(settings.state.directory)
    if reader is None:
        return dict(wanted)
    try:
        with reader.connect() as connection:
            own = analysis.path.absolute()
            told = {key: workflows.wanted(connection, *key, own) for key in wanted}
    finally:
        reader.close()
    return {key: _together(want, told[key]) for key, want in wanted.items()}


def _together(one: Wanted, other: Wanted) -> Wanted:
    return replace(
        one,
        urls=tuple(dict.fromkeys((*one.urls, *other.urls))),
        sha256=tuple(sorted({*one.sha256, *other.sha256})),
        short_hashes=tuple(dict.fromkeys((*one.short_hashes, *other.short_hashes))),
        linked=tuple(dict.fromkeys((*one.linked, *other.linked))),
    )


def _with_answers(
    analysis: Analysis,
    answers: Mapping[tuple[str, str], tuple[tuple[Candidate, ...], Trouble | None]],
) -> Analysis:
    findings = []
    for finding in analysis.findings:
        key = (finding.reference.folder or "", finding.reference.name)
        if finding not in analysis.fetchable or key not in answers:
            findings.append(finding)
            continue
        candidates, why = answers[key]
        findings.append(replace(finding, candidates=candidates, trouble=why))
    return replace(analysis, findings=tuple(findings))


def files_on_disk(
    folders: Folders, state_directory: Path, on_unread: Unread | None = None
) -> Iterator[ModelFile]:
    """Yield every model file there is, with its hash where the state knows it already."""
    reader = store.open_reader(state_directory)
    try:
        wanted = models_of(folders)
        for root in folders.roots():
            for listing in walk(root, wanted):
                _tell_closed(listing, on_unread)
                known = _hashes(reader, listing.directory) if reader and listing.files else {}
                for name, stamp in listing.files:
                    path = listing.directory / name
                    row = known.get(path)
                    same = row is not None and row.stamp == stamp
                    # What is neither whole nor in trouble was only met by name so far.
                    if row is not None and same and (row.whole or row.trouble is not None):
                        yield _with_writer(row)
                    else:
                        yield _looked_into(path, stamp)
    finally:
        if reader is not None:
            reader.close()


def _looked_into(path: Path, stamp: Stamp) -> ModelFile:
    """Say whether a file that nobody knows yet is all there; what cannot be read is not."""
    try:
        seen = examine_model(path)
        whole = seen.whole and seen.trouble is None
        return _with_writer(ModelFile(path, stamp, whole, trouble=seen.trouble))
    except WatchmanError as error:
        return ModelFile(path, stamp, whole=False, trouble=error.trouble())


def _with_writer(file: ModelFile) -> ModelFile:
    if file.whole or file.trouble is None:
        return file
    return replace(file, written=may_still_arrive(file.path, file.stamp, file.trouble))


def _hashes(reader: Reader, directory: Path) -> dict[Path, ModelFile]:
    return {file.path: file for file in reader.read(lambda c: models.in_directory(c, directory))}


def _tell_closed(listing: Listing, on_unread: Unread | None) -> None:
    """Tell of a directory that is there and cannot be read; a dead link may lead to anything."""
    why = listing.trouble
    if on_unread is not None and why is not None and why.code != RootOffline.code:
        on_unread(listing.directory, why)


def each_workflow(paths: Sequence[str], on_unread: Unread | None = None) -> Iterator[Path]:
    """Yield each workflow file that *paths* name, `STDIN` for ``-``.

    *on_unread* is told of the directories that cannot be read.
    """
    for given in paths:
        path = Path(given) if given == "-" else Path(given).absolute()
        if path == STDIN or not path.is_dir():
            yield path
            continue
        for listing in walk(path, is_workflow_file):
            _tell_closed(listing, on_unread)
            yield from (listing.directory / name for name, _ in sorted(listing.files))
