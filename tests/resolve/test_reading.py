from __future__ import annotations

import json

import msgspec
import pytest
from requests.structures import CaseInsensitiveDict

from comfywatchman.domain.errors import WrongAnswer
from comfywatchman.resolve.asking import Answer, said
from comfywatchman.resolve.reading import closed, converted, each, read_json


def answer(body: bytes, kind: str = "application/json", *, cut: bool = False) -> Answer:
    headers = CaseInsensitiveDict({"Content-Type": kind})
    return Answer(200, headers, "https://hub.example/x", body, cut)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"{",
        b"nonsense",
        b'{"id": NaN}',
        b'{"id": 1} trailing',
        b'{"name": "\xff\xfe"}',
        b'{"id": ' + b"9" * 100_000 + b"}",
        b"[" * 200_000,
        b'{"a": ' * 50_000 + b"1" + b"}" * 50_000,
    ],
    ids=[
        "empty", "blank", "truncated", "words", "nan", "trailing", "no-utf8", "huge-number",
        "open", "recursive",
    ],
)  # fmt: skip
def test_what_is_no_json_is_a_wrong_answer(body: bytes) -> None:
    with pytest.raises(WrongAnswer) as wrong:
        read_json(answer(body), "The hub")

    assert not wrong.value.retryable


def test_a_page_is_not_read_as_json_whatever_it_holds() -> None:
    with pytest.raises(WrongAnswer, match="a web page"):
        read_json(answer(b"{}", "text/html; charset=utf-8"), "The hub")


def test_an_answer_that_we_cut_is_read_as_far_as_it_goes() -> None:
    whole = {"items": [{"id": n, "text": 'a "quoted" { [ \\', "in": [{"x": n}]} for n in range(9)]}
    text = json.dumps(whole).encode()

    read = read_json(answer(text[: len(text) * 2 // 3], cut=True), "The hub")

    assert read.cut
    assert isinstance(read.data, dict)
    kept = [item for item in read.data["items"] if len(item) == 3]
    assert 4 <= len(kept) < 9
    assert kept == whole["items"][: len(kept)]


def test_every_cut_of_an_answer_can_be_closed() -> None:
    text = json.dumps({"a": [{"b": ["c", {"d": "e}\\"}]}, {"f": [1, 2, {"g": None}]}]}).encode()

    for length in range(len(text)):
        short = closed(text[:length])
        assert short == b"" or json.loads(short) is not None


def test_a_cut_answer_of_more_parts_than_any_is_not_gone_through() -> None:
    # Half a million of them took seconds, and the answer was no answer.
    assert closed(b"[" + b'{"id":1},' * 200_000) == b""


@pytest.mark.parametrize(
    "text", [b"[" * (1 << 20), b'{"a":"' + b"\\" * (1 << 20), b"]", b'{"a":]', b'"' * (1 << 16)]
)
def test_a_cut_answer_without_anything_whole_has_nothing(text: bytes) -> None:
    assert closed(text) == b""


def test_an_answer_cut_before_anything_was_whole_is_a_wrong_answer() -> None:
    with pytest.raises(WrongAnswer, match="longer than we read"):
        read_json(answer(b'{"items": [{"id": 1, "text": "aaaa', cut=True), "The hub")


class Row(msgspec.Struct):
    id: int


def test_one_bad_row_costs_only_itself() -> None:
    rows, bad = each([{"id": 1}, {"id": "2"}, None, [], {"id": 3, "more": {}}], Row)

    assert [row.id for row in rows] == [1, 3]
    assert bad == 3


@pytest.mark.parametrize(("rows", "bad"), [(None, 0), ({}, 1), ("ab", 1), (7, 1)])
def test_rows_that_are_no_list_are_none(rows: object, bad: int) -> None:
    assert each(rows, Row) == ([], bad)


def test_another_type_than_the_known_is_a_wrong_answer() -> None:
    with pytest.raises(WrongAnswer, match="a form that we do not know"):
        converted({"id": "one"}, Row, "The hub", "a row")


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("a\nb\x1b[31m c\u202e", "a b [31m c"),
        ("x" * 500, "x" * 119 + "…"),
        (12, "12"),
        ("", ""),
    ],
)
def test_what_strangers_write_stands_in_a_sentence_on_one_line(told: object, shown: str) -> None:
    assert said(told) == shown
