from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import comfywatchman.domain.run_errors  # noqa: F401 - its errors are among them
from comfywatchman.domain.errors import WatchmanError

DOCS = Path(__file__).parents[2] / "docs"


def below(error: type[WatchmanError]) -> Iterator[type[WatchmanError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from below(kind)


ERRORS = [kind for kind in below(WatchmanError) if kind.__module__.startswith("comfywatchman.")]


def headings() -> list[str]:
    return re.findall(r"^## (\S+)$", (DOCS / "errors.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_every_error_has_its_own_entry_in_the_docs(error: type[WatchmanError]) -> None:
    assert headings().count(error.code) == 1


def test_every_entry_in_the_docs_is_an_error() -> None:
    assert set(headings()) <= {error.code for error in ERRORS}


def test_no_two_errors_share_a_code() -> None:
    codes = Counter(error.code for error in ERRORS)

    assert [code for code, count in codes.items() if count > 1] == []


def test_codes_are_words_with_hyphens() -> None:
    assert [
        error.code for error in ERRORS if not re.fullmatch(r"[a-z]+(-[a-z]+)*", error.code)
    ] == []
