"""The token that a client needs to change something: made once, in a file that only we read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.domain.secrets import Secret

_SHORTEST = 16
_LONGEST = 4096


def load_or_make_token(path: Path) -> Secret:
    """Return the token in *path*; where there is no such file, make one with mode 0600.

    Raises:
        SettingsInvalid: others may read the file, or it holds no token, or it cannot be read or
            made.
    """
    try:
        return _loaded(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(path, str(error)) from error
    try:
        _make(path)
        return _loaded(path)
    except OSError as error:
        raise _unusable(path, str(error)) from error


def _loaded(path: Path) -> Secret:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, "It is no regular file.")
        if status.st_mode & 0o077:
            mode = oct(stat.S_IMODE(status.st_mode))
            raise _unusable(path, f"Its mode is {mode}, so others can use it.", f"chmod 600 {path}")
        text = file.read(_LONGEST).decode("ascii", "replace").strip()
    if len(text) < _SHORTEST or not text.isascii() or not text.isprintable():
        raise _unusable(
            path,
            f"It holds no token of {_SHORTEST} or more ASCII characters.",
            f"Remove {path}; the next start makes a new one.",
        )
    return Secret(text)


def _make(path: Path) -> None:
    """Write a token beside *path* and link it there: the file is whole, or absent."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(staged, flags, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        staged.rename(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


def _unusable(path: Path, why: str, remedy: str | None = None) -> SettingsInvalid:
    return SettingsInvalid(
        f"The token file {path} cannot be used. {why}",
        remedy=remedy or "Make it readable and writable for the user that runs comfywatchman.",
    )
