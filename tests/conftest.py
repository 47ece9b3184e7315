"""The order of the tests: those that wait for processes lie among those that only count.

And no test by examples fails because the machine was slow: what must be quick has its own tests.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", settings.default, deadline=None)
settings.load_profile("patient")

_WAITING = ("stories", "download", "demo", "api", "cli")
"""Rooms whose tests start daemons and commands, and wait for them more than they compute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the modules that wait evenly over all, so that no worker has only such at its end."""
    modules = [list(group) for _, group in groupby(items, lambda item: item.path)]
    waiting = [module for module in modules if _room(module[0].path) in _WAITING]
    others = [module for module in modules if _room(module[0].path) not in _WAITING]
    if not waiting or not others:
        return
    every = sum(map(len, others)) / len(waiting)
    spread: list[pytest.Item] = []
    passed = 0
    for module in others:
        while waiting and passed >= every * (len(modules) - len(others) - len(waiting)):
            spread += waiting.pop(0)
        spread += module
        passed += len(module)
    for module in waiting:
        spread += module
    items[:] = spread


def _room(path: Path) -> str:
    parts = path.parts
    return parts[parts.index("tests") + 1] if "tests" in parts else ""
