"""Keeping the daemon small. Imports nothing heavy, because it must run before what does."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from reprlib import recursive_repr
from typing import Any


def keep_rich_out() -> None:
    """Make ``import rich`` fail in this process, unless it is imported already.

    structlog imports rich wherever it is installed, which costs a daemon that writes JSON 3 to
    5 MB; without it structlog falls back by itself. To be called before the first import of
    `comfywatchman.report.log`. `None` in `sys.modules` is the documented way to forbid an import.
    """
    if "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]  # the documented "not importable"


def keep_guessing_out() -> None:
    """Make ``import charset_normalizer`` fail likewise: 1.3 MB.

    requests imports it for texts whose encoding nobody states, which nobody reads here, and warns
    where it is lacking. To be called before the first import of `comfywatchman.net`.
    """
    if "requests" not in sys.modules:
        sys.modules["charset_normalizer"] = None  # type: ignore[assignment]  # as above
        warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")


def share_methods() -> None:
    """Have all dataclasses share what shows them and refuses changes: 2.4 MB for 650 classes.

    Up to Python 3.12 each gets its own, and a frozen one with slots keeps by them the class alive
    that it was made from (dataclasses.py, `_frozen_get_del_attr`, `_repr_fn`). To be called before
    they are made.
    """
    if sys.version_info < (3, 13):
        refusing = (_Frozen.__setattr__, _Frozen.__delattr__)
        vars(dataclasses)["_frozen_get_del_attr"] = lambda *_: refusing
        vars(dataclasses)["_repr_fn"] = lambda *_: _shown


class _Frozen:
    """The methods, under the names by which they are set."""

    def __setattr__(self, name: str, value: object) -> None:
        if _is_frozen(type(self), name):
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if _is_frozen(type(self), name):
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)


@recursive_repr()
def _shown(value: Any) -> str:
    names = (each.name for each in dataclasses.fields(value) if each.repr)
    inner = ", ".join(f"{name}={getattr(value, name)!r}" for name in names)
    return f"{type(value).__qualname__}({inner})"


def _is_frozen(kind: type, name: str) -> bool:
    """Say as dataclasses does: a class that only inherits may have further attributes."""
    fields: object = getattr(kind, "__dataclass_fields__", {})
    return "__dataclass_fields__" in vars(kind) or (isinstance(fields, dict) and name in fields)
