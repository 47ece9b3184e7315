from __future__ import annotations

import random
import resource
import struct
import time
from pathlib import Path

import pytest

from comfywatchman.disk.heads.reading import read_head
from comfywatchman.disk.heads.values import Head, Member, Tensor
from comfywatchman.disk.structure import examine
from comfywatchman.domain.errors import FileUnreadable
from comfywatchman.inspect.identify import identify
from comfywatchman.inspect.words import words_of
from tests.disk.heads_made import SHAPES, gguf, onnx, safetensors, seeds

MB = 1 << 20


def head_of(tmp_path: Path, data: bytes, suffix: str) -> Head:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(data)
    return read_head(file, suffix)


def test_a_safetensors_header_tells_tensors_and_metadata(tmp_path: Path) -> None:
    head = head_of(tmp_path, safetensors(SHAPES, {"format": "pt"}), ".safetensors")

    assert head.tensors == (
        Tensor("model.diffusion_model.input_blocks.0.0.weight", "F16", (8, 4, 3, 3), 576),
        Tensor("out.bias", "F16", (4,), 8),
    )
    assert head.metadata == {"format": "pt"}
    assert (head.problem, head.warnings) == (None, ())


def test_a_truncated_one_still_tells_what_it_should_hold(tmp_path: Path) -> None:
    head = head_of(tmp_path, safetensors(SHAPES)[:-100], ".safetensors")

    assert len(head.tensors) == 2
    assert head.problem == "it is truncated: 100 bytes are missing"


def test_a_gguf_header_tells_tensors_in_the_order_of_their_axes(tmp_path: Path) -> None:
    head = head_of(tmp_path, gguf(), ".gguf")

    assert head.tensors == (
        Tensor("img_in.weight", "F32", (32, 64), 8192),
        Tensor("out.weight", "Q4_K", (256,), 144),
    )
    assert head.metadata == {
        "general.architecture": "flux",
        "general.file_type": "15",
        "scale": "0.5",
        "on": "True",
        "ids": "[0, 0, 0]",
        "many": "20 numbers",
        "tokens": "2 texts",
    }
    assert (head.facts, head.problem) == ({"version": "3"}, None)


def test_an_onnx_file_tells_its_producer_and_what_goes_in_and_out(tmp_path: Path) -> None:
    head = head_of(tmp_path, onnx(), ".onnx")

    assert head.facts == {
        "ir_version": "8",
        "producer": "pytorch",
        "producer_version": "2.1",
        "graph": "main",
        "operators": "ai.onnx 17",
        "nodes": "1",
        "inputs": "images",
        "outputs": "boxes",
    }
    assert head.metadata == {"names": "face"}
    assert head.tensors == (
        Tensor("w.weight", "F32", (8, 8), 256),
        Tensor("packed", "F16", (2, 3), 12),
        Tensor("big", "F32", (4,), 16),
    )
    assert head.warnings == ("its weights lie in other files: model.onnx.data",)
    assert head.problem is None


def test_an_onnx_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    assert "truncated" in (head_of(tmp_path, onnx()[:-200], ".onnx").problem or "")
    assert "no ONNX" in (head_of(tmp_path, b"\xff" * 5000, ".onnx").problem or "")


def test_an_archive_that_is_no_checkpoint_tells_its_members(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    import zipfile

    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "hello")

    assert read_head(file, ".zip") == Head("zip", members=(Member("a.txt", 5),), member_count=1)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        read_head(tmp_path / "gone.pt", ".pt")
    with pytest.raises(FileUnreadable):
        read_head(tmp_path, ".pt")


def tail(zeros: int, *, whole_tensor: bool = False) -> bytes:
    """Return a safetensors file of 4 MiB and more that ends in zeros."""
    first = 4 * MB - (0 if whole_tensor else zeros)
    shapes = {"a": (2 * MB,), "b": (zeros // 2,)} if whole_tensor else {"a": (2 * MB,)}
    made = safetensors(shapes)
    begin = len(made) - sum(2 * shape[0] for shape in shapes.values())
    return made[: begin + first] + bytes(len(made) - begin - first)


def test_a_tail_that_was_never_written_is_not_whole(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(tail(2 * MB))
    structure = examine(file, ".safetensors")

    assert not structure.whole
    assert structure.missing_bytes == 2 * MB
    assert "never written" in (structure.problem or "")


@pytest.mark.parametrize(
    "data",
    [
        tail(2 * MB, whole_tensor=True),  # a tensor that training left at zero
        tail(MB // 2),  # rows of an embedding that no word has
        safetensors({"a": (16,), "b": (MB,)})[: -2 * MB] + bytes(2 * MB),
    ],
    ids=["a whole tensor", "a short tail", "nearly all"],
)
def test_zeros_that_training_left_are_no_hole(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(data)

    assert examine(file, ".safetensors").whole


def test_lying_shapes_cost_no_time(tmp_path: Path) -> None:
    """A product of thousands of huge factors would take minutes."""
    factors = ",".join(["9" * 4000] * 3000)
    text = b'{"a":{"dtype":"U8","data_offsets":[0,1],"shape":[' + factors.encode() + b"]}}"
    data = struct.pack("<Q", len(text)) + text + b"x"
    started = time.monotonic()
    head = head_of(tmp_path, data, ".safetensors")

    assert head.problem or head.warnings
    assert time.monotonic() - started < 5


def mutant(chance: random.Random, data: bytes) -> bytes:
    """Return *data* with a few bytes changed, cut, doubled or replaced by telling numbers."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(max(1, min(len(made), 600)))
        match chance.randrange(5):
            case 0:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del made[at : at + chance.randrange(1, 64)]
            case 2:
                made[at:at] = made[at : at + chance.randrange(1, 64)]
            case 3:
                huge = chance.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**62, 2**63, 2**64 - 1])
                made[at : at + 8] = struct.pack("<Q", huge)
            case _:
                made = made[: chance.randrange(len(made) + 1)]
    return bytes(made)


def run(cases: int, seed: int, tmp_path: Path) -> tuple[float, int]:
    """Read damaged files; return the slowest in seconds and by how many bytes memory grew."""
    chance = random.Random(seed)
    files = seeds()
    file = tmp_path / "x"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for _ in range(cases):
        suffix, data = chance.choice(files)
        file.write_bytes(mutant(chance, data))
        started = time.monotonic()
        head = read_head(file, suffix)
        identify(head)
        words_of(head.metadata)
        examine(file, suffix)
        slowest = max(slowest, time.monotonic() - started)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return slowest, grown * 1024


def test_a_thousand_damaged_heads_are_answered_soon_and_without_memory(tmp_path: Path) -> None:
    slowest, grown = run(1_000, 7, tmp_path)

    assert slowest < 5
    assert grown < 200 * MB


@pytest.mark.trial
def test_a_hundred_thousand_damaged_heads_are_answered(tmp_path: Path) -> None:
    slowest, grown = run(100_000, 11, tmp_path)

    assert slowest < 5
    assert grown < 400 * MB
