"""Where everything lies, and what the configuration of ComfyUI says wrongly about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.installation import Place
    from comfywatchman.domain.errors import Trouble

_TOLD = "comfywatchman.told_of_layout"


def located(found: Loaded) -> Place:
    """Find ComfyUI and its folders, and say what of its configuration could not be used.

    Raises:
        ComfyUINotFound: there is none where it should be.
    """
    from comfywatchman.daemon.installation import locate

    place = locate(found.settings, os.environ)
    warn_of(place)
    return place


def warn_of(place: Place) -> None:
    """Say on stderr, once in a command, what of ComfyUI's configuration could not be used.

    Models in directories that only such a line names count as missing.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.setdefault(_TOLD, False):
        return
    if context is not None:
        context.meta[_TOLD] = True
    for trouble in place.layout.troubles:
        note(f"warning: {trouble.code}: {trouble.cause} {trouble.remedy}")


def troubles_of(found: Loaded) -> Sequence[Trouble]:
    """Return what of ComfyUI's configuration cannot be used; nothing where there is no ComfyUI."""
    from comfywatchman.daemon.installation import locate
    from comfywatchman.domain.errors import ComfyUINotFound

    try:
        return locate(found.settings, os.environ).layout.troubles
    except ComfyUINotFound:
        return ()
