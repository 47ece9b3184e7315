"""The agent of launchd, which runs while its user is logged in."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.daemon.service import LABEL
from comfywatchman.daemon.service.command import Started
from comfywatchman.daemon.service.doing import Call, Doing
from comfywatchman.daemon.service.standing import Standing
from comfywatchman.daemon.service.units import agent
from comfywatchman.domain.errors import ServiceUnavailable


@dataclass(frozen=True, slots=True)
class Launchd:
    """Our agent in the session of one user."""

    call: Call
    home: Path
    uid: int

    @property
    def unit(self) -> str:
        return LABEL

    @property
    def file(self) -> Path:
        return self.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def log(self) -> Path:
        return self.home / "Library" / "Logs" / "comfywatchman.log"

    @property
    def _domain(self) -> str:
        return f"gui/{self.uid}"

    @property
    def _service(self) -> str:
        return f"{self._domain}/{LABEL}"

    def check(self) -> None:
        """Ask launchd for a sign of life.

        Raises:
            ServiceUnavailable: the user has no session, or there is no launchd.
        """
        done = self.call(["launchctl", "print", self._domain])
        if not done.well:
            raise ServiceUnavailable(
                f"launchd cannot be asked: {done.said}",
                remedy="Log in at the screen as this user: an agent lives in that session.",
            )

    def text(self, started: Started) -> str:
        return agent(started, self.log)

    def install(self, doing: Doing, started: Started) -> None:
        doing.write(self.file, self.text(started))
        doing.run("launchctl", "enable", self._service, why=f"{LABEL} starts with your session")

    def uninstall(self, doing: Doing) -> None:
        Doing(doing.call, dry=True).remove(self.file)
        if self._loaded():
            doing.run("launchctl", "bootout", self._service, why=f"{LABEL} is stopped")
        doing.remove(self.file)

    def change(self, doing: Doing, verb: str) -> None:
        """Start, stop or restart it.

        Raises:
            ServiceUnavailable: it is not installed, or launchd complains.
        """
        loaded = self._loaded()
        if not loaded and not self.file.exists() and not doing.dry:
            raise ServiceUnavailable(
                f"{LABEL} is not installed: there is no {self.file}.",
                remedy="Install it with `comfywatchman service install`.",
            )
        if verb == "stop":
            if loaded:
                why = f"{LABEL} is stopped until the next session"
                doing.run("launchctl", "bootout", self._service, why=why)
            else:
                doing.said.append(f"{LABEL} did not run.")
            return
        if loaded and verb == "restart":
            # The file may be another one by now, and launchd reads it at this moment alone.
            doing.run("launchctl", "bootout", self._service, why=f"{LABEL} is stopped")
            loaded = False
        if loaded:
            doing.run("launchctl", "kickstart", self._service, why=f"{LABEL} runs")
        else:
            doing.run("launchctl", "bootstrap", self._domain, str(self.file), why=f"{LABEL} runs")

    def standing(self) -> Standing:
        """Return how the agent stands.

        Raises:
            ServiceUnavailable: launchd cannot be asked.
        """
        self.check()
        done = self.call(["launchctl", "print", self._service])
        pid = re.search(r"^\s*pid = (\d+)$", done.out, re.MULTILINE)
        state = re.search(r"^\s*state = (.+)$", done.out, re.MULTILINE)
        status = re.search(r"^\s*last exit code = (.+)$", done.out, re.MULTILINE)
        return Standing(
            unit=LABEL,
            file=self.file,
            installed=self.file.exists(),
            enabled=self.file.exists(),
            running=done.well and pid is not None,
            state=state[1] if state else "not loaded",
            pid=int(pid[1]) if pid else None,
            result=f"last exit code {status[1]}" if status else None,
        )

    def logs(self, lines: int, *, follow: bool, json_: bool) -> list[str]:
        """Return the command that shows what the daemon wrote: lines of JSON in any case."""
        del json_
        return ["tail", "-n", str(lines), *(("-F",) if follow else ()), os.fspath(self.log)]

    def hints(self) -> list[str]:
        return [
            "Start it now with `comfywatchman service start`, or `restart` where it runs already.",
            f"launchd does not rotate {self.log}: see docs/service.md for newsyslog, or log.file.",
        ]

    def _loaded(self) -> bool:
        return self.call(["launchctl", "print", self._service]).well
