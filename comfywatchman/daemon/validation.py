"""What workflow files say, without comparing it with anything: no ComfyUI is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.parts import parser_for
from comfywatchman.daemon.survey import STDIN, each_workflow, unreadable
from comfywatchman.domain.errors import FileUnreadable
from comfywatchman.domain.references import Analysis, WorkflowContent

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.parsing.parser import Parser


def readings(settings: Settings, paths: Sequence[str]) -> Iterator[Analysis]:
    """Yield what each file of *paths* (directories, or ``-`` too) says, each once."""
    closed: list[Analysis] = []
    with parser_for(settings, first_lessons(settings)[0].lines) as parser:
        found = each_workflow(paths, lambda path, why: closed.append(unreadable(path, why)))
        for path in dict.fromkeys(found):
            yield _reading(path, parser)
    yield from closed


def _reading(path: Path, parser: Parser) -> Analysis:
    try:
        if path == STDIN:
            parsed = parser.read_bytes(sys.stdin.buffer.read(), "-")
        else:
            parsed = parser.read(path)
    except FileUnreadable as error:
        return Analysis(path, "", WorkflowContent("unknown", "none", trouble=error.trouble()))
    return Analysis(path, parsed.sha256, parsed.content)
