"""The settings as text: those in force, a file to begin with, and the reference."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import fields

from comfywatchman.config.convert import expected
from comfywatchman.config.keys import Key, Section, keys, sections
from comfywatchman.config.load import KEYS, OTHER_VARIABLES, Loaded
from comfywatchman.config.settings import Settings
from comfywatchman.config.values import format_size
from comfywatchman.domain.secrets import Secret

_INTRODUCTION = """\
# Settings

<!-- Made by `make docs` from comfywatchman/config/settings.py; do not edit. -->

One TOML file; `comfywatchman config path` tells where it is, `config init` writes one with every
default in it, `config show` lists what is in force and where each value comes from, `config
check` tells all mistakes at once. A flag goes before the environment, the environment before
the file, the file before the default.

Every key can be set by an environment variable: `COMFYWATCHMAN_`, the section, two underscores,
the key, as in `COMFYWATCHMAN_DOWNLOAD__CONCURRENCY=5` (`COMFYWATCHMAN_COMFYUI_ROOT` for a key
outside the sections, `COMFYWATCHMAN_HUBS__CIVITAI__ENDPOINT` for one two levels down). Lists are
words with commas between them, or JSON. `COMFYWATCHMAN_CONFIG` names the file itself. Also read:
{others}.

An unknown key or variable is an error that names the nearest known one. The file must not be
writable by others, and not readable by everybody where it holds a secret (`chmod 600`). Tokens
are found, the first that is there: in the service manager's credentials
(`$CREDENTIALS_DIRECTORY/hf_token`, `civitai_token`), in the environment, in the settings file, in
`token_file`, and for Hugging Face where `hf auth login` leaves it.

Relative paths in the file are relative to the file, except where ComfyUI is named. Sizes are
numbers of bytes or texts such as `"5GiB"` (powers of 1024) and `"20MB"` (powers of 1000). Keys
marked *planned* are accepted and checked, but nothing reads them yet.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting in force."""

    key: str
    value: object
    """What JSON can hold; ``***`` for a secret."""
    origin: str


def rows(loaded: Loaded) -> tuple[Row, ...]:
    """Return every setting in force, in the order of the reference, without secrets."""
    return tuple(
        Row(name, plain(_value(loaded.settings, name)), loaded.origins[name]) for name in KEYS
    )


def shown(row: Row) -> str:
    """Return the value of *row* as a settings file has it; ``none`` where there is none."""
    planned = "; planned, nothing reads it yet" if KEYS[row.key].says.planned else ""
    value = "none" if row.value is None else _toml(row.value, KEYS[row.key])
    return f"{value}  ({row.origin}{planned})"


def plain(value: object) -> object:
    """Return *value* as JSON can hold it, secrets as ``***``."""
    match value:
        case Secret():
            return str(value)
        case Path():
            return str(value)
        case list() | tuple():
            return [plain(each) for each in value]
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case Section():
            return {info.name: plain(getattr(value, info.name)) for info in fields(value)}
        case _:
            return value


def default_file() -> str:
    """Return a settings file in which every key stands with its default, commented out."""
    lines = [
        "# Settings of comfywatchman. Take the # off a key to change it.",
        "# `comfywatchman config check` tells whether all is well.",
    ]
    for name, section in sections(Settings):
        own = [key for key in KEYS.values() if key.section == name]
        if own:
            lines += ["", f"# {section.__doc__}", f"[{name}]"] if name else [""]
            for key in own:
                lines += _commented(key)
    return "\n".join(lines) + "\n"


def _commented(key: Key) -> Iterator[str]:
    planned = " Planned: nothing reads it yet." if key.says.planned else ""
    shown = f" Default: {key.says.shown}." if key.says.shown else ""
    yield from textwrap.wrap(
        f"{key.says.description}{shown}{planned}".replace("`", ""),
        98,
        initial_indent="# ",
        subsequent_indent="# ",
    )
    value = key.default if key.says.example is None else key.says.example
    yield f"#{key.last} = {_toml(plain(value), key)}"


def _toml(value: object, key: Key) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{name} = {_toml(each, key)}" for name, each in value.items()) + " }"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each, key) for each in value) + "]"
    if key.says.kind == "size" and isinstance(value, int):
        size = format_size(value)
        return size if size.isdigit() else json.dumps(size)
    return json.dumps(value, ensure_ascii=False)


def reference() -> str:
    """Return docs/settings.md."""
    others = ", ".join(f"`{name}`" for name in sorted(OTHER_VARIABLES))
    parts = [_INTRODUCTION.format(others=others)]
    for name, section in sections(Settings):
        own = [key for key in KEYS.values() if key.section == name]
        if own:
            title = f"## [{name}]\n\n{section.__doc__}" if name else "## Outside the sections"
            parts.append(f"{title}\n\n{_table(own)}")
    return "\n".join(parts)


def _table(own: list[Key]) -> str:
    head = "| key | default | takes | meaning |\n| --- | --- | --- | --- |\n"
    return head + "".join(f"{_line(key)}\n" for key in own)


def _line(key: Key) -> str:
    default = key.says.shown
    if not default:
        default = "none" if key.default is None else f"`{_toml(plain(key.default), key)}`"
    planned = " *Planned.*" if key.says.planned else ""
    cells = (
        f"`{key.last}`",
        default,
        expected(key.type, key.says) + _members(key),
        f"{key.says.description}{planned}",
    )
    return f"| {' | '.join(cells)} |"


def _members(key: Key) -> str:
    """Say what the tables of a list have in them."""
    for part in getattr(key.type, "__args__", ()):
        if isinstance(part, type) and issubclass(part, Section):
            return " of tables: " + ", ".join(f"`{inner.name}`" for inner in keys(part))
    return ""


def _value(settings: Settings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value
