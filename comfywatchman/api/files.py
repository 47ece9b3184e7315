"""Small things that programs around the API need: a logger, a JSON file, a directory."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfywatchman.api.told import told
from comfywatchman.api.values import plain
from comfywatchman.disk.errors import writing_failed
from comfywatchman.report.redaction import redacted

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


def get_logger(name: str | None = None, level: str | int | None = None) -> BoundLogger:
    """Return a logger of structlog: ``get_logger("jobs").info("render.started", panel=3)``.

    It writes to the standard library's logger of the same name, so that a program's own handlers
    get its lines; *level* sets that logger's.
    """
    import structlog

    called = name or "comfywatchman"
    if level is not None:
        logging.getLogger(called).setLevel(level.upper() if isinstance(level, str) else level)
    found: BoundLogger = structlog.wrap_logger(
        logging.getLogger(called),
        processors=[
            structlog.stdlib.filter_by_level,
            _without_secrets,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return found


def _without_secrets(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take tokens out of texts and addresses."""
    return {k: redacted(v) if isinstance(v, str) else v for k, v in fields.items()}


def ensure_directory(path: str | os.PathLike[str]) -> Path:
    """Make the directory *path*, and those above it, where they are not there; return it.

    Raises:
        ComfyFixerError: it cannot be made, with the code of the reason.
    """
    directory = Path(path)
    with told():
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise writing_failed(error, directory) from error
    return directory


def save_json_file(path: str | os.PathLike[str], data: Any, *, indent: int = 2) -> Path:
    """Write *data* as JSON in one step: nobody ever reads half of it. Return the path.

    Values of the API, paths and times are taken as well as what `json.dumps` takes.

    Raises:
        ComfyFixerError: it cannot be written, with the code of the reason.
        TypeError: something in *data* has no form in JSON.
    """
    import json

    file = Path(path)
    text = json.dumps(plain(data), indent=indent, ensure_ascii=False) + "\n"
    ensure_directory(file.parent)
    staged = file.with_name(f".{file.name[:200]}.{secrets.token_hex(6)}.part")
    with told():
        try:
            staged.write_text(text, encoding="utf-8", errors="backslashreplace")
            staged.replace(file)
        except OSError as error:
            staged.unlink(missing_ok=True)
            raise writing_failed(error, file) from error
    return file
