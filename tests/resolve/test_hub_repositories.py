"""Repositories of Hugging Face that are named, or called after the model."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.resolve.hub_names import quantized
from tests.resolve.hub_asking import NAME, at, on_the_hub


def test_another_repository_than_the_named_one_is_said() -> None:
    wanted = Wanted("loras", NAME, ("https://huggingface.co/gone/repo/resolve/main/" + NAME,))

    offers, _, _ = on_the_hub(at(f"loras/{NAME}"), wanted)

    (candidate,) = offers
    assert candidate.grade == "D"
    assert "The workflow names the repository gone/repo." in candidate.evidence


@pytest.mark.parametrize(
    ("filename", "words"),
    [
        ("flux1-dev-Q4_K_S.gguf", "flux"),
        ("Qwen3-8B-Q8_0.GGUF", "Qwen"),
        ("t5-v1_1-Q3.gguf", None),
        ("flux1-dev.safetensors", None),
    ],
)
def test_repositories_of_gguf_files_are_called_after_the_model_without_its_number(
    filename: str, words: str | None
) -> None:
    assert quantized(filename) == words


def test_they_are_searched_where_nothing_else_was_found() -> None:
    _, replies, _ = on_the_hub({}, Wanted("diffusion_models", "flux1-dev-Q4_K_S.gguf"))

    asked = [parse_qs(urlsplit(url).query) for url in replies.asked]
    assert [query["search"] for query in asked if "filter" in query] == [["flux"]]
