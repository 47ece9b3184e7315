"""What is known of a widget's value: a value and where it stood, or why there is none."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec


class Unknown(Enum):
    """Why there is no value."""

    ABSENT = "absent"
    """Nobody gives one: the widget's stored value is in force."""
    DYNAMIC = "dynamic"
    """Another node computes it when the workflow runs."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A value in force, and where it stood."""

    value: Any
    how: str


Answer = Found | Unknown
