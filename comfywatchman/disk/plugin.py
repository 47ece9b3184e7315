"""What a Python file of the user's own makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def made_by(path: Path, factory: str, kind: str) -> Any:
    """Run the file *path* as a module of its own and call its *factory*.

    Args:
        path: of a Python file; ``~`` stands for the home directory.
        factory: the name of something in it that is called without arguments.
        kind: what it is for; part of the name of the module.

    Raises:
        Exception: there is none that Python could run, or whatever the file raises.
    """
    file = path.expanduser()
    spec = importlib.util.spec_from_file_location(f"comfywatchman_{kind}_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, factory)()
