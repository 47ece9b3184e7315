from __future__ import annotations

import json
import logging
import pickle

import msgspec
import pytest

from comfywatchman.domain.secrets import Secret

SECRET = Secret("hidden-words")


def test_a_secret_is_revealed_to_whoever_asks_for_it() -> None:
    assert SECRET.reveal() == "hidden-words"


def test_a_secret_prints_as_stars(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("%s %r", SECRET, {"token": SECRET})

    assert f"{SECRET} {SECRET!r} {[SECRET]}" == "*** *** [***]"
    assert "hidden-words" not in caplog.text


def test_a_secret_is_not_encoded_or_stored() -> None:
    for encode in (json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps):
        with pytest.raises((TypeError, NotImplementedError)):
            encode(SECRET)


def test_equal_secrets_are_equal() -> None:
    assert Secret("hidden-words") == SECRET
    assert len({SECRET, Secret("hidden-words"), Secret("x")}) == 2
    assert SECRET != "hidden-words"
