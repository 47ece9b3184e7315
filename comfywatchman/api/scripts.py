"""Download scripts of models that a program names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.api.told import told
from comfywatchman.domain.api_errors import ConfigurationError, ValidationError
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.references import (
    Analysis,
    Finding,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.report.scripts import SCRIPTS

if TYPE_CHECKING:
    from comfywatchman.api.downloads import DownloadManager, Planned, Wish


def script(downloads: DownloadManager, models: Sequence[Wish], kind: str) -> str:
    """Return what fetches *models*; see `DownloadManager.generate_script`."""
    from comfywatchman.daemon.installation import locate
    from comfywatchman.daemon.scripting import errands

    if kind not in SCRIPTS:
        raise ValidationError(
            f"There is no script for {kind!r}.", remedy=f"There are {', '.join(sorted(SCRIPTS))}."
        )
    settings = downloads.settings
    with told(ConfigurationError):
        place = locate(settings, os.environ)
        plans = downloads.planned(models, place, settings)
        findings = tuple(map(_finding, models, plans))
        content = WorkflowContent("json", "ui")
        listed = errands(settings, place, [Analysis(Path("-"), "", content, findings)])
    return SCRIPTS[kind](listed)


def _finding(model: Wish, plan: Planned) -> Finding:
    """Return what a report would say of a model that is missing."""
    if isinstance(plan, FetchModel):
        reference = ModelReference(plan.folder, plan.name, plan.name, "", "", "")
        return Finding(reference, ReferenceState.MISSING, candidates=plan.sources)
    reference = ModelReference(None, model.filename, model.filename, "", "", "")
    why = Trouble(plan.error_code or "", plan.error_message or "", plan.remedy or "")
    return Finding(reference, ReferenceState.MISSING, trouble=why)
