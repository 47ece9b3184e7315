"""The section ``[notify]``: who is told of what happens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from comfywatchman.config.keys import Says, Section
from comfywatchman.domain.secrets import Secret


class Webhook(Section, frozen=True):
    url: Annotated[
        Secret,
        Says(
            "Where to post; shown as ***, since such addresses are secrets.",
            kind="secret-url",
        ),
    ]
    events: Annotated[
        tuple[str, ...],
        Says(
            "Names of events, such as workflow.ready or download.*; empty means all.", kind="event"
        ),
    ] = ()
    secret_file: Annotated[Path | None, Says("File with the key that signs the posts.")] = None


class Notify(Section, frozen=True):
    """Who is told."""

    webhooks: Annotated[
        tuple[Webhook, ...],
        Says("Tables of url, events and secret_file: who gets changes of state as signed JSON."),
    ] = ()
    urls: Annotated[
        tuple[Secret, ...],
        Says(
            "Addresses of chat, mail and push services as Apprise writes them (ntfy://, slack://, "
            "mailto://, …); needs the extra notify. Shown as ***."
        ),
    ] = ()
    events: Annotated[
        tuple[str, ...],
        Says(
            "What the services of notify.urls are told, as in a webhook's events; empty: that a "
            "workflow became ready, and what needs a person.",
            kind="event",
            example=["workflow.ready", "download.failed"],
        ),
    ] = ()
    insecure_hosts: Annotated[
        tuple[str, ...],
        Says(
            "Hosts, or HOST:PORT, that may be told over plain http and at private addresses; "
            "those of download.insecure_hosts may be, too.",
            kind="host-and-port",
        ),
    ] = ()
    retry_hours: Annotated[
        float,
        Says("How long a notice is tried again before it is given up.", ge=0, le=720),
    ] = 24
