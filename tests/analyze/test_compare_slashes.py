"""Names with the slashes of another system."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comfywatchman.domain.references import (
    Hint,
    Lookup,
    ReferenceState,
    Writing,
)
from tests.analyze.comparing import (
    MODELS,
    ONE,
    code,
    fetchable,
    file,
    finding,
    says,
    wanting,
)


@pytest.mark.parametrize(
    ("separator", "raw", "listed"),
    [("/", "a\\b/x.pt", "a/b/x.pt"), ("\\", "a\\b/x.pt", "a\\b\\x.pt")],
)
def test_the_slashes_of_another_system_are_told_and_block_nothing(
    separator: str, raw: str, listed: str
) -> None:
    reference = wanting("a/b/x.pt", raw=raw, declared=says(ONE))
    known = file(MODELS / "loras/a/b/x.pt", sha256=ONE, size=12)

    found = finding(reference, known, separator=separator)

    assert (found.state, found.spelling, code(found)) == (
        ReferenceState.ELSEWHERE,
        listed,
        Hint.OTHER_SLASH,
    )
    assert (found.path, found.size, found.sha256, found.found_in) == (known.path, 12, ONE, "loras")
    assert found.misspelled
    assert found.in_place
    assert not found.lacking
    assert fetchable(found) == ()
    assert found.hint is not None
    assert f"Select {listed} in node 1" in found.hint.remedy


@pytest.mark.parametrize(
    ("separator", "raw"), [("/", "a/x.pt"), ("\\", "a\\x.pt"), ("/", "x.pt"), ("\\", "x.pt")]
)
def test_the_slashes_of_this_system_need_no_word(separator: str, raw: str) -> None:
    name = raw.replace("\\", "/")

    found = finding(wanting(name, raw=raw), file(MODELS / "loras" / name), separator=separator)

    assert (found.state, found.spelling, found.hint) == (ReferenceState.PRESENT, None, None)


def test_a_name_that_two_nodes_write_both_ways_is_told_for_the_one_that_is_wrong() -> None:
    both = replace(wanting("a/x.pt"), nodes=("1", "7:2"), also_written=(Writing("7:2", "a\\x.pt"),))

    found = finding(both, file(MODELS / "loras/a/x.pt"))

    assert found.misspelled
    assert found.hint is not None
    assert "refuses a\\x.pt" in found.hint.cause
    assert "node 7:2 (T)" in found.hint.remedy


def test_every_node_that_writes_the_slashes_of_another_system_is_told() -> None:
    three = replace(wanting("a/x.pt", raw="a\\x.pt"), nodes=("1", "2", "3"))

    found = finding(three, file(MODELS / "loras/a/x.pt"))

    assert found.hint is not None
    assert "nodes 1, 2, 3 (T)" in found.hint.remedy


def test_a_backslash_that_is_part_of_a_file_s_name_is_exact_where_that_is_allowed() -> None:
    literal = file(MODELS / "loras/a\\x.pt")

    found = finding(wanting("a/x.pt", raw="a\\x.pt"), literal)

    assert (found.state, found.path, found.hint) == (ReferenceState.PRESENT, literal.path, None)


def test_a_missing_file_with_the_slashes_of_another_system_is_brought() -> None:
    found = finding(wanting("a/x.pt", raw="a\\x.pt"))

    assert (found.state, found.lacking, found.hint) == (ReferenceState.MISSING, True, None)
    assert fetchable(found) == (found,)


def test_a_half_file_with_the_slashes_of_another_system_is_arriving() -> None:
    found = finding(
        wanting("a/x.pt", raw="a\\x.pt", declared=says(ONE)),
        file(MODELS / "loras/a/x.pt", whole=False),
    )

    assert (found.state, found.lacking) == (ReferenceState.ARRIVING, True)
    assert fetchable(found) == ()


def test_slashes_are_told_of_a_directory_and_of_an_embedding_as_well() -> None:
    directory = wanting("a/sd", "diffusers", Lookup.DIRECTORY, raw="a\\sd")
    embedding = wanting("a/easy", "embeddings", Lookup.STEM, raw="a\\easy")
    known = file(MODELS / "embeddings/a/easy.pt")

    assert finding(directory, directory=MODELS / "diffusers/a/sd").spelling == "a/sd"
    assert finding(embedding, known).spelling == "a/easy"
    # Windows joins paths with either slash, and an embedding is looked for in no list.
    assert finding(embedding, known, separator="\\").state is ReferenceState.PRESENT


def test_another_program_s_text_is_no_widget_whose_slashes_could_be_wrong() -> None:
    told = replace(wanting("a/x", "loras", Lookup.STEM, raw="a\\x"), how="a1111-text")

    assert finding(told, file(MODELS / "loras/a/x.pt")).state is ReferenceState.PRESENT
