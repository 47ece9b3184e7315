"""``comfywatchman inspect``: files of every kind, and what is wrong with them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from blake3 import blake3

from comfywatchman.demo.weights import weights, weights_sha256
from tests.cli.shell import Shell, Told
from tests.disk.heads_made import gguf, onnx, safetensors
from tests.disk.pickled import calling, state_dict, torch_zip
from tests.stories.daemon import Tree, running

LORA = {
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 2048),
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight": (640, 8),
}
TRAINED = {
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_tag_frequency": json.dumps({"10_ohwx": {"ohwx": 10, "smile": 4}}),
    "ss_dataset_dirs": json.dumps({"10_ohwx": {"n_repeats": 10, "img_count": 10}}),
    "modelspec.title": "a\x1b[31mb",
}


def the_file(told: Told) -> dict[str, Any]:
    (row,) = told.json["files"]
    found: dict[str, Any] = row
    return found


def test_a_lora_is_told_with_its_trigger_words(shell: Shell, tree: Tree) -> None:
    file = tree.models / "loras/a.safetensors"
    file.write_bytes(safetensors(LORA, TRAINED))
    told = shell("inspect", file, "--json")
    words = shell("inspect", file)

    row = the_file(told)
    assert (told.status, row["kind"], row["architecture"]) == (0, "lora", "sdxl")
    assert row["trigger_words"][0] == {"word": "ohwx", "origin": "ss_dataset_dirs"}
    assert row["tags"] == [{"tag": "ohwx", "count": 10}, {"tag": "smile", "count": 4}]
    assert row["tensors"]["parameters"] == 8 * 2048 + 640 * 8
    assert row["hashes"]["sha256"] is None
    assert "lora, sdxl (LoRA, rank 8)" in words.out
    assert "\x1b" not in words.out


def test_with_hash_every_hash_is_measured(shell: Shell, tree: Tree) -> None:
    file = tree.models / "loras/a.safetensors"
    data = weights("a", 1_500_000)
    file.write_bytes(data)
    row = the_file(shell("inspect", "--hash", "--json", file))

    after = hashlib.sha256(data[8 + 512 :]).hexdigest()
    assert row["hashes"] == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "autov1": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
        "autov2": hashlib.sha256(data).hexdigest()[:10],
        "autov3": after[:12],
        "after_sha256": after,
        "blake3": blake3(data).hexdigest(),
        "origin": "measured",
        "differs": None,
    }


def test_what_a_daemon_measured_is_told_without_reading_it_again(shell: Shell, tree: Tree) -> None:
    file = tree.models / "loras/a.safetensors"
    file.write_bytes(weights("a.safetensors", 2000))
    with running(tree) as daemon:
        daemon.until("model.indexed", path=file)
        while_running = the_file(shell("inspect", "--json", file))["hashes"]
    relative = Shell(tree)("inspect", "--json", f"{tree.root.name}/models/loras/a.safetensors")
    file.write_bytes(weights("other", 2000))
    changed = the_file(shell("inspect", "--json", file))["hashes"]

    digest = weights_sha256("a.safetensors", 2000)
    assert (while_running["sha256"], while_running["origin"]) == (digest, "stored")
    assert the_file(relative)["hashes"]["sha256"] == digest
    assert (changed["sha256"], changed["origin"]) == (None, None)


def test_a_pickle_that_would_run_code_is_told_and_not_run(shell: Shell, tree: Tree) -> None:
    file, proof = tree.models / "checkpoints/evil.pt", tree.base / "was-run"
    file.write_bytes(torch_zip(calling("os", "system", f"touch {proof}")))
    told = shell("inspect", "--json", file)

    scan = the_file(told)["pickle"]
    assert told.status == 1
    assert scan["verdict"] == "dangerous"
    assert scan["imports"] == [{"module": "os", "name": "system", "verdict": "dangerous"}]
    assert not proof.exists()
    assert "imports os.system" in shell("inspect", file).out


def test_every_format_is_told(shell: Shell, tree: Tree) -> None:
    made = {
        "a.gguf": gguf(),
        "b.onnx": onnx(),
        "c.pth": torch_zip(state_dict({"model.0.weight": (64, 3, 3, 3)})),
        "d.latent": safetensors({"latent_tensor": (1, 4, 8, 8), "latent_format_version_0": (0,)}),
    }
    for name, data in made.items():
        (tree.models / "loras" / name).write_bytes(data)
    told = shell("inspect", "--json", *(tree.models / "loras" / name for name in made))

    assert told.status == 0
    assert [(row["format"], row["kind"]) for row in told.json["files"]] == [
        ("gguf", "diffusion-model"),
        ("onnx", "unknown"),
        ("torch-zip", "unknown"),
        ("safetensors", "latent"),
    ]


def test_what_is_wrong_with_a_file_is_told_with_its_remedy(shell: Shell, tree: Tree) -> None:
    page, cut = tree.models / "loras/page.safetensors", tree.models / "loras/cut.safetensors"
    page.write_bytes(b"<!doctype html><title>Sign in</title>")
    cut.write_bytes(weights("cut", 5000)[:-10])
    told = shell("inspect", "--json", page, cut)

    first, second = told.json["files"]
    assert told.status == 1
    assert "web page" in first["error"]["cause"]
    assert first["error"]["remedy"]
    assert "10 bytes are missing" in second["error"]["cause"]


def test_one_that_cannot_be_read_does_not_keep_the_others_back(shell: Shell, tree: Tree) -> None:
    file = tree.models / "loras/a.safetensors"
    file.write_bytes(weights("a", 2000))
    told = shell("inspect", "--json", tree.base / "gone", file)

    assert told.status == 3
    assert [row["path"] for row in told.json["files"]] == [str(file)]
    assert told.json["unread"][0]["error"]["code"] == "file-unreadable"


def test_a_directory_of_diffusers_is_told_part_by_part(shell: Shell, tree: Tree) -> None:
    directory = tree.models / "diffusers/sdxl"
    (directory / "unet").mkdir(parents=True)
    (directory / "unet/diffusion_pytorch_model.safetensors").write_bytes(bytes(1000))
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.30.0",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "../../..": ["diffusers", "Escape"],
        "safety_checker": [None, None],
    }
    (directory / "model_index.json").write_text(json.dumps(index))
    told = shell("inspect", "--json", directory)

    row = the_file(told)
    assert (told.status, row["kind"], row["architecture"]) == (0, "pipeline", "sdxl")
    assert row["components"] == [
        {"name": "unet", "type": "UNet2DConditionModel", "files": 1, "size": 1000}
    ]


def test_a_directory_of_anything_else_is_told_to_be_none(shell: Shell, tree: Tree) -> None:
    told = shell("inspect", tree.models)

    code, cause, _ = told.the_error()
    assert (told.status, code) == (3, "file-unreadable")
    assert "model_index.json" in cause


def test_every_tensor_is_listed_when_asked_for(shell: Shell, tree: Tree) -> None:
    file = tree.models / "loras/a.safetensors"
    file.write_bytes(safetensors(LORA))

    assert [
        tensor["shape"]
        for tensor in the_file(shell("inspect", "--tensors", "--json", file))["tensor_list"]
    ] == [[8, 2048], [640, 8]]
    assert "F16 [8, 2048]" in shell("inspect", "--tensors", file).out


def test_a_name_that_is_no_utf8_is_shown(shell: Shell, tree: Tree) -> None:
    file = tree.models / "loras/caf\udce9.safetensors"
    file.write_bytes(weights("a", 2000))
    told = shell("inspect", "--json", file)

    assert told.status == 0
    assert Path(the_file(told)["path"]).name.startswith("caf")


def test_what_another_program_says_of_a_file_is_told_as_a_claim(shell: Shell, tree: Tree) -> None:
    file = tree.models / "loras/a.safetensors"
    data = weights("a", 5000)
    file.write_bytes(data)
    good = hashlib.sha256(data).hexdigest()
    sidecar = file.with_name("a.metadata.json")
    sidecar.write_text(json.dumps({"size": len(data), "sha256": good}))
    claimed = the_file(shell("inspect", "--json", file))
    words = shell("inspect", file).out
    confirmed = the_file(shell("inspect", "--hash", "--json", file))
    sidecar.write_text(json.dumps({"size": len(data), "sha256": "ab" * 32}))
    refuted = the_file(shell("inspect", "--hash", "--json", file))

    (claim,) = claimed["claims"]
    assert (claim["source"], claim["sha256"], claim["verdict"]) == ("lora-manager", good, "claimed")
    assert claim["told_by"] == str(sidecar)
    assert claimed["hashes"]["sha256"] is None
    assert f"lora-manager: {good} (claimed, not measured)" in words
    assert [claim["verdict"] for claim in confirmed["claims"]] == ["confirmed"]
    assert [claim["verdict"] for claim in refuted["claims"]] == ["refuted"]


def test_a_workflow_is_told_to_be_one_for_another_command(shell: Shell, tree: Tree) -> None:
    file = tree.base / "w.json"
    file.write_text('{"nodes": []}')

    assert f"comfywatchman analyze {file}" in " ".join(shell("inspect", file).out.split())
