"""Files that are still being written, and files that are there twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.analyze.compare import compare
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Folder, Folders, ModelFile
from comfywatchman.domain.references import (
    Hint,
    ReferenceState,
    WorkflowContent,
)
from tests.analyze.comparing import (
    EXTRA,
    MODELS,
    ONE,
    TWO,
    Shelf,
    code,
    fetchable,
    file,
    finding,
    says,
    wanting,
)

# -- still being written


def test_a_half_file_elsewhere_is_arriving_and_not_called_the_right_one() -> None:
    found = finding(wanting("x.pt"), file(MODELS / "vae/x.pt", whole=False))

    assert (found.state, found.found_in, code(found)) == (
        ReferenceState.ARRIVING,
        "vae",
        Hint.WRONG_FOLDER,
    )
    assert found.hint is not None
    assert "is being written" in found.hint.cause
    assert not found.in_place
    assert fetchable(found) == ()


def test_a_half_file_elsewhere_does_not_keep_the_right_one_from_being_brought() -> None:
    told = wanting("x.pt", declared=says(ONE))

    found = finding(told, file(MODELS / "vae/x.pt", whole=False))

    assert fetchable(found) == (found,)


def test_a_whole_file_elsewhere_goes_before_a_half_one() -> None:
    whole = file(MODELS / "vae/x.pt")

    found = finding(wanting("x.pt"), file(MODELS / "loras/a/x.pt", whole=False), whole)

    assert (found.state, found.path) == (ReferenceState.ELSEWHERE, whole.path)


# -- shadows


def test_a_duplicate_in_a_later_directory_is_told_as_shadowed() -> None:
    opened, other = file(EXTRA / "x.pt"), file(MODELS / "loras/x.pt")

    found = finding(wanting("x.pt"), other, opened)

    assert (found.path, found.shadows, found.hint) == (opened.path, (other.path,), None)


@pytest.mark.parametrize(
    ("one", "two"), [({"size": 7}, {"size": 9}), ({"sha256": ONE}, {"sha256": TWO})]
)
def test_a_different_file_in_a_later_directory_is_told_in_words(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    found = finding(
        wanting("x.pt"), file(MODELS / "loras/x.pt", **two), file(EXTRA / "x.pt", **one)
    )

    assert (found.state, code(found)) == (ReferenceState.PRESENT, Hint.SHADOWED)
    assert not found.lacking


def test_a_link_to_the_same_file_shadows_nothing() -> None:
    linked = [file(EXTRA / "x.pt", inode=5), file(MODELS / "loras/x.pt", inode=5)]

    assert finding(wanting("x.pt"), *linked).shadows == ()


def test_a_file_of_that_name_in_another_folder_of_the_loader_is_not_shadowed_but_further_off() -> (
    None
):
    found = finding(
        wanting("x.pt", "checkpoints", also=("vae",)),
        file(MODELS / "vae/x.pt", size=9),
        file(MODELS / "checkpoints/x.pt"),
    )

    assert (found.path, found.shadows) == (MODELS / "checkpoints/x.pt", ())


def test_of_a_directory_inside_another_the_file_of_the_first_one_is_opened() -> None:
    folders = Folders(
        Path("/comfy"), MODELS, {"loras": Folder("loras", (MODELS / "loras", MODELS / "loras/in"))}
    )
    first, inner = file(MODELS / "loras/x.pt"), file(MODELS / "loras/in/x.pt", size=9)
    content = WorkflowContent("json", "ui", references=(wanting("x.pt"),))

    for files in ([first, inner], [inner, first]):
        (found,) = compare(content, folders, Shelf(files), separator="/")
        assert (found.path, found.shadows) == (first.path, (inner.path,))


# -- files that are none

PAGE = Trouble("verification-failed", "x.pt is a web page.", "Remove it.")
CUT = Trouble("model-incomplete", "x.pt is not complete.", "Wait, or remove it.")


def unusable(path: str, trouble: Trouble) -> ModelFile:
    return replace(file(MODELS / path, whole=False), trouble=trouble)


def test_a_web_page_under_a_model_s_name_is_no_model_and_none_is_fetched_over_it() -> None:
    found = finding(wanting("x.pt", declared=says(ONE)), unusable("loras/x.pt", PAGE))

    assert (found.state, code(found), found.path) == (
        ReferenceState.MISSING,
        Hint.DAMAGED,
        MODELS / "loras/x.pt",
    )
    assert found.hint is not None
    assert found.hint.remedy == PAGE.remedy
    assert found.lacking
    assert fetchable(found) == ()


def test_a_web_page_elsewhere_is_not_the_model_that_is_meant() -> None:
    found = finding(wanting("x.pt"), unusable("vae/x.pt", PAGE))

    assert (found.state, found.hint) == (ReferenceState.MISSING, None)
    assert fetchable(found) == (found,)


def test_a_file_that_is_too_short_and_left_alone_is_no_model() -> None:
    found = finding(wanting("x.pt"), unusable("loras/x.pt", CUT))

    assert (found.state, code(found)) == (ReferenceState.MISSING, Hint.DAMAGED)
    assert fetchable(found) == ()


def test_a_file_that_is_too_short_and_written_to_is_arriving_and_says_how_to_tell() -> None:
    found = finding(wanting("x.pt"), replace(unusable("loras/x.pt", CUT), written=True))

    assert (found.state, code(found)) == (ReferenceState.ARRIVING, Hint.INCOMPLETE)
    assert found.in_place
    assert found.hint is not None
    assert found.hint.remedy == CUT.remedy
