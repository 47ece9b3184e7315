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
from comfywatchman.daemon.parts import backends_for, net_for, parser_for
from comfywatchman.disk.walk import walk
from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.files import Folders, ModelFile, Stamp
from comfywatchman.domain.references import Analysis
from comfywatchman.inventory import examine_model
from comfywatchman.pipeline.analyzing import analyze, compared
from comfywatchman.pipeline.library import WalkedLibrary
from comfywatchman.pipeline.sweeping import is_workflow_file, models_of
from comfywatchman.resolve.backend import ask
from comfywatchman.resolve.ranking import choose
from comfywatchman.state import models, store

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.state.keeper import Reader

STDIN = Path("-")


def survey(
    settings: Settings, paths: Sequence[str], *, on_each: Callable[[Analysis], None] | None = None
) -> tuple[Place, list[Analysis]]:
    """Analyze *paths*: files, directories, or ``-`` for standard input.

    Raises:
        ComfyUINotFound: there is no ComfyUI to compare with.
    """
    place = locate(settings, os.environ)
    library = WalkedLibrary.of(files_on_disk(place.layout.folders, settings.state.directory))
    analyses = []
    folders = place.layout.folders
    with parser_for(settings, first_lessons(settings)[0].lines) as parser:
        for path in each_workflow(paths):
            if path == STDIN:
                parsed = parser.read_bytes(sys.stdin.buffer.read(), "-")
                analysis = compared(path, parsed, folders, library)
            else:
                analysis = analyze(path, parser, folders, library).analysis
            analyses.append(analysis)
            if on_each is not None:
                on_each(analysis)
    return place, analyses


def resolved(settings: Settings, place: Place, analyses: Sequence[Analysis]) -> list[Analysis]:
    """Ask the backends about every missing reference and attach what they offer."""
    backends = backends_for(settings, net_for(settings, os.environ))
    answers: dict[tuple[str, str], tuple[tuple[Candidate, ...], Trouble | None]] = {}
    wanted = gathered(analyses)
    for key, want in wanted.items():
        offers = ask(backends, want, lambda _event: None)
        resolution = choose(
            offers.candidates,
            want,
            auto=settings.download.auto,
            complete=offers.complete,
            troubles=offers.troubles,
        )
        shown = resolution.chosen or resolution.candidates
        answers[key] = (shown, resolution.why)
    return [_with_answers(analysis, answers) for analysis in analyses]


def gathered(analyses: Sequence[Analysis]) -> dict[tuple[str, str], Wanted]:
    """Return what is missing, once each, with all that the workflows say about it."""
    urls: dict[tuple[str, str], list[str]] = {}
    hashes: dict[tuple[str, str], set[str]] = {}
    for analysis in analyses:
        for finding in analysis.fetchable:
            key = (finding.reference.folder or "", finding.reference.name)
            declared = finding.reference.declared
            urls.setdefault(key, []).extend(d.url for d in declared if d.url)
            hashes.setdefault(key, set()).update(d.sha256 for d in declared if d.sha256)
    return {
        key: Wanted(*key, tuple(dict.fromkeys(found)), tuple(sorted(hashes[key])))
        for key, found in urls.items()
    }


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


def files_on_disk(folders: Folders, state_directory: Path) -> Iterator[ModelFile]:
    """Yield every model file there is, with its hash where the state knows it already."""
    reader = store.open_reader(state_directory)
    try:
        wanted = models_of(folders)
        for root in folders.roots():
            for listing in walk(root, wanted):
                known = _hashes(reader, listing.directory) if reader and listing.files else {}
                for name, stamp in listing.files:
                    path = listing.directory / name
                    row = known.get(path)
                    same = row is not None and row.stamp == stamp
                    yield row if row is not None and same else _looked_into(path, stamp)
    finally:
        if reader is not None:
            reader.close()


def _looked_into(path: Path, stamp: Stamp) -> ModelFile:
    """Say whether a file that nobody knows yet is all there; what cannot be read is not."""
    try:
        seen = examine_model(path)
        return ModelFile(path, stamp, seen.whole and seen.trouble is None)
    except (WatchmanError, OSError):
        return ModelFile(path, stamp, whole=False)


def _hashes(reader: Reader, directory: Path) -> dict[Path, ModelFile]:
    return {file.path: file for file in reader.read(lambda c: models.in_directory(c, directory))}


def each_workflow(paths: Sequence[str]) -> Iterator[Path]:
    """Yield each workflow file that *paths* name, `STDIN` for ``-``."""
    for given in paths:
        path = Path(given) if given == "-" else Path(given).absolute()
        if path == STDIN or not path.is_dir():
            yield path
            continue
        for listing in walk(path, is_workflow_file):
            yield from (listing.directory / name for name, _ in sorted(listing.files))
