"""Where tokens are found besides the settings: files that other programs provide."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.config.places import home
from comfywatchman.config.values import check_token
from comfywatchman.domain.errors import SettingsInvalid, Trouble
from comfywatchman.domain.secrets import Secret

_LARGEST = 8192
"""Bytes; the longest tokens are a few hundred."""


@dataclass(frozen=True, slots=True)
class Hub:
    """The names under which one hub's token is known."""

    section: str
    variables: tuple[str, ...]
    credential: str
    """The file in ``$CREDENTIALS_DIRECTORY`` (systemd, LoadCredential)."""


HUBS = (
    Hub("hubs.civitai", ("CIVITAI_API_KEY", "CIVITAI_API_TOKEN"), "civitai_token"),
    Hub("hubs.huggingface", ("HF_TOKEN",), "hf_token"),
)


def read_token(file: Path, *, private: bool) -> Secret | Trouble | None:
    """Return the token in *file*, ``None`` where there is no such file, or why it is not used.

    Args:
        file: holds the token and nothing else.
        private: whether a file that everybody may read is refused.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _trouble(f"{file} cannot be read: {error.strerror}.", "Correct its permissions.")
    if private and os.name == "posix" and mode & stat.S_IROTH:
        return _trouble(
            f"{file} may be read by everybody, so its token is not used.", f"chmod 600 {file}"
        )
    try:
        return Secret(check_token(content.decode("ascii")))
    except ValueError:
        return _trouble(f"{file} holds no token.", "Write the token into it, on one line.")


def credential(hub: Hub, environ: Mapping[str, str]) -> tuple[Path, Secret | Trouble | None]:
    """Return the token that the service manager provides; nothing where it provides none."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    file = Path(directory or "/nonexistent") / hub.credential
    return file, read_token(file, private=False) if directory else None


def login_file(hub: Hub, environ: Mapping[str, str]) -> Path | None:
    """Return where Hugging Face's own tools keep the token of whoever logged in.

    Source: the environment variables of huggingface_hub.
    """
    if hub.credential != "hf_token" or _true(environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "")):
        return None
    if environ.get("HF_TOKEN_PATH"):
        return Path(environ["HF_TOKEN_PATH"])
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]) / "token"
    cache = environ.get("XDG_CACHE_HOME")
    base = Path(cache) if cache else home(environ) / ".cache"
    return base / "huggingface" / "token"


def _true(text: str) -> bool:
    return text.strip().upper() in {"1", "ON", "YES", "TRUE"}


def _trouble(cause: str, remedy: str) -> Trouble:
    return SettingsInvalid(cause, remedy=remedy).trouble()
