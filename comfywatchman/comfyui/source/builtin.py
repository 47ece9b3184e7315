"""The names that every Python module sees."""

from __future__ import annotations

import builtins
from collections.abc import Mapping

from comfywatchman.comfyui.source.values import Outside, Value

BUILTIN: Mapping[str, Value] = {
    name: Outside(f"builtins.{name}") for name in dir(builtins) if not name.startswith("_")
} | {"__import__": Outside("builtins.__import__")}
