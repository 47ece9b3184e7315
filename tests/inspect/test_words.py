from __future__ import annotations

import json

import pytest

from comfywatchman.inspect.words import Tag, Trigger, Words, words_of

FREQUENCY = json.dumps({"10_ohwx woman": {"ohwx": 20, "smile": 11}, "reg": {"smile": 2}})
DIRECTORIES = json.dumps({"10_ohwx woman": {"n_repeats": 10, "img_count": 20}})


def test_what_the_author_says_comes_first() -> None:
    found = words_of({"modelspec.trigger_phrase": "ohwx, zwx style", "ss_tag_frequency": FREQUENCY})

    assert found.triggers == (
        Trigger("ohwx", "modelspec.trigger_phrase"),
        Trigger("zwx style", "modelspec.trigger_phrase"),
    )
    assert found.tags == (Tag("ohwx", 20), Tag("smile", 13))


def test_the_name_of_the_training_directory_and_a_tag_on_every_picture_are_triggers() -> None:
    found = words_of({"ss_tag_frequency": FREQUENCY, "ss_dataset_dirs": DIRECTORIES})

    assert found.triggers == (
        Trigger("ohwx woman", "ss_dataset_dirs"),
        Trigger("ohwx", "ss_tag_frequency, on 20 of 20 pictures"),
    )


def test_a_list_of_words_is_read_as_one() -> None:
    assert words_of({"trained_words": '["a b", "c"]'}).triggers == (
        Trigger("a b", "trained_words"),
        Trigger("c", "trained_words"),
    )


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"a": 1}', '{"a": {"b": "c"}}', "[" * 100_000, '{"a":' * 100_000,
     '"\\ud800"', '{"a": {"b": 1e999}}', '{"a": {"b": 99999999999999999999999}}'],
)  # fmt: skip
def test_what_is_no_such_table_has_no_words(text: str) -> None:
    assert words_of({"ss_tag_frequency": text, "ss_dataset_dirs": text}) == Words()
