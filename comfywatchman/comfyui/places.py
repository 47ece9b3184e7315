"""Where ComfyUI usually lies, and what a ComfyUI tree looks like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from comfywatchman.comfyui.desktop import places_of_launchers, shared_roots
from comfywatchman.comfyui.programs import (
    pinokio_homes,
    stability_matrix_libraries,
    subdirectories,
)
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
    yield from places_of_launchers(environ, home)
    for root in shared_roots(environ, home):
        yield from subdirectories(root / "ComfyUI-Installs")
    documents = [home / "Documents"]
    if environ.get("USERPROFILE"):
        documents.append(Path(environ["USERPROFILE"], "Documents"))
    yield from (place / "ComfyUI" for place in documents)
    yield home / "ComfyUI_windows_portable"
    yield from (Path("/opt/ComfyUI"), Path("/opt/comfyui"), Path("/srv/ComfyUI"))
    yield from _stability_matrix(environ, home)
    for pinokio in pinokio_homes(environ, home):
        apps = (app / "app" for app in subdirectories(pinokio / "api"))
        yield from filter(is_code, apps)
    for name in ("src", "git", "code", "projects", "AI", "ai"):
        yield home / name / "ComfyUI"
    # Container images
    yield from (Path("/ComfyUI"), Path("/app/ComfyUI"), Path("/workspace/ComfyUI"))


def _stability_matrix(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield its packages that are ComfyUI; others have a ``models`` directory as well."""
    for library in stability_matrix_libraries(environ, home):
        yield library / "Packages" / "ComfyUI"
        yield from filter(is_code, subdirectories(library / "Packages"))


def _there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False
