"""Puts the settings in force together: flag > environment > file > default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from comfywatchman.config.convert import NotConvertibleError, Written, convert
from comfywatchman.config.document import Document, flat, read_document
from comfywatchman.config.keys import (
    PREFIX,
    Key,
    Section,
    holds,
    keys,
    nearest,
    sections,
    subsection,
)
from comfywatchman.config.places import expanded, home, settings_file
from comfywatchman.config.settings import Settings
from comfywatchman.config.tokens import HUBS, Hub, credential, login_file, read_token
from comfywatchman.domain.errors import SettingsInvalid, Trouble
from comfywatchman.domain.secrets import Secret

S = TypeVar("S", bound=Section)

FILE_VARIABLE = PREFIX + "CONFIG"
"""Names the settings file; every other variable with the prefix is a key."""

OTHER_VARIABLES: Mapping[str, str] = {
    "HF_ENDPOINT": "hubs.huggingface.endpoint",
    "COMFYUI_ROOT": "comfyui_root",
    **{variable: f"{hub.section}.token" for hub in HUBS for variable in reversed(hub.variables)},
}
"""Variables of other programs that are read as well, the stronger of two later."""

KEYS: Mapping[str, Key] = {key.name: key for key in keys(Settings)}
SECTIONS = frozenset(name for name, _ in sections(Settings) if name)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings in force."""

    settings: Settings
    origins: Mapping[str, str]
    """Key name -> ``flag``, ``environment NAME``, ``file PATH`` or ``default``."""
    path: Path | None
    """The file that was read; ``None`` where there is none."""
    troubles: tuple[Trouble, ...] = ()
    """What could not be used though the settings are right: a token file nobody can read."""


def load(flags: Mapping[str, object], environ: Mapping[str, str], path: Path | None) -> Loaded:
    """Read the settings.

    Args:
        flags: key name (``http.listen``) -> value; ``None`` means not given. Paths among them
            are relative to the current directory.
        environ: the environment.
        path: ``--config``. Without it `FILE_VARIABLE`, then the usual place; only there the
            file may be absent.

    Raises:
        SettingsInvalid: with everything that is wrong, one problem a line; no secret is told.
    """
    file, document = _read(environ, path)
    loading = _Loading(environ, file, list(document.problems))
    loading.take_state_directory()
    loading.take_file(document)
    loading.take_environment()
    loading.take_flags(flags)
    loading.take_credentials()
    loading.convert()
    loading.take_token_files()
    if loading.problems:
        raise _invalid(loading.problems)
    settings = _build(Settings, loading.values, "")
    origins = {
        name: loading.given[name].origin if name in loading.given else "default" for name in KEYS
    }
    return Loaded(settings, origins, file, tuple(loading.troubles))


def settings_path(environ: Mapping[str, str], path: Path | None) -> Path:
    """Return the file that `load` would read, or that ``config init`` should write."""
    if path is None and environ.get(FILE_VARIABLE):
        path = expanded(Path(environ[FILE_VARIABLE]), home(environ))
    return settings_file(environ) if path is None else path.absolute()


def _read(environ: Mapping[str, str], path: Path | None) -> tuple[Path | None, Document]:
    file = settings_path(environ, path)
    named = path is not None or bool(environ.get(FILE_VARIABLE))
    # os.path, for it says no where Path.exists raises: below a directory we may not read.
    if not named and not os.path.exists(file):  # noqa: PTH110 -- see the line above
        return None, Document()
    return file, read_document(file)


def _invalid(problems: list[str]) -> SettingsInvalid:
    if len(problems) == 1:
        cause = f"{problems[0]}."
    else:
        cause = "\n".join([f"{len(problems)} settings are wrong:", *problems])
    return SettingsInvalid(
        cause, remedy="Correct that; `comfywatchman config check` tells whether all is well."
    )


@dataclass(slots=True)
class _Loading:
    """The settings while they are put together; each `take_…` is stronger than the one before."""

    environ: Mapping[str, str]
    file: Path | None
    problems: list[str]
    given: dict[str, Written] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)

    def take_state_directory(self) -> None:
        """Take the directory systemd made for us; where it names several, the first."""
        first = self.environ.get("STATE_DIRECTORY", "").split(":")[0]
        if first:
            self.given["state.directory"] = Written(first, "environment STATE_DIRECTORY", text=True)

    def take_file(self, document: Document) -> None:
        for found in flat(document.tables, KEYS, SECTIONS):
            if isinstance(found, str):
                self.problems.append(found)
                continue
            name, value = found
            self.given[name] = Written(value, f"file {self.file}")
            if document.everybody_reads and holds(KEYS[name].type, Secret):
                self.problems.append(
                    f"{name}: {self.file} may be read by everybody, so no secret may stand in it: "
                    f"chmod 600 {self.file}"
                )

    def take_environment(self) -> None:
        for variable, name in OTHER_VARIABLES.items():
            if self.environ.get(variable):
                self._take_variable(name, variable)
        names = {key.variable: key.name for key in KEYS.values()}
        for variable in sorted(self.environ):
            if variable in names:
                self._take_variable(names[variable], variable)
            elif variable.startswith(PREFIX) and variable != FILE_VARIABLE:
                other = nearest(variable, [*names, FILE_VARIABLE])
                self.problems.append(f"{variable}: unknown variable, the nearest is {other}")

    def _take_variable(self, name: str, variable: str) -> None:
        written = Written(self.environ[variable], f"environment {variable}", text=True)
        self.given[name] = written

    def take_flags(self, flags: Mapping[str, object]) -> None:
        """Take what the command line says; a flag for no key is a bug of ours (KeyError)."""
        for name, value in flags.items():
            if value is not None:
                self.given[KEYS[name].name] = Written(value, "flag")

    def take_credentials(self) -> None:
        for hub in HUBS:
            self._take_token(hub, *credential(hub, self.environ))

    def take_token_files(self) -> None:
        """Take tokens from files named in the settings, then from where their owners keep them."""
        for hub in HUBS:
            file = self.values.get(f"{hub.section}.token_file")
            if isinstance(file, Path) and f"{hub.section}.token" not in self.given:
                found = read_token(file, private=True)
                self._take_token(hub, file, found or _absent(file))
            login = login_file(hub, self.environ)
            if login is not None and f"{hub.section}.token" not in self.given:
                self._take_token(hub, login, read_token(login, private=False))

    def _take_token(self, hub: Hub, file: Path, found: Secret | Trouble | None) -> None:
        name = f"{hub.section}.token"
        if isinstance(found, Trouble):
            self.troubles.append(found)
        elif found is not None:
            self.given[name] = Written(found, f"file {file}")
            self.values[name] = found

    def convert(self) -> None:
        for name, written in self.given.items():
            try:
                value = convert(KEYS[name], written)
            except NotConvertibleError as error:
                self.problems.extend(error.args)
            else:
                self.values[name] = self._placed(KEYS[name], written, value)

    def _placed(self, key: Key, written: Written, value: object) -> object:
        """Return *value* with its paths expanded, and absolute where they are not ComfyUI's."""
        base: Path | None = Path.cwd()
        if written.origin != "flag" and key.says.kind == "in-comfyui":
            base = None
        elif written.origin.startswith("file ") and self.file is not None:
            base = self.file.parent
        return _with_paths(value, home(self.environ), base)


def _with_paths(value: object, home_directory: Path, base: Path | None) -> object:
    if isinstance(value, Path):
        path = expanded(value, home_directory)
        return path if base is None else base / path
    if isinstance(value, tuple):
        return tuple(_with_paths(each, home_directory, base) for each in value)
    if isinstance(value, Section):
        changed = {
            info.name: _with_paths(getattr(value, info.name), home_directory, base)
            for info in msgspec.structs.fields(value)
        }
        return msgspec.structs.replace(value, **changed)
    return value


def _build(section: type[S], values: Mapping[str, object], prefix: str) -> S:
    return section(**dict(_members(section, values, prefix)))


def _members(
    section: type[Section], values: Mapping[str, object], prefix: str
) -> Iterator[tuple[str, object]]:
    for info in msgspec.structs.fields(section):
        inner = subsection(info.type)
        name = prefix + info.name
        if inner is not None:
            yield info.name, _build(inner, values, f"{name}.")
        elif name in values:
            yield info.name, values[name]


def _absent(file: Path) -> Trouble:
    return SettingsInvalid(
        f"{file} does not exist, so there is no token.", remedy="Write the token into it."
    ).trouble()
