from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from comfywatchman.report.record import MOST_BYTES, plain, to_json, to_text
from comfywatchman.report.redaction import Redaction

_TEXT = st.text(st.characters(codec=None), max_size=3000)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=200),
    _TEXT,
    _TEXT.map(lambda text: PurePosixPath(text.replace("\0", ""))),
)
_KEYS = st.one_of(_TEXT, st.integers(), st.none(), st.tuples(st.integers()))
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=30), st.dictionaries(_KEYS, inner, max_size=20)
    ),
    max_leaves=60,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(_KEYS, _VALUES, max_size=30))
def test_whatever_is_logged_becomes_one_short_line_of_json(fields: dict[Any, Any]) -> None:
    record = {"event": "x", "level": "info", **plain(fields, Redaction())}

    written = to_json(record)

    assert isinstance(json.loads(written), dict)
    assert len(written) <= MOST_BYTES
    assert len(written.decode().splitlines()) == 1
    assert len(to_text(record)) <= MOST_BYTES
