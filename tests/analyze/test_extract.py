from __future__ import annotations

import pytest

from comfywatchman.analyze.loaders import read_tables
from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.domain.references import Lookup
from tests.analyze.building import Json, graph, named, node, read, references


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("UNETLoader", ["a.safetensors", "default"], [("diffusion_models", "a.safetensors")]),
        ("CLIPLoader", ["a.safetensors", "wan"], [("text_encoders", "a.safetensors")]),
        ("CLIPVisionLoader", ["a.safetensors"], [("clip_vision", "a.safetensors")]),
        ("VAELoader", ["pixel_space"], []),
        (
            "VAELoader",
            ["taesd"],
            [("vae_approx", "taesd_encoder"), ("vae_approx", "taesd_decoder")],
        ),
        ("VAELoader", ["taehv.pth"], [("vae_approx", "taehv.pth")]),
        ("LoraLoader", ["None", 1, 1], []),
        ("LoraLoader", ["SDXL\\x.safetensors", 1, 1], [("loras", "SDXL/x.safetensors")]),
        ("CLIPLoaderMultiGPU", ["a.safetensors"], [("text_encoders", "a.safetensors")]),
        (
            "Efficient Loader",
            ["c.safetensors", "Baked VAE", -1, "None", 1, 1],
            [("checkpoints", "c.safetensors")],
        ),
        (  # the second row is beyond the count
            "LoRA Stacker",
            ["simple", 1, "a.safetensors", 1, 1, 1, "b.safetensors", 1, 1, 1],
            [("loras", "a.safetensors")],
        ),
        (  # the first row is off
            "CR LoRA Stack",
            ["Off", "a.safetensors", 1, 1, "On", "b.safetensors", 1, 1],
            [("loras", "b.safetensors")],
        ),
        (
            "Power Lora Loader (rgthree)",
            [
                {},
                {"type": "header"},
                {"on": True, "lora": "a.safetensors", "strength": 1},
                {"on": False, "lora": "b.safetensors", "strength": 1},
                {"on": True, "lora": "None", "strength": 1},
            ],
            [("loras", "a.safetensors")],
        ),
        (  # names without suffix, in rows beside the text that shows them
            "Lora Loader (LoraManager)",
            ["<lora:a:1>", [{"name": "a", "active": True}, {"name": "b", "active": False}]],
            [("loras", "a")],
        ),
        ("SAMLoader", ["ESAM", "AUTO"], []),
        ("ShowText|pysssss", ["a.safetensors"], []),
        ("LoraLoader|pysssss", [{"content": "a.safetensors"}, 1, 1], [("loras", "a.safetensors")]),
    ],
)
def test_the_table_tells_folder_and_name(
    kind: str, values: list[object], expected: list[tuple[str, str]]
) -> None:
    assert named(graph(node(1, kind, *values))) == expected


def test_rows_that_are_switched_off_are_told_as_inactive() -> None:
    values = ["Off", "a.safetensors", 1, 1, "On", "b.safetensors", 1, 1]

    found = references(graph(node(1, "CR LoRA Stack", *values)))

    assert [(each.name, each.active) for each in found] == [
        ("a.safetensors", False),
        ("b.safetensors", True),
    ]


def test_an_unknown_node_is_searched_for_names_of_model_files() -> None:
    values = ["text", "sub/x.gguf", {"deep": [{"lora": "y.safetensors", "on": False}]}, 3]

    found = references(graph(node(1, "NobodyKnows", *values)))

    assert [(each.folder, each.name, each.active) for each in found] == [
        (None, "sub/x.gguf", True),
        ("loras", "y.safetensors", False),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/x.safetensors",
        "line\nx.safetensors",
        "owner/repo | x.gguf",
        "x.safetensors [output]",
        "y" * 600 + ".safetensors",
        ".safetensors",
        "a photo of model.safetensors in the sun",
    ],
)
def test_text_that_only_looks_like_a_file_is_no_requirement(text: str) -> None:
    assert named(graph(node(1, "NobodyKnows", text))) == []


def test_the_name_of_a_widget_can_tell_the_folder() -> None:
    prompt = {"1": {"class_type": "NobodyKnows", "inputs": {"unet_name": "x.safetensors"}}}

    assert named(prompt) == [("diffusion_models", "x.safetensors")]


def test_a_declaration_can_tell_the_folder() -> None:
    model = {"name": "x.safetensors", "url": "https://example.org/x", "directory": "unet"}

    assert named(
        graph(node(1, "NobodyKnows", "x.safetensors", properties={"models": [model]}))
    ) == [("diffusion_models", "x.safetensors")]


@pytest.mark.parametrize("directory", ["../..", "custom_nodes", "/etc", ".ssh", "C:\\x", 5])
def test_a_declaration_cannot_lead_out_of_the_model_folders(directory: object) -> None:
    model = {"name": "x.safetensors", "url": "https://example.org/x", "directory": directory}
    workflow = graph(node(1, "NobodyKnows", "x.safetensors", properties={"models": [model]}))

    assert named(workflow) == [(None, "x.safetensors")]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("embedding:EasyNegative, ugly", ["EasyNegative"]),
        ("(embedding:bad-hands-5.pt:1.2), x", ["bad-hands-5.pt"]),
        ("good\nembedding:sub/deep", ["sub/deep"]),
        ("noembedding:here", []),
        ("a embedding:esc\\(v2\\), b", ["esc(v2)"]),
        ("embedding:br[v1] [embedding:from]", ["br[v1]", "from"]),
        ("{embedding:Cap|embedding:low} x", ["Cap", "low"]),
    ],
)
def test_embeddings_are_found_in_prompts(text: str, names: list[str]) -> None:
    found = references(graph(node(1, "CLIPTextEncode", text)))

    assert [each.name for each in found] == names
    assert {(each.folder, each.lookup) for each in found} <= {("embeddings", Lookup.STEM)}


def test_a_node_that_fetches_its_model_itself_asks_nobody_else() -> None:
    found = references(
        graph(node(1, "RIFE VFI", "rife47.pth"), node(2, "DownloadAndLoadNew", "x.safetensors"))
    )

    assert [each.lookup for each in found] == [Lookup.AUTODOWNLOAD] * 2


def test_one_file_named_by_several_nodes_is_one_row_with_all_of_them() -> None:
    workflow = graph(
        node(1, "VAELoader", "v.safetensors"),
        node(2, "VAELoader", "v.safetensors"),
        node(3, "VAELoader", "v.safetensors", mode=4),
    )

    active, inactive = references(workflow)

    assert (active.node, active.nodes, inactive.nodes) == ("1", ("1", "2"), ("3",))


def test_widgets_saved_as_an_object_are_read_by_name() -> None:
    widgets = {"widgets_values": {"ckpt_name": "x.safetensors", "other": 1}}

    assert named(graph({"id": 1, "type": "CheckpointLoaderSimple", **widgets})) == [
        ("checkpoints", "x.safetensors")
    ]


def test_a_line_of_the_user_goes_before_the_shipped_ones() -> None:
    workflow = graph(node(1, "VAELoader", "v.safetensors"), node(2, "Mine", 0, "m.safetensors"))

    assert named(workflow, "VAELoader -> vae_approx 0:vae_name", "Mine -> loras 1:x") == [
        ("vae_approx", "v.safetensors"),
        ("loras", "m.safetensors"),
    ]


@pytest.mark.parametrize("line", ["Mine", "Mine -> ", "Mine -> loras", "Mine -> loras 0:x wrong"])
def test_a_line_that_cannot_be_understood_is_refused(line: str) -> None:
    with pytest.raises(SettingsInvalid, match="loader table"):
        read_tables("", "", [line])


# -- declarations


MODEL = {"name": "x.safetensors", "directory": "loras", "url": "https://example.org/own"}


def lora(number: int, name: str, *models: Json) -> Json:
    return node(number, "LoraLoaderModelOnly", name, 1, properties={"models": list(models)})


def test_a_declaration_counts_only_while_its_file_is_selected() -> None:
    stale = {**MODEL, "name": "old.safetensors"}

    (found,) = references(graph(lora(1, "x.safetensors", stale)))

    assert found.declared == ()


def test_the_nodes_own_declaration_goes_first_then_the_top_level_then_notes() -> None:
    other = lora(2, "x.safetensors", {**MODEL, "url": "https://example.org/own"})
    top = [{**MODEL, "url": "https://example.org/top", "hash": "AB" * 32, "hash_type": "SHA256"}]

    (found,) = references(graph(lora(1, "x.safetensors"), other, models=top))

    assert [(each.url, each.origin, each.sha256) for each in found.declared] == [
        ("https://example.org/own", "properties.models", None),
        ("https://example.org/top", "models", "ab" * 32),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "see [x.safetensors](https://huggingface.co/o/r/blob/main/d/x.safetensors)",
        "get https://huggingface.co/o/r/blob/main/d/x.safetensors, then",
    ],
)
def test_a_link_in_a_note_is_used_for_a_file_of_that_name(text: str) -> None:
    workflow = graph(lora(1, "sub\\x.safetensors"), node(2, "MarkdownNote", text))

    (found,) = references(workflow)

    assert [(each.url, each.origin) for each in found.declared] == [
        ("https://huggingface.co/o/r/resolve/main/d/x.safetensors", "note")
    ]


@pytest.mark.parametrize(
    "broken", [5, {}, {"name": 5}, {"name": "x.safetensors", "url": "no address"}]
)
def test_a_broken_declaration_costs_only_itself(broken: object) -> None:
    workflow = graph(
        node(1, "LoraLoaderModelOnly", "x.safetensors", 1, properties={"models": [broken, MODEL]})
    )

    (found,) = references(workflow)

    assert "https://example.org/own" in {each.url for each in found.declared}
    assert "no address" not in {each.url for each in found.declared}


# -- node types


def test_node_types_are_counted_without_the_editors_own() -> None:
    content = read(
        graph(
            node(1, "KSampler", properties={"cnr_id": "comfy-core"}),
            node(2, "KSampler"),
            node(3, "Other", properties={"aux_id": "me/pack"}),
            node(4, "Note", "text"),
            node(5, "Reroute"),
        )
    )

    assert [(use.type, use.count, use.core, use.aux_id) for use in content.node_types] == [
        ("KSampler", 2, True, None),
        ("Other", 1, False, "me/pack"),
    ]
