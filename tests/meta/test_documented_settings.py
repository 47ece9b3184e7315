from __future__ import annotations

from pathlib import Path

from comfywatchman.config import reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_of_settings_is_the_one_the_code_makes() -> None:
    written = (DOCS / "settings.md").read_text(encoding="utf-8")

    assert written == reference(), "run `make docs`"
