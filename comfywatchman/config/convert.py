"""Turns what somebody wrote into the value of a key, or into a sentence about what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Literal, get_args, get_origin

from msgspec import NODEFAULT

from comfywatchman.config.keys import Key, Kind, Says, Section, keys, nearest, subsection
from comfywatchman.config.values import (
    check_host,
    check_host_and_port,
    check_hours,
    check_listen,
    check_secret_url,
    check_token,
    check_url,
    check_url_or_off,
    format_size,
    parse_size,
)
from comfywatchman.domain.notices import NOTICES, is_known
from comfywatchman.domain.secrets import Secret

BACKENDS = ("workflow", "hfcache", "catalog", "civitai", "huggingface", "github", "modelscope")

_TYPE_WORDS: Mapping[object, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}
_KIND_WORDS: Mapping[Kind, str] = {
    "listen": 'HOST:PORT, or ""',
    "url": "an http:// or https:// address",
    "url-or-off": 'an http:// or https:// address, or ""',
}
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


class NotConvertibleError(ValueError):
    """The value cannot be used; the arguments are sentences, each with the key in front."""


@dataclass(frozen=True, slots=True)
class Written:
    """A value as it was given, before anybody looked at it."""

    value: object
    origin: str
    """flag, environment NAME, file PATH, …"""
    text: bool = False
    """Whether it is a text that stands for a number, a truth or a list: an environment variable."""


def convert(key: Key, written: Written) -> object:
    """Return the value of *key*.

    Raises:
        NotConvertibleError: with every problem in it; a secret is in none of them.
    """
    where = key.name
    if written.origin.startswith("environment "):
        where = f"{key.name} ({written.origin.removeprefix('environment ')})"
    problems: list[str] = []
    value = _Converter(problems, written.text).value(written.value, key.type, key.says, where)
    if problems:
        raise NotConvertibleError(*problems)
    return value


@dataclass(frozen=True, slots=True)
class _Converter:
    problems: list[str]
    text: bool

    def value(self, value: object, type_: object, says: Says, where: str) -> object:
        """Return the converted value; where that fails, note it and return ``None``."""
        if get_origin(type_) is UnionType:
            if value is None or (self.text and value == ""):
                return None
            type_ = next(arg for arg in get_args(type_) if arg is not type(None))
        section = subsection(type_)
        if section is not None:
            return self._table(value, section, where)
        if get_origin(type_) is tuple:
            return self._list(value, get_args(type_)[0], says, where)
        return self._single(value, type_, says, where)

    def _single(self, value: object, type_: object, says: Says, where: str) -> object:
        try:
            return _checked(_plain(value, type_, says, text=self.text), says)
        except ValueError as error:
            got = "" if _hidden(type_, says, value) else f", got {_shown(value)}"
            self.problems.append(f"{where}: {error}{got}")
            return None

    def _list(self, value: object, item: object, says: Says, where: str) -> tuple[object, ...]:
        if self.text and isinstance(value, str):
            value = _split(value)
        if not isinstance(value, (list, tuple)):
            got = "" if item is Secret else f", got {_shown(value)}"
            self.problems.append(f"{where}: expected a list{got}")
            return ()
        strict = _Converter(self.problems, text=False)
        found = [
            strict.value(each, item, says, f"{where}[{number}]")
            for number, each in enumerate(value)
        ]
        return tuple(dict.fromkeys(found)) if says.kind else tuple(found)

    def _table(self, value: object, section: type[Section], where: str) -> object:
        if isinstance(value, section):
            return value
        if not isinstance(value, Mapping):
            self.problems.append(f"{where}: expected a table, got {_shown(value)}")
            return None
        known = {key.name: key for key in keys(section)}
        for name in value:
            if name not in known:
                other = nearest(str(name), list(known))
                self.problems.append(f"{where}.{name}: unknown key, the nearest is {other}")
        values: dict[str, object] = {}
        before = len(self.problems)
        for name, key in known.items():
            if name in value:
                values[name] = self.value(value[name], key.type, key.says, f"{where}.{name}")
            elif key.default is NODEFAULT:
                self.problems.append(f"{where}.{name}: is missing")
        return section(**values) if len(self.problems) == before else None


def _plain(value: object, type_: object, says: Says, *, text: bool) -> object:
    """Return *value* as *type_*, within the bounds.

    Raises:
        ValueError: it is not; the message says what is expected.
    """
    read = value
    if isinstance(value, str):
        if says.kind == "size":
            return _within(parse_size(value), type_, says)
        if text and type_ in (int, float, bool):
            read = _read(value)
    if get_origin(type_) is Literal:
        fits = read in get_args(type_)
    elif type_ is float:
        fits = type(read) in (int, float)
    elif type_ in (Path, Secret):
        return _wrapped(read, type_)
    else:
        fits = type(read) is type_
    if not fits:
        raise ValueError(f"expected {expected(type_, says)}")
    return _within(read, type_, says)


def _wrapped(value: object, type_: object) -> object:
    if isinstance(value, (Path, Secret)):
        return value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("expected a path" if type_ is Path else "expected a text")
    return Path(value) if type_ is Path else Secret(value)


def _within(value: object, type_: object, says: Says) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low = -math.inf if says.ge is None else says.ge
        high = math.inf if says.le is None else says.le
        if not low <= value <= high or math.isinf(value):
            raise ValueError(f"expected {expected(type_, says)}")
    return value


def _read(text: str) -> object:
    """Return the number or truth that *text* stands for, or the text itself."""
    word = text.strip().lower()
    if word in _TRUE | _FALSE and not word.isdigit():
        return word in _TRUE
    for read in (int, float):
        try:
            return read(word)
        except ValueError:
            continue
    return text


def expected(type_: object, says: Says) -> str:
    """Say in words what a key takes: ``a whole number from 1 to 32``."""
    if get_origin(type_) is UnionType:
        type_ = next(arg for arg in get_args(type_) if arg is not type(None))
    if get_origin(type_) is Literal:
        return "one of " + ", ".join(get_args(type_))
    if get_origin(type_) is tuple:
        return "a list"
    if says.kind == "size":
        return f"a size such as 5GiB, 20MB or a number of bytes{_bounds(says, format_size)}"
    return _KIND_WORDS.get(says.kind) or _TYPE_WORDS.get(type_, "a text") + _bounds(says)


def _bounds(says: Says, number: Callable[[int], str] = str) -> str:
    if says.ge is not None and says.le is not None:
        return f" from {_number(says.ge, number)} to {_number(says.le, number)}"
    return f", at least {_number(says.ge, number)}" if says.ge else ""


def _number(bound: float, number: Callable[[int], str]) -> str:
    return number(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def check_backend(name: str) -> str:
    """Return *name* if it is a backend of ours, an installed package's, or a Python file.

    Raises:
        ValueError: it is none; the nearest is named.
    """
    if name not in BACKENDS and not name.endswith(".py"):
        from importlib.metadata import entry_points  # 20 ms, and rarely needed

        offered = [point.name for point in entry_points(group="comfywatchman.backends")]
        if name not in offered:
            raise ValueError(
                f"unknown backend, the nearest is {nearest(name, [*BACKENDS, *offered])}"
            )
    return name


def _check_event(name: str) -> str:
    if not is_known(name):
        raise ValueError(f"unknown event, the nearest is {nearest(name, [*NOTICES])}")
    return name


_CHECKS: Mapping[Kind, Callable[[str], str]] = {
    "host": check_host,
    "host-and-port": check_host_and_port,
    "listen": check_listen,
    "url": check_url,
    "url-or-off": check_url_or_off,
    "backend": check_backend,
    "hours": check_hours,
    "event": _check_event,
}


def _checked(value: object, says: Says) -> object:
    if says.kind == "token" and isinstance(value, Secret):
        return Secret(check_token(value.reveal()))
    if says.kind == "secret-url" and isinstance(value, Secret):
        return Secret(check_secret_url(value.reveal()))
    check = _CHECKS.get(says.kind)
    return check(value) if check is not None and isinstance(value, str) else value


def _split(text: str) -> object:
    """Return the list that *text* stands for: JSON, or words with commas between them."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [word.strip() for word in text.split(",") if word.strip()]


def _hidden(type_: object, says: Says, value: object) -> bool:
    """Say whether the value stays out of messages: secrets, and addresses with a name in them."""
    return type_ is Secret or (says.kind.startswith("url") and "@" in str(value))


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
