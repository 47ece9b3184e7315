"""Names from workflows: which may become paths, and how they are walked without being led away."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from comfywatchman.disk.errors import reading_failed, writing_failed
from comfywatchman.disk.files import fsync_directory
from comfywatchman.domain.errors import FolderNotWritable, NameTaken, UnsafeName, WatchmanError

MOST_BYTES = 255
"""Of one name, in UTF-8 (NAME_MAX of the usual file systems)."""

_MOST_BYTES_IN_ALL = 1024
_MOST_COMPONENTS = 16
_MOST_LINKS = 8

_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.I)
"""Device names of Windows, also with any suffix: a library may lie on a share. Source: Microsoft,
"Naming Files, Paths, and Namespaces"."""

_MISLEADING = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Line breaks and changes of writing direction: a name that does not read as what it is."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def check_name(name: str) -> PurePosixPath:
    r"""Return *name* as a path that stays below whatever it is joined to.

    ``\`` counts as ``/``, as everywhere in workflows. The checks look at the NFC form, but the
    name is returned as it is written, since ComfyUI compares it exactly.

    Raises:
        UnsafeName: it climbs, is absolute, hidden, reserved, too long, or no text for a name.
    """
    written = name.replace("\\", "/")
    normal = unicodedata.normalize("NFC", written)
    why = _whole_problem(normal)
    for spelling in (written, normal):
        why = why or next(filter(None, map(_problem, spelling.split("/"))), None)
    if why is not None:
        raise _unsafe(name, why)
    return PurePosixPath(written)


def _whole_problem(name: str) -> str | None:
    checks = {
        "is empty": not name,
        "is an absolute path": name.startswith("/"),
        "begins with a drive letter": re.match(r"[A-Za-z]:", name) is not None,
        "begins with ~": name.startswith("~"),
        f"has more than {_MOST_COMPONENTS} levels": name.count("/") >= _MOST_COMPONENTS,
        f"is longer than {_MOST_BYTES_IN_ALL} bytes": _bytes_of(name) > _MOST_BYTES_IN_ALL,
    }
    return next((why for why, true in checks.items() if true), None)


def _problem(component: str) -> str | None:
    checks = {
        "has an empty component": not component,
        "has control characters in it": any(map(_misleads, component)),
        "climbs out of its directory": component == "..",
        "names a hidden file or directory": component.startswith("."),
        "has a component that ends with a dot or a blank": component.endswith((".", " ")),
        f"has a component of more than {MOST_BYTES} bytes": _bytes_of(component) > MOST_BYTES,
        "has a component that Windows reserves for a device": _RESERVED.fullmatch(
            component.split(".", maxsplit=1)[0].strip()
        )
        is not None,
    }
    return next((why for why, true in checks.items() if true), None)


def _misleads(character: str) -> bool:
    return character in _MISLEADING or unicodedata.category(character) in {"Cc", "Cs"}


def _bytes_of(text: str) -> int:
    return len(text.encode(errors="replace"))


def _unsafe(name: str, why: str) -> UnsafeName:
    shown = name if len(name) <= 200 else f"{name[:200]}…"
    return UnsafeName(
        f"The name {shown!a} {why}.",
        remedy="Correct the name in the workflow, or put the file there yourself.",
    )


def open_beneath(
    root: Path, relative: PurePosixPath, create: bool, also: Sequence[Path] = ()
) -> int:
    """Open the directory that *relative*, a file's name below *root*, lies in.

    The root is resolved once and may be a link. Below it each component is opened by itself
    without following links, so that nobody can lead us away between a check and a use. A linked
    directory is followed only where it leads to a place below *root* or one of *also*; that place
    is then walked in the same way.

    Args:
        root: a directory that exists.
        relative: as `check_name` returns it.
        create: whether missing directories are made, 0755 under the umask.
        also: further directories that may be written.

    Returns:
        A descriptor that the caller closes.

    Raises:
        FileNotFoundError: a directory is missing and was not to be made.
        UnsafeName: a link below the root leads out of every given root.
        FolderNotWritable, DiskFailed, DiskFull
    """
    trusted = [resolved(place) for place in (root, *also)]
    base, parts = trusted[0], relative.parts[:-1]
    for _ in range(_MOST_LINKS):
        walked = _walk(base, parts, create)
        if isinstance(walked, int):
            return walked
        link, rest = walked
        target = resolved(link)
        home = next((place for place in trusted if target.is_relative_to(place)), None)
        if home is None:
            raise _leads_away(link, target, root)
        base, parts = home, (*target.relative_to(home).parts, *rest)
    raise _leads_away(root / relative, base, root)


def resolved(path: Path) -> Path:
    """Return where *path* leads; one that changes while it is looked at leads to itself."""
    try:
        return Path(os.path.realpath(path))
    except OSError:  # a link that is none any more by the time it is read
        return path


def _walk(base: Path, parts: Sequence[str], create: bool) -> int | tuple[Path, Sequence[str]]:
    """Return the descriptor of *base* / *parts*, or the link met and what was to follow it."""
    path = base
    try:
        here = os.open(base, _DIRECTORY)
    except OSError as error:
        raise _not_opened(error, base, create) from error
    for number, part in enumerate(parts):
        path = path / part
        try:
            below = _step(here, part, create)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK} and path.is_symlink():
                return path, parts[number + 1 :]
            raise _not_opened(error, path, create) from error
        finally:
            os.close(here)
        here = below
    return here


def _step(here: int, part: str, create: bool) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=here)
    except FileNotFoundError:
        if not create:
            raise
    # Where somebody else made it meanwhile, the open below looks at what it is.
    with suppress(FileExistsError):
        os.mkdir(part, 0o755, dir_fd=here)
        fsync_directory(here)  # or a power cut takes it away with what is placed in it
    return os.open(part, _DIRECTORY, dir_fd=here)


def _not_opened(error: OSError, path: Path, create: bool) -> OSError | WatchmanError:
    if error.errno == errno.ENOENT and not create:
        return error
    if error.errno == errno.ENOTDIR:
        return FolderNotWritable(
            f"{path} is there, but it is no directory.",
            remedy="Move it away, or correct the name in the workflow.",
        )
    if error.errno == errno.ENAMETOOLONG:
        return _unsafe(path.name, "is longer than this file system allows")
    return writing_failed(error, path / "…")


def _leads_away(link: Path, target: Path, root: Path) -> UnsafeName:
    return UnsafeName(
        f"{link} is a link to {target}, which lies outside {root} and every other model directory.",
        remedy=f"Add {target} to model_directories in the settings to have models put there.",
    )


def check_neighbors(directory: int, name: str, final: Path) -> None:
    """Refuse *name* where the open *directory* has one that only reads differently.

    On some file systems the two would be one file.

    Raises:
        NameTaken: another name differs only in case or in how accents are written.
        FileUnreadable, DiskFailed
    """
    alike = _folded(name)
    try:
        names = os.listdir(directory)
    except OSError as error:
        raise reading_failed(error, final.parent) from error
    for other in names:
        if other != name and _folded(other) == alike:
            raise NameTaken(
                f"{final.parent} has {other!a} already, which differs from {name!a} only in "
                "how it is spelled.",
                remedy="Correct the name in the workflow, or rename the file.",
            )


def _folded(name: str) -> str:
    if name.isascii():  # nearly all are, and a directory may have ten thousand
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
