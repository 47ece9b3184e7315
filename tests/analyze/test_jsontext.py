"""JSON made strict and small: what stays, what goes."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comfywatchman.analyze.formats import Limits, read_in_memory
from comfywatchman.analyze.jsontext import (
    repaired,
    with_finite_numbers,
    without_extremes,
    without_long_texts,
)
from comfywatchman.parsing.tables import shipped_tables

LONG = 3 << 20


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b'{"a":NaN}', b'{"a":null}'),
        (b"[-Infinity, Infinity]", b"[null     , null    ]"),
        (b'["a NaN b", "NaN.pt"]', b'["a NaN b", "NaN.pt"]'),
        (b'["\\ud800x", "\\ud83d\\ude00"]', b'["\\ufffdx", "\\ud83d\\ude00"]'),
        (b'["\\\\ud800"]', b'["\\\\ud800"]'),  # a backslash and a word
        (b'["\xff"]', b'["\x7f"]'),
        (b"\xef\xbb\xbf[]", b"[]"),
    ],
)
def test_what_a_browser_forgives_is_repaired(data: bytes, wanted: bytes) -> None:
    assert repaired(data) == wanted


@example(float("inf"))
@example(float("-inf"))
@example(float("nan"))
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
))  # fmt: skip
def test_whatever_python_writes_can_be_read_after_repair(value: object) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        data = with_finite_numbers(repaired(text.encode("utf-8", "surrogatepass")))

        msgspec.json.decode(data)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.text())
def test_ordinary_json_is_left_alone(numbers: list[float], text: str) -> None:
    data = json.dumps([numbers, text.encode("utf-8", "replace").decode()]).encode()

    assert json.loads(repaired(data)) == json.loads(data)
    assert without_extremes(data) is data
    assert without_long_texts(data) is data


def test_extreme_numbers_lose_their_size_and_nothing_else() -> None:
    value = {"numbers": [1e308, -1.5e300, 5e-324, 2.5] * 10_000, "text": "v1e300, e308", "n": 7}
    data = json.dumps(value).encode()

    read = json.loads(without_extremes(data))

    assert (read["text"], read["n"], len(read["numbers"])) == ("v1e300, e308", 7, 40_000)
    assert read["numbers"][:4] == [1.0, -1.5, 5.0, 2.5]


@pytest.mark.parametrize(
    "number", ["1e308", "1E+0308", "-1e00308", "1e289", "4.9e-324", "1e-0000310", "12345e285"]
)
@pytest.mark.parametrize(
    "place",
    [
        '{"nodes": [{"id": 1, "type": "X", "widgets_values": [%s"a.pt"]}], "links": []}',
        '{"nodes": [{"id": 1, "type": "X", "mode": [%s 0]}], "links": []}',
        '{"nodes": [], "links": [%s[1]]}',
        '{"1": {"class_type": "X", "inputs": {"x": [%s 1]}}}',
    ],
)
def test_no_spelling_of_an_extreme_number_takes_long(number: str, place: str) -> None:
    data = (place % (f"{number}," * 100_000)).encode()
    began = time.process_time()

    content = read_in_memory(data, "w.json", shipped_tables(), Limits(), findings=True)

    assert content.trouble is None
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("piece", ["A rainy street. ", "雨の街。\U0001f327", "QUJD/+", "x\\n\\\\"])
def test_long_texts_are_left_out_and_all_else_stays(piece: str) -> None:
    long = piece * (LONG // len(piece.encode()) + 1)
    data = f'{{"a": ["first", "{long}", "last"], "b": {{"{long}": 1}}, "c": 2.5}}'.encode()

    read = json.loads(without_long_texts(data))

    assert (read["a"][0], read["a"][2], read["c"]) == ("first", "last", 2.5)
    assert len(read["a"]) == 3
    assert len(without_long_texts(data)) < 2_000_000


@pytest.mark.parametrize("numbers", ["1.5, ", "true, ", "null,\n", "[[], {}], ", "-1e-5,"])
def test_long_lists_are_no_long_texts(numbers: str) -> None:
    data = f'["first", {numbers * (LONG // len(numbers))} "last"]'.encode()

    assert without_long_texts(data) is data


def test_what_is_left_out_must_be_sound() -> None:
    with pytest.raises(msgspec.DecodeError):
        without_long_texts(b'["first", ' + b"no text at all, " * (LONG // 16) + b'"last"]')


def test_a_place_in_a_text_is_counted_in_characters_as_an_editor_counts_them() -> None:
    data = '{\n  "ä€𝄞": nope}'.encode()
    trouble = read_in_memory(data, "w.json", shipped_tables(), Limits()).trouble

    assert trouble is not None
    assert "(line 2, column 11)" in trouble.cause
