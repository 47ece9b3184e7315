"""The bytes that a workflow asks for lie under another name, and do not stay there."""

from __future__ import annotations

import hashlib
import json
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights, weights_sha256
from tests.stories.daemon import Tree, running
from tests.stories.made import Want
from tests.stories.stage import SHORT_REST, Stage
from tests.stories.test_states import row

SIZE = 5000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One daemon that looks, and fetches nothing."""
    with Hub() as hub:
        base = tmp_path_factory.mktemp("same-bytes")
        tree = Tree(base, hub.url, tuple(hub.hosts), SHORT_REST)
        tree.write_settings(auto="off")
        with running(tree) as daemon:
            yield Stage(tree, hub, daemon)


def lora(stage: Stage, name: str) -> Path:
    return stage.tree.models / "loras" / name


def stated(name: str, seed: str) -> Want:
    """Return a wish for the bytes of *seed*, as a workflow declares it."""
    return Want(name, "loras", f"https://hub.example/{name}", weights_sha256(seed, SIZE))


def told(stage: Stage, workflow: Path) -> tuple[str, str | None, str | None]:
    """Return state, hint and spelling of the workflow's one reference."""
    found = row(stage, workflow)
    hint = found["hint"]
    return found["state"], hint and hint["code"], found["spelling"]


def becomes(stage: Stage, workflow: Path, *wanted: str | None) -> None:
    stage.daemon.until("workflow.analyzed", workflow=workflow)
    stage.daemon.when(lambda: told(stage, workflow) == wanted, what=f"{wanted}")


def under_another_name(stage: Stage, story: str) -> tuple[Path, Path]:
    """Return a file with the wanted bytes and the workflow that was told of it."""
    here = lora(stage, f"{story}-renamed.safetensors")
    here.write_bytes(weights(story, SIZE))
    workflow = stage.drop(f"{story}.json", stated(f"{story}.safetensors", story))
    becomes(stage, workflow, "elsewhere", "same-bytes", here.name)
    return here, workflow


def test_a_file_under_another_name_that_is_removed_is_missing_again(stage: Stage) -> None:
    here, workflow = under_another_name(stage, "removed")
    here.unlink()

    becomes(stage, workflow, "missing", None, None)


def test_a_file_under_another_name_that_gets_other_bytes_is_missing_again(stage: Stage) -> None:
    here, workflow = under_another_name(stage, "replaced")
    beside = here.with_name(".replaced.new")
    beside.write_bytes(weights("something else", SIZE))
    beside.replace(here)

    becomes(stage, workflow, "missing", None, None)


def test_a_file_under_another_name_is_told_by_its_third_name(stage: Stage) -> None:
    here, workflow = under_another_name(stage, "moved")
    there = lora(stage, "third/moved.pt.safetensors")
    there.parent.mkdir()
    here.rename(there)

    becomes(stage, workflow, "elsewhere", "same-bytes", "third/moved.pt.safetensors")


def test_a_file_that_gets_the_right_name_is_present(stage: Stage) -> None:
    here, workflow = under_another_name(stage, "righted")
    here.rename(lora(stage, "righted.safetensors"))

    becomes(stage, workflow, "present", None, None)


def test_of_two_such_files_the_other_is_told_when_one_goes(stage: Stage) -> None:
    here, workflow = under_another_name(stage, "twice")
    second = lora(stage, "twice-z.safetensors")
    second.write_bytes(weights("twice", SIZE))
    stage.daemon.until("model.indexed", path=second)
    here.unlink()

    becomes(stage, workflow, "elsewhere", "same-bytes", second.name)


def test_a_file_that_is_overwritten_with_the_wanted_bytes_is_told(stage: Stage) -> None:
    here = lora(stage, "becomes.safetensors")
    here.write_bytes(weights("not yet", SIZE))
    stage.daemon.until("model.indexed", path=here)
    workflow = stage.drop("becomes.json", stated("wanted.safetensors", "becomes"))
    becomes(stage, workflow, "missing", None, None)
    here.write_bytes(weights("becomes", SIZE))

    becomes(stage, workflow, "elsewhere", "same-bytes", here.name)


# -- AutoV3: the text of another program


def picture(text: str) -> bytes:
    """Return a picture as A1111 saves it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    texts = chunk(b"tEXt", b"parameters\0" + text.encode())
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + texts + pixels + chunk(b"IEND", b"")


def with_another_header(model: bytes) -> bytes:
    """Return a safetensors file with other metadata, as training tools edit it."""
    length = int.from_bytes(model[:8], "little")
    header = json.loads(model[8 : 8 + length]) | {"__metadata__": {"ss_tag": "edited"}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + model[8 + length :]


def autov3(model: bytes) -> str:
    length = int.from_bytes(model[:8], "little")
    return hashlib.sha256(model[8 + length :]).hexdigest()[:12]


def test_a_picture_s_twelve_digits_find_a_lora_whose_header_was_edited(stage: Stage) -> None:
    model = weights("digits", SIZE)
    path = stage.tree.workflows / "digits.png"
    path.write_bytes(
        picture(f'x <lora:dig:1>\nSteps: 20, Lora hashes: "dig: {autov3(model)}", Version: v1.9')
    )
    stage.daemon.until("workflow.analyzed", workflow=path)
    becomes(stage, path, "missing", None, None)
    here = lora(stage, "digits-renamed.safetensors")
    here.write_bytes(with_another_header(model))

    becomes(stage, path, "elsewhere", "same-bytes", here.name)


def test_a_file_outside_the_loras_is_read_once_more_for_its_twelve_digits(stage: Stage) -> None:
    model = weights("embedded", SIZE)
    here = stage.tree.models / "embeddings/emb.safetensors"
    here.parent.mkdir(exist_ok=True)
    here.write_bytes(model)
    stage.daemon.until("model.indexed", path=here)
    path = stage.tree.workflows / "embedded.png"
    path.write_bytes(
        picture('x\nSteps: 20, TI hashes: "emb: 0123456789ab", Version: v1.9'),
    )

    becomes(stage, path, "present", "other-bytes", None)
    assert autov3(model) in row(stage, path)["hint"]["cause"]


# -- one name, composed in two ways


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_composed_otherwise_is_elsewhere_with_the_exact_string(
    stage: Stage, written: str, on_disk: str
) -> None:
    name = f"Ästhetik-é-{written}.safetensors"
    asked = unicodedata.normalize(written, name)  # type: ignore[arg-type]  # one of the four forms
    there = unicodedata.normalize(on_disk, name)  # type: ignore[arg-type]  # as above
    workflow = stage.drop(f"composed-{written}.json", Want(asked))
    becomes(stage, workflow, "missing", None, None)
    lora(stage, there).write_bytes(weights(name, SIZE))
    if lora(stage, asked).exists():
        pytest.skip("the file system takes both for one name")

    becomes(stage, workflow, "elsewhere", "other-unicode", there)
    lora(stage, there).unlink()
    becomes(stage, workflow, "missing", "taken-away", None)
