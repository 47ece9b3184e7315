"""What speaks against a file that has the wanted name, and what tells files of one name apart."""

from __future__ import annotations

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.files import ShortHash
from tests.resolve.civitai_asking import DOWNLOAD, NAME, ONE, OTHER, one, page_with, searched
from tests.resolve.civitai_records import a_file

# -- what the workflow says against a file


@pytest.mark.parametrize(
    "url",
    [
        "https://civitai.com/models/99?modelVersionId=990",
        "urn:air:sdxl:lora:civitai:99@990",
        f"{DOWNLOAD}/990",
    ],
)
def test_a_file_of_another_model_than_the_workflow_names_is_a_question(url: str) -> None:
    offers, _, resolution = searched(
        page_with(a_file(NAME, 5, sha256=ONE)), Wanted("loras", NAME, (url,))
    )

    assert one(offers).grade == "E"
    assert any("The workflow names" in text for text in one(offers).evidence)
    assert resolution.chosen == ()


def test_another_version_of_the_model_that_the_workflow_names_is_no_contradiction() -> None:
    url = "https://civitai.com/models/7?modelVersionId=990"

    offers, _, _ = searched(page_with(a_file(NAME, 5, sha256=ONE)), Wanted("loras", NAME, (url,)))

    assert one(offers).grade == "D"


def test_files_of_one_name_say_what_differs() -> None:
    kinds = [("bf16", "full", None), ("fp8", "pruned", None), ("nf4", "pruned", "Q4_K_M")]
    files = [
        a_file(
            NAME,
            number,
            sizeKB=40.5,
            metadata={"format": "SafeTensor", "size": size, "fp": fp, "quantType": quant},
        )
        for number, (fp, size, quant) in enumerate(kinds, 1)
    ]

    offers, _, _ = searched(page_with(*files))

    said = [" ".join(offer.evidence) for offer in offers]
    assert "SafeTensor, full, bf16." in said[0]
    assert "SafeTensor, pruned, fp8." in said[1]
    assert "SafeTensor, pruned, nf4, Q4_K_M." in said[2]
    assert "about 40 KiB" in said[0]


@pytest.mark.parametrize(
    ("kibibytes", "told"),
    [(0.5, "512 bytes"), (900, "900 KiB"), (2048, "2.0 MiB"), (6775430.35, "6.5 GiB")],
)
def test_a_size_is_told_in_the_unit_that_fits(kibibytes: float, told: str) -> None:
    offers, _, _ = searched(page_with(a_file(NAME, sizeKB=kibibytes)))

    assert f"Civitai says that it has about {told}." in one(offers).evidence


@pytest.mark.parametrize("text", ["zzz", "1" * 63, "1" * 65, "g" * 64])
def test_a_stated_hash_that_is_none_leaves_the_file_to_a_person(text: str) -> None:
    wanted = Wanted("loras", NAME, short_hashes=(ShortHash("SHA256", text),))

    offers, _, resolution = searched(page_with(a_file(NAME, 5, sha256=ONE)), wanted)

    assert one(offers).grade == "E"
    assert any("is no hash that we know" in text for text in one(offers).evidence)
    assert resolution.chosen == ()


def test_a_stated_autov2_tells_which_file_is_meant() -> None:
    files = [a_file(NAME, 5, sha256=ONE), a_file(NAME, 6, sha256=OTHER)]
    wanted = Wanted("loras", NAME, short_hashes=(ShortHash("AutoV2", OTHER[:10]),))

    _, _, resolution = searched(page_with(*files), wanted)

    assert [offer.sha256 for offer in resolution.chosen] == [OTHER]
