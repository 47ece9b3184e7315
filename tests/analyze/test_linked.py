"""Links of notes that name no file."""

from __future__ import annotations

import pytest

from comfywatchman.analyze.linked import MOST_LINKED, MOST_LINKS, note_links
from tests.analyze.building import graph, node, read

PAGE = "https://civitai.com/models/58390"
REPO = "https://huggingface.co/owner/repo"


@pytest.mark.parametrize(
    "link",
    [
        f"{PAGE}/detail-tweaker?modelVersionId=62833",
        "https://www.civitai.red/models/58390",
        "https://civitai.com/model-versions/62833",
        "https://civitai.com/api/download/models/62833?fileId=5",
        "http://127.0.0.1:8900/models/58390",
        "urn:air:sd1:lora:civitai:58390@62833",
        REPO,
        f"{REPO}/tree/main/loras",
    ],
)
def test_a_link_to_a_model_or_a_repository_is_found_in_a_sentence(link: str) -> None:
    assert note_links([f"The LoRA is from {link}, thanks.", f"See ({link})."]) == (link,)


@pytest.mark.parametrize(
    "link",
    [
        f"{REPO}/resolve/main/a.safetensors",
        f"{REPO}/blob/main/a.safetensors",
        "https://huggingface.co/docs/hub",
        "https://huggingface.co/owner",
        "https://example.com/page",
        "https://civitai.com/user/somebody",
    ],
)
def test_a_link_to_something_else_is_none(link: str) -> None:
    assert note_links([link]) == ()


def test_a_key_in_a_link_goes() -> None:
    (link,) = note_links(["https://civitai.com/api/download/models/62833?token=0123456789abcdef"])

    assert "0123456789abcdef" not in link


def test_the_number_of_links_has_a_limit() -> None:
    assert len(note_links(f"https://civitai.com/models/{n}" for n in range(1, 99))) == MOST_LINKS


def test_a_reference_that_nothing_else_is_said_of_has_the_links() -> None:
    text = f"[known.pt](https://example.com/known.pt) and {PAGE}"
    workflow = graph(
        node(1, "MarkdownNote", text),
        node(2, "VAELoader", "x.pt"),
        node(3, "VAELoader", "known.pt"),
    )

    other, known = read(workflow).references

    assert (other.linked, known.linked) == ((PAGE,), ())


def test_a_workflow_with_too_many_models_for_its_notes_to_tell_of_has_none() -> None:
    loaders = (node(2 + n, "VAELoader", f"{n}.pt") for n in range(MOST_LINKED + 1))

    found = read(graph(node(1, "MarkdownNote", PAGE), *loaders)).references

    assert {reference.linked for reference in found} == {()}
