"""Every check, in the order in which a person wants to read them."""

from __future__ import annotations

from comfywatchman.daemon.doctor import disks, installation, keeping, running, telling
from comfywatchman.daemon.doctor.finding import Check, Subject
from comfywatchman.daemon.doctor.network import hub_checks


def checks_of(subject: Subject) -> tuple[Check, ...]:
    """Return what there is to look at in this installation."""
    return (
        Check("versions", installation.versions),
        Check("settings", installation.settings),
        Check("comfyui", installation.comfyui, needs="settings"),
        Check("comfyui server", installation.server, needs="settings"),
        Check("workflow directory", disks.workflows, needs="comfyui"),
        Check("model directory", disks.models, needs="comfyui"),
        Check("free space", disks.room, needs="settings"),
        Check("watch limits", disks.watches, seconds=15.0, needs="comfyui"),
        Check("reading workflows", installation.parsing, seconds=15.0, needs="settings"),
        Check("state", keeping.state_directory, needs="settings"),
        Check("database", keeping.database, seconds=30.0, needs="settings"),
        Check("audit log", keeping.audit, seconds=15.0, needs="settings"),
        Check("leftovers", keeping.leftovers, seconds=15.0, needs="comfyui"),
        Check("daemon", running.daemon, needs="settings"),
        Check("service", running.service),
        Check("notices", telling.notices, needs="settings"),
        *hub_checks(subject),
    )
