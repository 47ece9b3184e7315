"""What the service manager is told: sd_notify, in a few lines of socket code.

Source: sd_notify(3), sd_watchdog_enabled(3). No kept small package does it (see libraries in
docs/architecture.md).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST_STATUS = 200
"""Characters of the status line; `systemctl status` shows one line."""


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Whoever started us and wants to hear how it goes; perhaps nobody.

    Any thread may use it; no method raises: a manager that cannot be told is no reason to stop.
    """

    address: str | None = None
    """A path, or ``@`` and an abstract name (Linux)."""
    watchdog_seconds: float | None = None
    """How long it waits for a sign of life before it ends us."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> ServiceManager:
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):  # none, or of a kind that only machines have
            return cls()
        return cls(address, _watchdog(environ))

    @property
    def listens(self) -> bool:
        return self.address is not None

    def tell(self, *fields: str) -> bool:
        """Send ``NAME=value`` *fields* in one message; return whether it went out."""
        if self.address is None:
            return False
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        message = "\n".join(fields).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                # A manager that does not read must not hold the thread that tells.
                sender.settimeout(1.0)
                sender.connect(address)
                sender.sendall(message)
        except OSError:
            return False
        return True

    def ready(self) -> None:
        self.tell("READY=1")

    def reloading(self) -> None:
        """Tell that the settings are read again; `ready` follows in any case."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self) -> None:
        self.tell("STOPPING=1")

    def status(self, line: str) -> None:
        """Show *line*; what would end it is left out."""
        shown = " ".join(line.split())
        self.tell(f"STATUS={shown[:_LONGEST_STATUS]}")

    def alive(self) -> None:
        self.tell("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Ask for *seconds* more, counted from now, for the start or the stop under way."""
        self.tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Return the time-out in seconds; ``None`` where there is none, or it is another process's."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    micros = environ.get("WATCHDOG_USEC", "")
    return int(micros) / 1_000_000 if micros.isdecimal() and int(micros) else None
