"""Where a model goes, and how verified bytes get their name there: over nobody's file."""

from __future__ import annotations

from comfywatchman.place.aside import quarantine, remove_quarantined
from comfywatchman.place.linking import link_existing
from comfywatchman.place.publishing import publish_target
from comfywatchman.place.staging import staged
from comfywatchman.place.target import Target, part_beside, part_name, plan

__all__ = [
    "Target",
    "link_existing",
    "part_beside",
    "part_name",
    "plan",
    "publish_target",
    "quarantine",
    "remove_quarantined",
    "staged",
]
