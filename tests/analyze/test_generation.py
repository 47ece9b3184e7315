"""What another program's generation parameters say about models."""

from __future__ import annotations

import time

import pytest

from comfywatchman.analyze.generation import named_models
from comfywatchman.analyze.merge import merged, parameter_mentions
from comfywatchman.domain.references import Lookup, ModelReference, ShortHash

WHOLE = """a cat <lora:detail:0.8> in the style of easy <lora:plain:1>
Negative prompt: bad, Model: none of these
Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, \
Model hash: 6CE0161689, Model: v1-5-pruned, VAE hash: 735e4c3a44, VAE: mse.safetensors, \
Refiner: sd_xl_refiner_1.0 [7440042bbd], Lora hashes: "detail: 7c6bad76eb54, extra: c6e4ed6e0d5e", \
TI hashes: "easy: c74b4e810b03", Hashes: {"model": "6ce0161689", "lora:detail": "0f5ecbd0d0", \
"embed:easy": "c74b4e810b03"}, Version: v1.10.1"""


def read(text: str) -> list[ModelReference]:
    return merged(parameter_mentions(text), (), ())


def test_every_model_of_the_settings_is_named_with_what_is_known_of_its_bytes() -> None:
    found = {(each.folder, each.name): each.short_hashes for each in read(WHOLE)}

    assert found == {
        ("checkpoints", "v1-5-pruned"): (ShortHash("AutoV2", "6ce0161689"),),
        ("checkpoints", "sd_xl_refiner_1.0"): (ShortHash("AutoV2", "7440042bbd"),),
        ("vae", "mse.safetensors"): (ShortHash("AutoV2", "735e4c3a44"),),
        ("loras", "detail"): (
            ShortHash("AutoV2", "0f5ecbd0d0"),
            ShortHash("AutoV3", "7c6bad76eb54"),
        ),
        ("loras", "plain"): (),
        ("loras", "extra"): (ShortHash("AutoV3", "c6e4ed6e0d5e"),),
        ("embeddings", "easy"): (ShortHash("AutoV3", "c74b4e810b03"),),
    }


def test_the_checkpoint_comes_first_and_every_name_may_lack_its_suffix() -> None:
    found = read(WHOLE)

    assert found[0].name == "v1-5-pruned"
    assert {each.lookup for each in found} == {Lookup.STEM}
    assert {each.how for each in found} == {"a1111-text"}


@pytest.mark.parametrize(
    ("digits", "kept"),
    [
        ("6ce01616", (ShortHash("AutoV1", "6ce01616"),)),
        ("ab" * 32, (ShortHash("SHA256", "ab" * 32),)),
        ("6ce016168", ()),  # a length that nobody uses
        ("6ce016168g", ()),
        ("", ()),
    ],
)
def test_the_length_tells_which_hash_it_is(digits: str, kept: tuple[ShortHash, ...]) -> None:
    (found,) = read(f"cat\nSteps: 1, Model hash: {digits}, Model: dream")

    assert found.short_hashes == kept


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ('Model: "a, b", VAE: None', ["a, b"]),
        ("Model: dream, VAE: Automatic", ["dream"]),
        ("Model: dream, Model: other", ["dream"]),
        ("Refiner: without digits", []),
        ("Hashes: {not json}, Model: dream", ["dream"]),
        ('Hashes: {"lora:x": 1}, Model: dream', ["dream"]),
        ('Lora hashes: "no digits at all", Model: dream', ["dream"]),
    ],
)
def test_settings_are_read_as_they_are_written(settings: str, names: list[str]) -> None:
    assert [each.name for each in read(f"cat\nSteps: 1, {settings}")] == names


def test_a_text_without_the_line_of_settings_names_nothing() -> None:
    assert list(named_models("a <lora:x:1>\nModel: dream, Model hash: 6ce0161689")) == []


def test_the_last_line_of_settings_counts() -> None:
    (found,) = read("Steps: 3, Model: of the prompt\nSteps: 20, Model: dream")

    assert found.name == "dream"


@pytest.mark.parametrize(
    "text",
    [
        "Steps: 1, " + "a: " * 200_000,
        "Steps: 1\n" + 'A: "' * 100_000,
        "Steps: 1, " + ', Aaaaaaaaaaa: "\\' * 50_000,
        "Steps: 1, Hashes: " + "{" * 300_000,
        "Steps: 1, Refiner: " + "x [" * 100_000,
        "Steps: 1\n" * 50_000,
        'Steps: 1, Lora hashes: "' + "a: b, " * 50_000 + '"',
    ],
)
def test_a_text_made_to_be_slow_is_not(text: str) -> None:
    began = time.process_time()
    read(text)

    assert time.process_time() - began < 1
