"""A model on a drive that is not there: told with its reason, and not fetched a second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import (
    ModelFound,
    RootOffline,
    RootOnline,
    WorkflowAnalyzed,
)
from comfywatchman.domain.references import Analysis, Finding, ReferenceState
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.unplugged import with_unplugged
from tests.pipeline.office import Office
from tests.state.rows import analysis, finding, stamp

WHY = Trouble("root-offline", "The drive is not there.", "Connect it.")
W = Path("/wf/a.json")


@pytest.fixture
def lora(office: Office, folders: Folders) -> Path:
    """A known file whose drive is not there."""
    path = folders.models_root / "loras/x.safetensors"
    office.happens(ModelFound(path, 10, whole=True, stamp=stamp()))
    return path


def told(office: Office, folders: Folders, asked: Finding, reach: Reach) -> Finding:
    with office.reader.connect() as connection:
        (found,) = with_unplugged([asked], folders, connection, reach)
    return found


def test_what_is_missing_only_because_its_drive_is_says_so_and_is_not_fetched(
    office: Office, folders: Folders, lora: Path
) -> None:
    reach = Reach(offline={folders.models_root / "loras": WHY})
    found = told(office, folders, finding("x.safetensors"), reach)

    assert (found.state, found.path, found.size) == (ReferenceState.MISSING, lora, 10)
    assert found.trouble is not None
    assert found.trouble.code == "root-offline"
    assert WHY.cause in found.trouble.cause
    assert found.trouble.remedy == WHY.remedy
    assert Analysis(W, "", analysis(W).content, (found,)).fetchable == ()


def test_what_was_never_known_there_is_missing_as_ever(
    office: Office, folders: Folders, lora: Path
) -> None:
    reach = Reach(offline={folders.models_root / "loras": WHY})
    asked = finding("other.safetensors")

    assert told(office, folders, asked, reach) == asked


def test_with_every_drive_there_nothing_is_looked_up(
    office: Office, folders: Folders, lora: Path
) -> None:
    asked = finding("x.safetensors")

    assert told(office, folders, asked, Reach()) == asked
    elsewhere = Reach(offline={folders.models_root / "vae": WHY})
    assert told(office, folders, asked, elsewhere) == asked


def test_workflows_are_looked_at_again_when_the_drive_of_a_model_goes_and_comes(
    office: Office, folders: Folders, lora: Path
) -> None:
    office.happens(WorkflowAnalyzed(analysis(W, finding("x.safetensors")), 0.1))
    office.happens(WorkflowAnalyzed(analysis("/wf/b.json", finding("y.safetensors")), 0.1))
    office.happens(RootOffline(folders.models_root / "loras", WHY))
    assert office.waiting("analyze") == [AnalyzeWorkflow(W, Cause.REMOVED)]

    office.happens(RootOnline(folders.models_root / "loras"))
    (job,) = office.waiting("analyze")
    assert job.key == str(W)
