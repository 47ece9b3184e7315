from __future__ import annotations

import pytest

from comfywatchman.resolve.civitai_names import (
    MOST_QUERIES,
    is_generated,
    is_generic,
    is_model_of,
    is_nearly,
    model_part,
    queries,
)


@pytest.mark.parametrize(
    ("filename", "query"),
    [
        ("realisticVisionV60B1_v51VAE.safetensors", "realistic Vision V60 B1"),
        ("waiIllustriousSDXL_v160.safetensors", "wai Illustrious SDXL"),
        ("juggernautXL_juggXIByRundiffusion.safetensors", "juggernaut XL"),
        ("majicmixRealistic_v7.safetensors", "majicmix Realistic"),
        ("dreamshaper_8.safetensors", "dreamshaper"),
        ("4xUltrasharp_4xUltrasharpV10.pt", "4x Ultrasharp"),
        ("manyFiles_v20_txt.safetensors", "many Files"),  # _txt: a text encoder's suffix
        ("sdxlThing_v1-inpainting.safetensors", "sdxl Thing"),
    ],
)
def test_a_generated_name_becomes_the_words_of_the_models_name(filename: str, query: str) -> None:
    assert is_generated(filename)
    assert queries(filename, "checkpoints")[0] == query


def test_digits_are_left_out_where_they_may_be_spelled_otherwise() -> None:
    """``V6.0`` became ``V60``, and the search knows only ``V6.0``."""
    assert queries("realisticVisionV60B1_v51VAE.safetensors", "checkpoints")[1] == (
        "realistic Vision"
    )
    assert "controlnet Models" in queries("controlnet11Models_canny.safetensors", "controlnet")


def test_a_camel_case_inside_the_models_name_is_tried_as_one_word() -> None:
    found = queries("motionDirectorExample_v3.safetensors", "animatediff_models")

    assert "motionDirector Example" in found


@pytest.mark.parametrize(
    ("filename", "folder", "expected"),
    [
        ("add-detail-xl.safetensors", "loras", ("add detail xl", "detail xl")),
        ("add_detail.safetensors", "loras", ("add detail", "detail")),
        ("easynegative.safetensors", "embeddings", ("easynegative",)),
        ("FastNegativeV2.pt", "embeddings", ("FastNegativeV2", "Fast Negative V2", "Negative V2")),
        ("kl-f8-anime2.ckpt", "vae", ("kl f8 anime2", "f8 anime2", "kl anime")),
    ],
)
def test_an_uploaded_name_is_tried_with_and_without_its_first_word(
    filename: str, folder: str, expected: tuple[str, ...]
) -> None:
    assert queries(filename, folder) == expected


@pytest.mark.parametrize("filename", ["", ".safetensors", "1.safetensors", "___.pt", "v1.ckpt"])
def test_a_name_with_nothing_to_go_by_is_not_asked_for(filename: str) -> None:
    assert queries(filename, "loras") == ()


def test_letters_that_have_no_case_are_words_too() -> None:
    assert queries("麦橘写实_v7.safetensors", "checkpoints")[0] == "麦橘写实 v7"
    assert queries("фото_реализм.safetensors", "loras")[0] == "фото реализм"


def test_questions_are_few_and_short_however_long_the_name_is() -> None:
    found = queries("_".join(["word"] * 5000) + "X" * 5000 + ".safetensors", "loras")

    assert len(found) <= MOST_QUERIES
    assert all(len(query) <= 100 for query in found)


@pytest.mark.parametrize(
    "filename",
    [
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
        "pytorch_lora_weights.safetensors",
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "ip-adapter.bin",
        "ae.safetensors",
        "vae.pt",
        "text_encoder.safetensors",
        "1.safetensors",
        "last.ckpt",
    ],
)
def test_a_name_that_many_different_files_have_proves_nothing(filename: str) -> None:
    assert is_generic(filename)


@pytest.mark.parametrize(
    "filename", ["detail.safetensors", "flux2-vae.safetensors", "dreamshaper_8.safetensors"]
)
def test_a_name_of_its_own_says_something(filename: str) -> None:
    assert not is_generic(filename)


@pytest.mark.parametrize(
    ("filename", "title", "verdict"),
    [
        ("waiIllustriousSDXL_v160.safetensors", "WAI-illustrious-SDXL", True),
        ("archived_thing.safetensors", "Archived Thing", True),
        ("realisticVisionV60B1_v51VAE.safetensors", "Realistic Vision V6.0 B1", True),
        ("detail.safetensors", "Unrelated", False),
        ("a_b.safetensors", "A", False),
    ],
)
def test_a_name_is_recognized_in_the_title_of_its_model(
    filename: str, title: str, verdict: bool
) -> None:
    assert is_model_of(filename, title) is verdict


@pytest.mark.parametrize(
    ("name", "wanted", "verdict"),
    [
        ("Detail.safetensors", "detail.safetensors", True),
        ("easynegative.safetensors", "easynegative", True),
        ("EasyNegative.pt", "easynegative", True),
        ("v1.5.safetensors", "v1.5", True),
        ("easynegative2.safetensors", "easynegative", False),
        ("detail.ckpt", "detail.safetensors", False),
    ],
)
def test_a_name_is_nearly_the_wanted_but_for_case_or_suffix(
    name: str, wanted: str, verdict: bool
) -> None:
    assert is_nearly(name, wanted) is verdict


def test_two_versions_of_one_model_have_the_same_first_part() -> None:
    assert model_part("dreamShaper_8.safetensors") == model_part("dreamshaper_7.safetensors")


@pytest.mark.parametrize(
    ("filename", "beginning"),
    [
        ("zavyChromaXL_v100.safetensors", "zavyChroma"),  # ZavyChromaXL
        ("realVisXLV50_v50LightningBakedVAE.safetensors", "realVis"),  # RealVisXL V5.0
        ("xXMix9realistic_v40.safetensors", "xXMix"),  # XXMix_9realistic
        ("noobAIXLNAIXL_vPred10Version.safetensors", "noob"),  # NoobAI-XL (NAI-XL)
        ("wAINSFWIllustriousSD_v140.safetensors", "Illustrious SD"),  # WAI-NSFW-illustrious-SDXL
    ],
)
def test_a_title_whose_words_are_written_as_one_is_asked_for_by_its_beginning(
    filename: str, beginning: str
) -> None:
    assert beginning in queries(filename, "checkpoints")
