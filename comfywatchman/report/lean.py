"""Keeping the daemon small. Imports nothing heavy, because it must run before what does."""

from __future__ import annotations

import sys


def keep_rich_out() -> None:
    """Make ``import rich`` fail in this process, unless it is imported already.

    structlog imports rich wherever it is installed, which costs a daemon that writes JSON 3 to
    5 MB; without it structlog falls back by itself. To be called before the first import of
    `comfywatchman.report.log`. `None` in `sys.modules` is the documented way to forbid an import.
    """
    if "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]  # the documented "not importable"
