"""What is known of bytes, against names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from comfywatchman.domain.references import (
    Declared,
    Hint,
    Lookup,
    ModelReference,
    ReferenceState,
    ShortHash,
)
from tests.analyze.comparing import (
    MODELS,
    ONE,
    THREE,
    TWO,
    code,
    fetchable,
    file,
    finding,
    says,
    wanting,
)


def test_the_promised_bytes_under_another_name_are_elsewhere() -> None:
    other = file(MODELS / "loras/renamed.safetensors", sha256=ONE)

    found = finding(wanting("x.safetensors", declared=says(ONE)), other)

    assert (found.state, found.spelling, found.found_in, code(found)) == (
        ReferenceState.ELSEWHERE,
        "renamed.safetensors",
        "loras",
        Hint.SAME_BYTES,
    )


def test_the_promised_bytes_win_over_a_nearer_name() -> None:
    found = finding(
        wanting("x.pt", declared=says(TWO, ONE)),
        file(MODELS / "loras/sub/x.pt"),
        file(MODELS / "checkpoints/far.pt", sha256=ONE),
    )

    assert (found.found_in, found.spelling, code(found)) == (
        "checkpoints",
        "far.pt",
        Hint.SAME_BYTES,
    )
    assert found.hint is not None
    assert "elect" not in found.hint.remedy


def test_the_promised_bytes_under_the_right_name_in_the_wrong_folder_are_told_as_that() -> None:
    right = file(MODELS / "vae/x.pt", sha256=ONE)

    found = finding(wanting("x.pt", declared=says(ONE)), right, file(MODELS / "loras/a/x.pt"))

    assert (found.path, code(found)) == (right.path, Hint.WRONG_FOLDER)


def test_a_file_elsewhere_whose_bytes_contradict_is_not_called_the_right_one() -> None:
    found = finding(wanting("x.pt", declared=says(ONE)), file(MODELS / "vae/x.pt", sha256=TWO))

    assert (found.state, found.path, code(found)) == (
        ReferenceState.MISSING,
        None,
        Hint.OTHER_BYTES,
    )
    assert found.hint is not None
    assert TWO[:16] in found.hint.cause
    assert ONE[:16] in found.hint.cause
    assert fetchable(found) == (found,)


def test_a_file_of_the_right_name_and_other_bytes_stays_present_and_is_told() -> None:
    found = finding(wanting("x.pt", declared=says(ONE)), file(MODELS / "loras/x.pt", sha256=TWO))

    assert (found.state, found.sha256, code(found)) == (
        ReferenceState.PRESENT,
        TWO,
        Hint.OTHER_BYTES,
    )
    assert not found.lacking


def test_where_the_right_bytes_are_is_told_beside_the_wrong_ones() -> None:
    right = file(MODELS / "loras/other.pt", sha256=ONE)

    found = finding(
        wanting("x.pt", declared=says(ONE)), file(MODELS / "loras/x.pt", sha256=TWO), right
    )

    assert found.hint is not None
    assert str(right.path) in found.hint.cause


@pytest.mark.parametrize("measured", [None, ONE])
def test_bytes_that_nobody_measured_or_that_are_right_need_no_word(measured: str | None) -> None:
    reference = wanting("x.pt", declared=says(ONE))

    assert finding(reference, file(MODELS / "loras/x.pt", sha256=measured)).hint is None


def short(reference: ModelReference, kind: str, digits: str) -> ModelReference:
    return replace(reference, short_hashes=(ShortHash(kind, digits),), how="a1111-text")


def test_ten_digits_of_another_program_s_text_find_the_file_under_any_name() -> None:
    reference = short(wanting("dream", "checkpoints", Lookup.STEM), "AutoV2", ONE[:10])
    renamed = file(MODELS / "checkpoints/sub/best.safetensors", sha256=ONE)

    found = finding(reference, renamed, file(MODELS / "vae/dream.pt", sha256=TWO))

    assert (found.path, found.spelling, code(found)) == (
        renamed.path,
        "sub/best.safetensors",
        Hint.SAME_BYTES,
    )


def test_ten_digits_tell_which_of_two_files_of_one_name_is_meant() -> None:
    reference = short(wanting("dream", "checkpoints", Lookup.STEM), "AutoV2", ONE[:10])
    right = file(MODELS / "checkpoints/b/dream.pt", sha256=ONE)

    found = finding(reference, file(MODELS / "checkpoints/a/dream.pt", sha256=TWO), right)

    assert (found.state, found.path, found.hint) == (ReferenceState.PRESENT, right.path, None)


def test_ten_digits_that_contradict_are_told() -> None:
    reference = short(wanting("dream", "checkpoints", Lookup.STEM), "AutoV2", ONE[:10])

    found = finding(reference, file(MODELS / "checkpoints/dream.pt", sha256=TWO))

    assert (found.state, code(found)) == (ReferenceState.PRESENT, Hint.OTHER_BYTES)


def test_digits_of_another_kind_of_hash_are_not_taken_for_those_of_the_file() -> None:
    reference = short(wanting("dream", "checkpoints", Lookup.STEM), "AutoV1", "0123456789ab")

    assert finding(reference, file(MODELS / "checkpoints/dream.pt", sha256=ONE)).hint is None


# -- AutoV3: twelve digits of what follows a safetensors header

DETAIL = short(wanting("detail", "loras", Lookup.STEM), "AutoV3", TWO[:12])


def test_twelve_digits_find_the_file_under_any_name_and_whatever_its_header() -> None:
    renamed = file(MODELS / "loras/sub/best.safetensors", sha256=ONE, after=TWO)

    found = finding(DETAIL, renamed)

    assert (found.state, found.path, found.spelling, code(found)) == (
        ReferenceState.ELSEWHERE,
        renamed.path,
        "sub/best.safetensors",
        Hint.SAME_BYTES,
    )


def test_twelve_digits_tell_which_of_two_files_of_one_name_is_meant() -> None:
    right = file(MODELS / "loras/b/detail.safetensors", sha256=ONE, after=TWO)
    wrong = file(MODELS / "loras/a/detail.safetensors", sha256=THREE, after=THREE)

    found = finding(DETAIL, wrong, right)

    assert (found.state, found.path, found.hint) == (ReferenceState.PRESENT, right.path, None)


def test_twelve_digits_that_contradict_are_told_with_those_of_the_file() -> None:
    here = file(MODELS / "loras/detail.safetensors", sha256=ONE, after=THREE)

    found = finding(DETAIL, here)

    assert (found.state, code(found)) == (ReferenceState.PRESENT, Hint.OTHER_BYTES)
    assert found.hint is not None
    assert f"AutoV3 {THREE[:12]}" in found.hint.cause
    assert f"AutoV3 {TWO[:12]}" in found.hint.cause


def test_a_file_whose_twelve_digits_contradict_is_not_called_the_right_one_elsewhere() -> None:
    found = finding(DETAIL, file(MODELS / "vae/detail.safetensors", sha256=ONE, after=THREE))

    assert (found.state, code(found)) == (ReferenceState.MISSING, Hint.OTHER_BYTES)


def test_a_safetensors_file_that_was_not_measured_for_them_contradicts_nothing() -> None:
    here = file(MODELS / "loras/detail.safetensors", sha256=ONE)

    assert finding(DETAIL, here).hint is None


@pytest.mark.parametrize("folder", ["embeddings/detail.pt", "embeddings/detail.safetensors"])
def test_twelve_digits_may_be_those_of_the_whole_file(folder: str) -> None:
    """A1111 writes that for embeddings, and for what has no safetensors header."""
    reference = short(wanting("detail", "embeddings", Lookup.STEM), "AutoV3", TWO[:12])

    found = finding(reference, file(MODELS / folder, sha256=TWO, after=THREE))

    assert (found.state, found.hint) == (ReferenceState.PRESENT, None)


def test_twelve_digits_contradict_a_file_that_has_no_such_header() -> None:
    reference = short(wanting("detail", "embeddings", Lookup.STEM), "AutoV3", TWO[:12])

    found = finding(reference, file(MODELS / "embeddings/detail.pt", sha256=ONE))

    assert code(found) == Hint.OTHER_BYTES


# -- several


@pytest.mark.parametrize(
    "facts",
    [
        ({"size": 7}, {"size": 9}),
        ({"sha256": ONE}, {"sha256": TWO}),
        ({"sha256": ONE}, {}, {"sha256": TWO}),  # the one in between could be either
    ],
)
def test_different_files_that_are_equally_near_are_left_to_a_person(
    facts: tuple[dict[str, Any], ...],
) -> None:
    files = [file(MODELS / f"loras/{at}/x.pt", **each) for at, each in enumerate(facts)]

    found = finding(wanting("x.pt"), *files)

    assert (found.state, found.path, found.spelling, code(found)) == (
        ReferenceState.AMBIGUOUS,
        None,
        None,
        Hint.SEVERAL,
    )
    assert found.hint is not None
    assert all(f"loras/{at}/x.pt" in found.hint.cause for at in range(len(files)))
    assert found.lacking
    assert fetchable(found) == ()


def test_an_ambiguous_file_is_brought_where_the_workflow_says_from_where() -> None:
    told = wanting("x.pt", declared=(Declared("https://hub/x", None, "note"),))

    found = finding(told, file(MODELS / "loras/a/x.pt"), file(MODELS / "loras/b/x.pt", size=9))

    assert found.state is ReferenceState.AMBIGUOUS
    assert fetchable(found) == (found,)


@pytest.mark.parametrize("sha256", [ONE, None])
def test_the_same_bytes_twice_are_not_ambiguous(sha256: str | None) -> None:
    twice = [file(MODELS / f"loras/{at}/x.pt", sha256=sha256) for at in "ba"]

    found = finding(wanting("x.pt"), *twice)

    assert (found.state, found.spelling) == (ReferenceState.ELSEWHERE, "a/x.pt")


def test_a_nearer_file_is_not_ambiguous_with_one_that_is_farther_off() -> None:
    found = finding(
        wanting("x.pt"),
        file(MODELS / "loras/sub/x.pt"),
        file(MODELS / "vae/x.pt", size=9),
        file(MODELS / "checkpoints/x.pt", size=11),
    )

    assert (found.state, found.found_in) == (ReferenceState.ELSEWHERE, "loras")


def test_the_promised_bytes_settle_what_names_leave_open() -> None:
    found = finding(
        wanting("x.pt", declared=says(ONE)),
        file(MODELS / "loras/a/x.pt", sha256=ONE),
        file(MODELS / "loras/b/x.pt", sha256=TWO),
    )

    assert (found.state, found.spelling) == (ReferenceState.ELSEWHERE, "a/x.pt")


def test_two_embeddings_of_one_name_are_told_since_nobody_knows_which_is_opened() -> None:
    found = finding(
        wanting("easy", "embeddings", Lookup.STEM),
        file(MODELS / "embeddings/easy.pt"),
        file(MODELS / "embeddings/deep/easy.pt", size=9),
    )

    assert (found.state, code(found)) == (ReferenceState.PRESENT, Hint.SEVERAL)
