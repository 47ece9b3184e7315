"""What the two desktop programs tell the ComfyUI that they start.

The older one (Comfy-Org/desktop) keeps ComfyUI's code in the program and everything else in a base
directory that ``config.json`` names. The newer one (Comfy-Org/Comfy-Desktop) keeps any number of
installs, each with its code, and directories of models that they share.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from comfywatchman.comfyui.programs import application_directories, read_json
from comfywatchman.disk.decoding import decoder_of

_OLDER = "ComfyUI"
_NEWER = "Comfy Desktop"
_NEWER_ON_LINUX = "comfyui-desktop-2"


@dataclass(frozen=True, slots=True)
class Flags:
    """What a server was told on its command line about where things lie."""

    base_directory: Path | None = None
    models_directory: Path | None = None
    output_directory: Path | None = None
    extra_files: tuple[Path, ...] = ()
    """``--extra-model-paths-config``."""


def told_by_launcher(comfyui_root: Path, environ: Mapping[str, str], home: Path) -> Flags:
    """Return what a desktop program tells the ComfyUI at *comfyui_root*; mostly nothing."""
    for flags in (*_newer(comfyui_root, environ, home), *_older(comfyui_root, environ, home)):
        return flags
    return Flags()


def places_of_launchers(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield where the desktop programs keep ComfyUI, the one used last first."""
    installed = [each for data in _data_directories(environ, home) for each in _installs(data)]
    for install in sorted(installed, key=lambda each: -(each.last_launched_at or 0)):
        yield Path(install.install_path)
    for directory in application_directories(_OLDER, environ, home):
        base = _older_base(directory)
        if base is not None:
            yield base


# -- the older program


class _OlderConfig(Struct, rename="camel"):
    base_path: str | None = None


class _ServerSettings(Struct):
    """``user/default/comfy.settings.json``: the frontend's settings, those of the server."""

    arguments: dict[str, object] = msgspec.field(
        name="Comfy.Server.LaunchArgs", default_factory=dict
    )


def _older_base(directory: Path) -> Path | None:
    told = read_json(directory / "config.json", _OlderConfig)
    return None if told is None or not told.base_path else directory / told.base_path


def _older(root: Path, environ: Mapping[str, str], home: Path) -> Iterator[Flags]:
    """Yield the flags where *root* is the base directory, or the code inside the program."""
    for directory in application_directories(_OLDER, environ, home):
        base = _older_base(directory)
        if base is None or not (_same(base, root) or root.parent.name.lower() == "resources"):
            continue
        written = directory / "extra_models_config.yaml"
        flags = Flags(base, extra_files=(written,) if written.is_file() else ())
        yield _with_arguments(flags, _own_arguments(base))


def _own_arguments(base: Path) -> list[str]:
    """Return what a person had the older program add to the command line."""
    settings = read_json(base / "user" / "default" / "comfy.settings.json", _ServerSettings)
    if settings is None:
        return []
    pairs = [(key, value) for key, value in settings.arguments.items() if isinstance(value, str)]
    return [word for key, value in pairs for word in (f"--{key}", value)]


# -- the newer program


class _Install(Struct, rename="camel"):
    """A record of ``installations.json`` (installations.ts)."""

    id: str
    install_path: str
    last_launched_at: float | None = None
    use_shared_models: bool | None = None
    use_shared_output: bool | None = None
    use_shared_input_output: bool | None = None
    """What older versions wrote for the one before."""
    use_shared_paths: bool | None = None
    """What still older versions wrote."""
    output_dir: str | None = None
    adopted_base_dir: str | None = None
    """The base directory of the older program, where this install took that over."""
    launch_args: str | None = None

    @property
    def shares_output(self) -> bool:
        told = (self.use_shared_output, self.use_shared_input_output, self.use_shared_paths)
        return next((each for each in told if each is not None), True)


class _NewerSettings(Struct, rename="camel"):
    """``settings.json`` (settings.ts)."""

    output_dir: str | None = None


def _data_directories(environ: Mapping[str, str], home: Path) -> list[Path]:
    linux = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share", _NEWER_ON_LINUX)
    return [linux, *_config_directories(environ, home)]


def _config_directories(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    return application_directories(_NEWER, environ, home, linux=_NEWER_ON_LINUX)


def _installs(data: Path) -> Iterator[_Install]:
    for record in read_json(data / "installations.json", list[Raw]) or ():
        try:
            install = decoder_of(_Install).decode(record)
        except msgspec.DecodeError:
            continue  # the one in the cloud has no path
        if install.install_path:
            yield install


def _newer(root: Path, environ: Mapping[str, str], home: Path) -> Iterator[Flags]:
    for data in _data_directories(environ, home):
        for install in _installs(data):
            adopted = Path(install.adopted_base_dir) if install.adopted_base_dir else None
            here = _same(Path(install.install_path), root, root.parent)
            if not here and (adopted is None or not _same(adopted, root)):
                continue
            output = _output_of(install, environ, home)
            flags = Flags(adopted, None, output, _written_for(install, data))
            yield _with_arguments(flags, _words(install.launch_args or ""))


def _written_for(install: _Install, data: Path) -> tuple[Path, ...]:
    """Return the file that the program writes at each start for its ``--extra-model-paths-config``.

    Older versions wrote one for all installs.
    """
    own = data / "instance-model-paths" / f"{Path(install.id).name}.yaml"
    shared = data / "shared_model_paths.yaml"
    if own.is_file():
        return (own,)
    return (shared,) if install.use_shared_models is not False and shared.is_file() else ()


def _output_of(install: _Install, environ: Mapping[str, str], home: Path) -> Path | None:
    if not install.shares_output:
        return Path(install.output_dir) if install.output_dir else None
    for directory in _config_directories(environ, home):
        told = read_json(directory / "settings.json", _NewerSettings)
        if told is not None and told.output_dir:
            return Path(told.output_dir)
    shared = (root / "ComfyUI-Shared" / "output" for root in shared_roots(environ, home))
    return next((place for place in shared if place.is_dir()), None)


def shared_roots(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the directories that hold ``ComfyUI-Installs`` and ``ComfyUI-Shared`` (paths.ts)."""
    if environ.get("LOCALAPPDATA"):
        yield Path(environ["LOCALAPPDATA"], "Comfy-Desktop")
    if environ.get("USERPROFILE"):
        yield Path(environ["USERPROFILE"])
    yield home


# -- a command line


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, posix=os.sep == "/")
    except ValueError:  # a quotation mark too many
        return line.split()


def _with_arguments(flags: Flags, words: Sequence[str]) -> Flags:
    """Return *flags* as a command line with *words* after them makes them."""
    given = _given(words)

    def last(flag: str, otherwise: Path | None) -> Path | None:
        values = given.get(flag)
        return Path(values[-1].strip('"')) if values else otherwise

    extra = tuple(Path(each.strip('"')) for each in given.get("--extra-model-paths-config", ()))
    return replace(
        flags,
        base_directory=last("--base-directory", flags.base_directory),
        models_directory=last("--models-directory", flags.models_directory),
        output_directory=last("--output-directory", flags.output_directory),
        extra_files=(*flags.extra_files, *extra),
    )


def _given(words: Sequence[str]) -> Mapping[str, list[str]]:
    """Return the values behind each flag, in order; ``--flag=value`` counts as well."""
    found: dict[str, list[str]] = {}
    flag = ""
    for word in words:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            if equals:
                found.setdefault(flag, []).append(value)
        elif flag:
            found.setdefault(flag, []).append(word)
    return found


def _same(place: Path, *others: Path) -> bool:
    real = os.path.realpath(place)
    return any(real == os.path.realpath(other) for other in others)
