"""The daemon and its service: does it run, does it answer, is its unit the one we write now?"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from comfywatchman.config.values import listen_address
from comfywatchman.daemon.doctor.finding import (
    Finding,
    Findings,
    Subject,
    fail,
    skip,
    warn,
    well,
)
from comfywatchman.daemon.lock import owner_of
from comfywatchman.daemon.service.command import interpreter
from comfywatchman.daemon.service.doing import is_ours, run_program
from comfywatchman.daemon.service.launchd import Launchd
from comfywatchman.daemon.service.systemd import SYSTEM_UNITS, Systemd
from comfywatchman.daemon.service.units import is_current
from comfywatchman.domain.errors import ServiceUnavailable

_LINGER = Path("/var/lib/systemd/linger")


def daemon(subject: Subject) -> Findings:
    """Say who owns the state, and ask it whether it is ready."""
    assert subject.loaded is not None  # noqa: S101 - the check needs them
    owner = owner_of(subject.loaded.settings.state.directory)
    if owner is None:
        yield warn(
            "daemon",
            "None runs on this state.",
            "Start one: `comfywatchman service install`, then `comfywatchman service start`; or "
            "`comfywatchman run`.",
        )
        yield from _address(subject)
        return
    yield well("daemon", f"Process {owner.pid} ({owner.role}) owns the state.")
    if owner.address is not None:
        yield from _ready(owner.address)


def _ready(address: str) -> Iterator[Finding]:
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=4.0)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(65536)
    except (OSError, HTTPException) as error:
        yield fail(
            "daemon",
            f"It does not answer at http://{address}/: {error}.",
            "Restart it: `comfywatchman service restart`; the log may say why.",
        )
        return
    finally:
        connection.close()
    if answer.status == 200:
        yield well("daemon", f"It is ready, and answers at http://{address}/.")
        return
    if answer.status == 401:
        yield well("daemon", f"It answers at http://{address}/ to whoever has the token.")
        return
    yield warn(
        "daemon",
        f"It is not ready: {_lacking(body)}",
        "`comfywatchman status` and the log say what it waits for.",
    )


def _lacking(body: bytes) -> str:
    try:
        found = json.loads(body)["lacking"]
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
    return " ".join(map(str, found)) if isinstance(found, list) else str(found)


def _address(subject: Subject) -> Iterator[Finding]:
    """Say so where the address of the daemon to come is taken."""
    assert subject.loaded is not None  # noqa: S101 - the check needs them
    address = listen_address(subject.loaded.settings.http.listen)
    if address is None or address[1] == 0:
        return
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            yield fail(
                "daemon",
                f"http.listen ({subject.loaded.settings.http.listen}) cannot be used: "
                f"{error.strerror}.",
                "Name another port with http.listen, or stop what uses this one.",
            )


def service(subject: Subject) -> Findings:
    """Compare the unit that is installed with the one that would be written now."""
    found = list(_installed(subject))
    if not found:
        yield skip("service", "None is installed (`comfywatchman service install`).")
    for manager in found:
        yield from _unit(manager)


def _installed(subject: Subject) -> Iterator[Systemd | Launchd]:
    if sys.platform == "darwin":
        agent = Launchd(run_program, subject.home, os.getuid())
        if agent.file.exists():
            yield agent
        return
    own = Systemd.of_the_user(run_program, subject.environ, subject.home)
    if own.file.exists():
        yield own
    user = subject.environ.get("SUDO_USER") or subject.environ.get("USER") or "root"
    system = Systemd(run_program, SYSTEM_UNITS, user)
    if system.file.exists():
        yield system


def _unit(manager: Systemd | Launchd) -> Iterator[Finding]:
    text = manager.file.read_text("utf-8", "replace")
    again = "`comfywatchman service install`, then `comfywatchman service restart`."
    if not is_ours(text):
        yield warn(
            "service",
            f"{manager.file} was not written by `service install`, or was changed since.",
            f"Move it away with your changes in a drop-in, and {again}",
        )
    elif interpreter()[0] not in text:
        yield warn("service", f"{manager.file} starts another installation than this one.", again)
    elif isinstance(manager, Systemd) and not is_current(text, system=manager.user is not None):
        yield warn("service", f"{manager.file} was written by another version than this.", again)
    else:
        yield well("service", f"{manager.file} is as it was written.")
    drop_ins = sorted(Path(f"{manager.file}.d").glob("*.conf"))
    if drop_ins:
        yield well("service", f"{len(drop_ins)} drop-ins beside it.", files=drop_ins)
    yield from _stands(manager)


def _stands(manager: Systemd | Launchd) -> Iterator[Finding]:
    try:
        found = manager.standing()
    except ServiceUnavailable as error:
        yield skip("service", error.cause)
        return
    if not found.enabled:
        cause = f"{found.unit} does not start by itself."
        yield warn("service", cause, "`comfywatchman service install` has it start by itself.")
    facts = {"state": found.state, "restarts": found.restarts, "result": found.result}
    if found.running:
        yield well("service", f"{found.unit} runs.", **facts)
    else:
        cause = f"{found.unit} does not run: {found.state}, {found.result}."
        yield warn("service", cause, "`comfywatchman service logs`, then `service start`.", **facts)
    if found.restarts:
        yield warn(
            "service",
            f"It was started again {found.restarts} times since it was started by hand.",
            "`comfywatchman service logs` says why it ended.",
        )
    own = isinstance(manager, Systemd) and manager.user is None
    if own and _LINGER.is_dir() and not (_LINGER / _user()).exists():
        yield warn(
            "service",
            "It ends with your last session, and starts with your first one.",
            "`loginctl enable-linger` has it run from the start of the machine.",
        )


def _user() -> str:
    import getpass

    return getpass.getuser()
