"""The unit of systemd: the user's own, or the system's for one user."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.daemon.service.command import Started
from comfywatchman.daemon.service.doing import Call, Doing
from comfywatchman.daemon.service.standing import Standing
from comfywatchman.daemon.service.units import TEMPLATE, UNIT, system_unit, user_unit
from comfywatchman.domain.errors import ServiceUnavailable

SYSTEM_UNITS = Path("/etc/systemd/system")

_SHOWN = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "StatusText"),
    *("NRestarts", "Result", "ActiveEnterTimestamp", "FragmentPath", "MemoryCurrent"),
)


@dataclass(frozen=True, slots=True)
class Systemd:
    """One unit of one manager."""

    call: Call
    directory: Path
    """Where its unit file lies."""
    user: str | None = None
    """Whom the system unit runs as; ``None`` for the user's own unit."""

    @classmethod
    def of_the_user(cls, call: Call, environ: Mapping[str, str], home: Path) -> Systemd:
        config = environ.get("XDG_CONFIG_HOME", "")
        base = Path(config) if os.path.isabs(config) else home / ".config"  # noqa: PTH117 -- text
        return cls(call, base / "systemd" / "user")

    @property
    def unit(self) -> str:
        return UNIT if self.user is None else TEMPLATE.replace("@", f"@{self.user}")

    @property
    def file(self) -> Path:
        return self.directory / (UNIT if self.user is None else TEMPLATE)

    @property
    def _systemctl(self) -> tuple[str, ...]:
        return ("systemctl", "--no-ask-password", *(("--user",) if self.user is None else ()))

    def check(self) -> None:
        """Ask the manager for a sign of life.

        Raises:
            ServiceUnavailable: there is none, or we cannot speak to it.
        """
        done = self.call([*self._systemctl, "show", "--property=Version"])
        if not done.well:
            raise ServiceUnavailable(f"systemd cannot be asked: {done.said}", remedy=self._remedy())

    def _remedy(self) -> str:
        if self.user is not None:
            return (
                "Where systemd did not start the system, as in a container, have `comfywatchman "
                "run` started by what starts the others."
            )
        return (
            "Log in as this user, not by su or sudo, with XDG_RUNTIME_DIR=/run/user/"
            f"{os.getuid()}; or install the system unit with --system. In a container have "
            "`comfywatchman run` started by what starts the others."
        )

    def text(self, started: Started) -> str:
        return user_unit(started) if self.user is None else system_unit(started)

    def install(self, doing: Doing, started: Started) -> None:
        doing.write(self.file, self.text(started))
        doing.run(*self._systemctl, "daemon-reload", why="systemd reads its units again")
        doing.run(
            *self._systemctl, "enable", self.unit, why=f"{self.unit} starts with {self._begins()}"
        )

    def _begins(self) -> str:
        return "your session" if self.user is None else "the machine"

    def uninstall(self, doing: Doing) -> None:
        """Stop and remove it; what another wrote is refused before anything is stopped."""
        Doing(doing.call, dry=True).remove(self.file)
        if self.file.exists():
            doing.run(
                *(*self._systemctl, "disable", "--now", self.unit),
                why=f"{self.unit} is stopped and starts no more",
            )
        doing.remove(self.file)
        doing.run(*self._systemctl, "daemon-reload", why="systemd reads its units again")

    def change(self, doing: Doing, verb: str) -> None:
        """Start, stop or restart it.

        Raises:
            ServiceUnavailable: it is not installed, or systemd complains.
        """
        if not doing.dry:
            self._require()
        done = {"start": "runs", "stop": "is stopped", "restart": "runs anew"}[verb]
        doing.run(*self._systemctl, verb, self.unit, why=f"{self.unit} {done}")

    def standing(self) -> Standing:
        """Return how the unit stands.

        Raises:
            ServiceUnavailable: systemd cannot be asked.
        """
        self.check()
        done = self.call([*self._systemctl, "show", self.unit, f"--property={','.join(_SHOWN)}"])
        found = dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)
        pid = found.get("MainPID", "0")
        restarts = found.get("NRestarts", "")
        return Standing(
            unit=self.unit,
            file=self.file,
            installed=found.get("LoadState") == "loaded",
            enabled=found.get("UnitFileState", "").startswith("enabled"),
            running=found.get("ActiveState") in {"active", "reloading"},
            state=f"{found.get('ActiveState', 'unknown')} ({found.get('SubState', '')})",
            pid=int(pid) if pid.isdecimal() and int(pid) else None,
            status=found.get("StatusText") or None,
            restarts=int(restarts) if restarts.isdecimal() else None,
            result=found.get("Result") or None,
            since=found.get("ActiveEnterTimestamp") or None,
        )

    def logs(self, lines: int, *, follow: bool, json_: bool) -> list[str]:
        """Return the command that shows what the daemon wrote."""
        whose = ("--user-unit", self.unit) if self.user is None else ("--unit", self.unit)
        shape = "json" if json_ else "cat"
        follows = ("--follow",) if follow else ()
        return ["journalctl", "--no-pager", f"--output={shape}", f"-n{lines}", *follows, *whose]

    def hints(self) -> list[str]:
        """Return what is left to a person after the installation."""
        start = "comfywatchman service start" + (" --system" if self.user is not None else "")
        found = [f"Start it now with `{start}`, or `restart` where it runs already."]
        if self.user is None:
            found.append(
                "To have it run from the start of the machine, also while you are not logged in: "
                "`loginctl enable-linger`."
            )
        else:
            found.append(
                f"Its state lies in /var/lib/comfywatchman/{self.user}, unless state.directory "
                "says otherwise: commands of that user need the same setting."
            )
        return found

    def _require(self) -> None:
        if not self.file.exists():
            raise ServiceUnavailable(
                f"{self.unit} is not installed: there is no {self.file}.",
                remedy="Install it with `comfywatchman service install`"
                + (" --system." if self.user is not None else "."),
            )
