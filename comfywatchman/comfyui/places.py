"""Where ComfyUI usually lies, and what a ComfyUI tree looks like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from comfywatchman.comfyui.table import DIRECTORIES

_KNOWN_DIRECTORIES = frozenset(name for names in DIRECTORIES.values() for name in names)


def is_code(directory: Path) -> bool:
    """Say whether ComfyUI itself lies here."""
    return _there(directory / "main.py") and _there(directory / "folder_paths.py")


def has_models(directory: Path) -> bool:
    """Say whether a ``models`` directory of ComfyUI lies here, as below a base directory.

    Many programs have a ``models`` directory; one of ComfyUI's folders must be in it.
    """
    try:
        names = {entry.name for entry in (directory / "models").iterdir()}
    except OSError:
        return False
    return not names.isdisjoint(_KNOWN_DIRECTORIES)


def inner(directory: Path) -> Path | None:
    """Return the ComfyUI tree that *directory* is, or holds under the usual name.

    The portable build and the installs of the desktop program keep it one level down.
    """
    for place in (directory, directory / "ComfyUI"):
        if is_code(place):
            return place
    return directory if has_models(directory) else None


def usual_places(environ: Mapping[str, str], home: Path, current: Path) -> Iterator[Path]:
    """Yield where people and installers put ComfyUI, the likeliest first.

    Source: comfyui-formats 3.3 for the desktop program; the rest is what the installers' own
    instructions say.
    """
    yield current
    yield from (current / "ComfyUI", current / "ComfyUI_windows_portable")
    yield from (home / "ComfyUI", home / "comfyui", home / "comfy" / "ComfyUI")
    yield from _installs(home / "ComfyUI-Installs")
    documents = [home / "Documents"]
    profile = environ.get("USERPROFILE")
    if profile:
        documents.append(Path(profile, "Documents"))
        yield from _installs(Path(profile, "ComfyUI-Installs"))
    yield from (place / "ComfyUI" for place in documents)
    local = environ.get("LOCALAPPDATA")
    if local:
        yield from _installs(Path(local, "Comfy-Desktop", "ComfyUI-Installs"))
    yield home / "ComfyUI_windows_portable"
    yield from (Path("/opt/ComfyUI"), Path("/opt/comfyui"), Path("/srv/ComfyUI"))
    yield from _stability_matrix(environ, home)
    yield from (home / "pinokio" / "api" / "comfy.git" / "app",)
    for name in ("src", "git", "code", "projects", "AI", "ai"):
        yield home / name / "ComfyUI"
    # Container images
    yield from (Path("/ComfyUI"), Path("/app/ComfyUI"), Path("/workspace/ComfyUI"))


def _stability_matrix(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    roots = [home / "StabilityMatrix", home / "StabilityMatrix" / "Data"]
    if environ.get("APPDATA"):
        roots.append(Path(environ["APPDATA"], "StabilityMatrix"))
    roots.append(home / ".config" / "StabilityMatrix")
    roots.append(home / "Library" / "Application Support" / "StabilityMatrix")
    yield from (root / "Packages" / "ComfyUI" for root in roots)


def _installs(directory: Path) -> Iterator[Path]:
    """Yield the installs of the desktop program; each is a directory with ComfyUI in it."""
    try:
        yield from sorted(entry for entry in directory.iterdir() if entry.is_dir())
    except OSError:
        return


def _there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False
