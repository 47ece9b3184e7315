"""The team's stand-in hubs in a process of their own, where they lie beside the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STANDIN = Path(__file__).parents[2] / "../shared/standin/hubs.py"


@dataclass
class Hubs:
    banner: dict[str, Any]

    def call(self, name: str, **body: object) -> Any:
        request = urllib.request.Request(
            f"{self.banner['control']}/{name}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def file(self, ref: str) -> dict[str, Any]:
        return next(dict(file) for file in self.call("files") if file["ref"] == ref)

    def host(self, name: str) -> str:
        return str(self.banner[name]).partition("://")[2]


@contextmanager
def standing_in() -> Iterator[Hubs]:
    """Run the hubs for a while."""
    with tempfile.TemporaryDirectory() as directory:
        # A file of our own: the stand-in replaces what it is given, as root even a device.
        cache = Path(directory) / "cache.json"
        command = [sys.executable, str(STANDIN), "--hash-cache", str(cache)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield Hubs(json.loads(process.stdout.readline()))
            finally:
                process.terminate()
