"""What a person reads while files come: nothing is called verified that nobody vouched for."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.cli.progress import told
from comfywatchman.domain.files import Measured
from comfywatchman.domain.messages import ModelPlaced

PATH = Path("/models/loras/x.safetensors")


@pytest.mark.parametrize(
    ("promised", "linked_from", "line"),
    [
        (True, None, f"placed, verified: {PATH}"),
        (False, None, f"placed, unverifiable (no published hash): {PATH}"),
        (True, Path("/other/x.safetensors"), f"here already, linked: {PATH}"),
        (False, PATH, f"here already: {PATH}"),
    ],
)
def test_a_placed_model_is_told_with_its_proof(
    promised: bool, linked_from: Path | None, line: str
) -> None:
    measured = Measured(7, "ab" * 32)
    event = ModelPlaced(
        "loras", "x.safetensors", PATH, measured, "web", linked_from, promised=promised
    )

    assert told(event) == line
