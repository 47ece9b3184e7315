"""The command line, as a person or a script calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cli.warm import warm
from tests.stories.daemon import Tree

LIMIT = 60.0
"""Seconds that a command may take."""

_OF_THE_USER = ("COMFY", "CIVITAI", "HF_", "XDG_", "HUGGING_FACE_", "PYTHONUNBUFFERED")


@dataclass(frozen=True)
class Told:
    """What a command ended with and wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def the_error(self) -> tuple[str, str, str]:
        """Return code, cause and remedy of the error in three lines, and nothing but that."""
        code, cause, remedy = self.err.rstrip("\n").split("\n")
        assert code.startswith("error: ")
        assert cause.startswith("  ")
        assert remedy.startswith("  ")
        assert self.out == ""
        return code.removeprefix("error: "), cause.strip(), remedy.strip()


@dataclass(frozen=True)
class Shell:
    """Calls commands on one scratch tree, in an environment that holds nothing of the user."""

    tree: Tree
    more: Mapping[str, str] = field(default_factory=dict)
    """Of the environment."""

    @property
    def environ(self) -> dict[str, str]:
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(_OF_THE_USER)
        }
        home = self.tree.base / "home"
        home.mkdir(exist_ok=True)
        return {**kept, "HOME": str(home), "PYTHONIOENCODING": "utf-8:strict", **self.more}

    def line(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "comfywatchman", *map(str, arguments)]

    def _of_the_interpreter(self) -> bool:
        """Whether the environment has what Python reads as it starts."""
        return any(name.startswith(("PYTHON", "LC_", "LANG")) for name in self.more)

    def begin(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a command with our settings file and do not wait for it."""
        return subprocess.Popen(
            self.line("--config", self.tree.config, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            cwd=self.tree.base,
        )

    def __call__(self, *arguments: object, stdin: bytes = b"") -> Told:
        """Call a command with our settings file."""
        return self.bare("--config", self.tree.config, *arguments, stdin=stdin)

    def bare(self, *arguments: object, stdin: bytes = b"") -> Told:
        ready = None if self._of_the_interpreter() else warm()
        if ready is None:
            done = subprocess.run(
                self.line(*arguments),
                input=stdin,
                capture_output=True,
                env=self.environ,
                cwd=self.tree.base,
                timeout=LIMIT,
                check=False,
            )
        else:
            words = [str(argument) for argument in arguments]
            done = ready.run(words, self.environ, self.tree.base, stdin, LIMIT)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return Told(done.returncode, done.stdout.decode(), done.stderr.decode())
