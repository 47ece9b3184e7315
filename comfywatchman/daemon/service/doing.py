"""What is done to install a service, said as it is done, or only said."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from comfywatchman.disk.errors import writing_failed
from comfywatchman.domain.errors import NameTaken, ServiceUnavailable

_PROGRAM_SECONDS = 150.0
"""Starting waits until the daemon is ready, which the unit allows 120 s for."""

_MARK = "Written by `comfywatchman service install`"


@dataclass(frozen=True, slots=True)
class Done:
    """What a program ended with and wrote."""

    status: int
    out: str = ""
    err: str = ""

    @property
    def well(self) -> bool:
        return self.status == 0

    @property
    def said(self) -> str:
        """Its complaint on one line."""
        return " ".join((self.err or self.out).split()) or f"it ended with status {self.status}"


Call: TypeAlias = Callable[[Sequence[str]], Done]
"""Runs a program by its argument list, without a shell."""


def run_program(arguments: Sequence[str]) -> Done:
    """Run a program of the service manager and wait for it; 127 where there is none."""
    # Words of other languages could not be told apart.
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    session = f"/run/user/{os.getuid()}"
    if "XDG_RUNTIME_DIR" not in environ and Path(session).is_dir():
        environ["XDG_RUNTIME_DIR"] = session  # as a login would: sudo -u and cron leave it out
    try:
        done = subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            errors="replace",
            env=environ,
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return Done(127, err=f"there is no program {arguments[0]}")
    except OSError as error:
        return Done(126, err=f"{arguments[0]} cannot be run: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Done(124, err=f"{arguments[0]} did not answer within {_PROGRAM_SECONDS:.0f} s")
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class Doing:
    """Carries steps out one by one, or only says them (*dry*)."""

    call: Call
    dry: bool = False
    said: list[str] = field(default_factory=list)
    """What was done, a sentence each; in a dry run, what would be."""

    def run(self, *arguments: str, why: str) -> None:
        """Run a program.

        Raises:
            ServiceUnavailable: it complains.
        """
        line = " ".join(arguments)
        if self.dry:
            self.said.append(f"Would run `{line}`: {why}.")
            return
        done = self.call(arguments)
        if not done.well:
            raise ServiceUnavailable(
                f"`{line}` failed: {done.said}",
                remedy="Look at `comfywatchman service logs`, or run that command by hand.",
            )
        self.said.append(f"{why} (`{line}`).")

    def write(self, file: Path, text: str) -> None:
        """Write *file* in one step, unless another than us wrote or changed what is there.

        Raises:
            NameTaken: what is there is not as we wrote it.
            DiskFailed, DiskFull, FolderNotWritable: it cannot be written.
        """
        data = text.encode()
        if _same(file, data):
            self.said.append(f"{file} is as it should be.")
            return
        refuse_others(file)
        if self.dry:
            self.said.append(f"Would write {file}.")
            return
        staged = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(data)
            staged.chmod(0o644)
            staged.replace(file)
        except OSError as error:
            staged.unlink(missing_ok=True)
            raise writing_failed(error, file) from error
        self.said.append(f"Wrote {file}.")

    def remove(self, file: Path) -> None:
        """Remove *file*, unless another than us wrote or changed it.

        Raises:
            NameTaken, DiskFailed: as for `write`.
        """
        if not os.path.lexists(file):
            self.said.append(f"{file} was not there.")
            return
        refuse_others(file)
        if self.dry:
            self.said.append(f"Would remove {file}.")
            return
        try:
            file.unlink()
        except OSError as error:
            raise writing_failed(error, file) from error
        self.said.append(f"Removed {file}.")


def marked(body: str, *, before: str = "# ", after: str = "") -> str:
    """Return *body* under a line that says who wrote it, and by which one sees that it changed.

    Args:
        body: the lines of the file, and its newline.
        before: what begins a comment there.
        after: what ends it.
    """
    digest = hashlib.sha256(body.encode()).hexdigest()
    words = f"{_MARK}; changes belong in a drop-in. sha256={digest}"
    return f"{before}{words}{after}\n{body}"


def is_ours(text: str) -> bool:
    """Whether *text* is what `marked` made, and nobody changed it since."""
    found, head, body = text.partition("sha256=")
    if not head or _MARK not in found:
        return False
    digest, rest = body[:64], body[64:]
    return hashlib.sha256(rest.partition("\n")[2].encode()).hexdigest() == digest


def refuse_others(file: Path) -> None:
    """Refuse what is there already and is not as we wrote it.

    Raises:
        NameTaken: it is not ours.
    """
    if not os.path.lexists(file):
        return
    if not file.is_symlink() and file.is_file():
        try:
            if is_ours(file.read_text("utf-8", "replace")):
                return
        except OSError as error:
            raise writing_failed(error, file) from error
    raise NameTaken(
        f"{file} was not written by this command, or was changed since.",
        remedy="Move it away, with its changes into a drop-in if you want to keep them "
        "(`systemctl edit`), and try again.",
    )


def _same(file: Path, data: bytes) -> bool:
    try:
        return not file.is_symlink() and file.read_bytes() == data
    except OSError:
        return False
