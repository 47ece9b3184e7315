"""Mentions of one file become one row."""

from __future__ import annotations

from comfywatchman.domain.references import Writing
from tests.analyze.building import graph, node, read


def test_a_name_that_two_nodes_write_with_different_slashes_is_one_row_that_tells_both() -> None:
    (found,) = read(
        graph(node(1, "VAELoader", "a/x.pt"), node(2, "VAELoader", "a\\x.pt"))
    ).references

    assert (found.name, found.raw, found.nodes) == ("a/x.pt", "a/x.pt", ("1", "2"))
    assert found.also_written == (Writing("2", "a\\x.pt"),)


def test_nodes_that_write_the_same_need_no_word_for_it() -> None:
    (found,) = read(
        graph(node(1, "VAELoader", "a\\x.pt"), node(2, "VAELoader", "a\\x.pt"))
    ).references

    assert (found.raw, found.also_written) == ("a\\x.pt", ())
