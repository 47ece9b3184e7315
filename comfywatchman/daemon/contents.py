"""What the workflows say, whether a daemon has read them already or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.parts import parser_for
from comfywatchman.disk.files import look
from comfywatchman.disk.walk import walk
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.references import ModelReference, WorkflowContent
from comfywatchman.pipeline.sweeping import is_workflow_file
from comfywatchman.state import workflows
from comfywatchman.state.coding import searchable
from comfywatchman.state.sources import Source

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.parsing.parser import Parser
    from comfywatchman.state.keeper import Reader


def contents(
    settings: Settings, place: Place, reader: Reader | None
) -> Iterator[tuple[Path, WorkflowContent | Trouble]]:
    """Yield what each workflow of the workflow directories says, and each that the state knows.

    What the state read under an equal stamp is not read again.
    """
    done: set[Path] = set()
    with parser_for(settings, first_lessons(settings)[0].lines) as parser:
        for directory in place.workflow_dirs:
            for listing in walk(directory, is_workflow_file):
                for name, _ in sorted(listing.files):
                    path = listing.directory / name
                    done.add(path)
                    yield path, _content(path, reader, parser)
    if reader is None:
        return
    with reader.connect() as connection:
        others = [path for path in workflows.paths(connection) if path not in done]
        for path in others:
            analysis = None if went(path) else workflows.one(connection, path)
            if analysis is not None:
                yield path, analysis.content


def went(path: Path) -> bool:
    """Say whether a file that was in a directory is in it no more; its drive may be elsewhere."""
    return path.parent.is_dir() and not path.exists()


def _content(path: Path, reader: Reader | None, parser: Parser) -> WorkflowContent | Trouble:
    try:
        return _known(path, reader) or parser.read(path).content
    except WatchmanError as error:
        return error.trouble()


def _known(path: Path, reader: Reader | None) -> WorkflowContent | None:
    if reader is None:
        return None
    with reader.connect() as connection:
        if workflows.stamp_of(connection, path) != look(path):
            return None
        analysis = workflows.one(connection, path)
    return None if analysis is None else analysis.content


@dataclass(slots=True)
class Wishes:
    """What workflows declare about models; they are read when somebody asks for the first time."""

    settings: Settings
    place: Place
    reader: Reader | None
    _references: list[ModelReference] | None = field(default=None, init=False)

    def sources(self, path: Path, sha256: str | None) -> list[Source]:
        """Return where workflows say that a file of this name, or of these bytes, can be had."""
        name = searchable(path.name)
        return [
            Source(told.url, "workflow", told.sha256)
            for reference in self._every()
            for told in reference.declared
            if told.url
            and (name == _base(reference) or (sha256 is not None and told.sha256 == sha256))
            and (sha256 is None or told.sha256 in {None, sha256})
        ]

    def _every(self) -> list[ModelReference]:
        if self._references is None:
            self._references = [
                reference
                for _, content in contents(self.settings, self.place, self.reader)
                if isinstance(content, WorkflowContent)
                for reference in content.references
                if reference.declared
            ]
        return self._references


def _base(reference: ModelReference) -> str:
    return searchable(PurePosixPath(reference.name.replace("\\", "/")).name)
