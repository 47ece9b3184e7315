"""What is called present is what ComfyUI would open, and nothing else is."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from comfywatchman.analyze.compare import compare
from comfywatchman.comfyui import read_layout
from comfywatchman.disk.files import look
from comfywatchman.domain.files import CHECKPOINT_SUFFIXES, Folder, Folders, ModelFile
from comfywatchman.domain.references import Finding, ModelReference, ReferenceState, WorkflowContent
from comfywatchman.pipeline.library import WalkedLibrary, as_on_disk

ROOTS = ["a", "b", "a/in", "b/x", "c"]
NAMES = ["x.pt", "X.pt", "y.pt", "in/x.pt", "in/y.pt", "s/x.pt", "S/x.pt", "s\\x.pt", "x/x.pt"]
ASKED = [*NAMES, "in\\x.pt", "x\\x.pt", "s/in\\x.pt", "z.pt", "in/in/x.pt"]


def listed_by_comfyui(roots: Sequence[Path]) -> set[str]:
    """Return the option list: every model below every root, relative to it (folder_paths.py)."""
    names = set()
    for root in roots:
        for directory, _, files in os.walk(root, followlinks=True):
            names |= {os.path.relpath(Path(directory, name), root) for name in files}
    return {name for name in names if os.path.splitext(name)[1].lower() in CHECKPOINT_SUFFIXES}  # noqa: PTH122 -- as ComfyUI tells a suffix


def opened_by_comfyui(roots: Sequence[Path], value: str) -> Path | None:
    """Return the file that the loader gets: of the first root, if the value is in its list."""
    if value not in listed_by_comfyui(roots):
        return None
    return next((root / value for root in roots if (root / value).is_file()), None)


@settings(max_examples=300, deadline=None)
@given(
    roots=st.lists(st.sampled_from(ROOTS), min_size=1, max_size=4, unique=True),
    files=st.lists(st.tuples(st.sampled_from(ROOTS), st.sampled_from(NAMES)), max_size=8),
    asked=st.sampled_from(ASKED),
    order=st.randoms(use_true_random=False),
)
def test_the_file_that_is_called_present_is_the_one_that_comfyui_opens(
    roots: list[str], files: list[tuple[str, str]], asked: str, order: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as made:
        base = Path(made)
        for number, (root, name) in enumerate(files):
            path = base / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_dir():
                path.write_bytes(bytes(number))
        there = tuple(base / root for root in roots)

        found = _compared(base, there, asked, order)

        opened = opened_by_comfyui(there, asked)
        if opened is not None:
            assert (found.state, found.path) == (ReferenceState.PRESENT, opened)
        else:
            assert found.state is not ReferenceState.PRESENT
            normal = opened_by_comfyui(there, asked.replace("\\", "/"))
            assert found.misspelled is (normal is not None)
            assert not found.misspelled or found.path == normal


def _compared(base: Path, roots: tuple[Path, ...], asked: str, order: random.Random) -> Finding:
    folders = Folders(base, base / "models", {"loras": Folder("loras", roots, write_root=roots[0])})
    below = [path for root in folders.roots() for path in root.rglob("*") if path.is_file()]
    stamps = [(path, look(path)) for path in dict.fromkeys(below)]
    known = [ModelFile(path, stamp) for path, stamp in stamps if stamp is not None]
    order.shuffle(known)
    reference = ModelReference(
        "loras", asked.replace("\\", "/"), asked, "1", "LoraLoader", "lora_name"
    )
    content = WorkflowContent("json", "ui", references=(reference,))
    findings = compare(content, folders, WalkedLibrary.of(known), separator="/")
    (found,) = as_on_disk(findings, folders)
    return found


def test_of_the_two_directories_for_diffusion_models_the_file_in_unet_is_opened(
    tmp_path: Path,
) -> None:
    """And a new one goes there, too, once that directory is there."""
    both = [tmp_path / "models" / name / "x.pt" for name in ("diffusion_models", "unet")]
    for size, path in enumerate(both):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size))
    folders = read_layout(tmp_path).folders
    known = [ModelFile(path, stamp) for path in both if (stamp := look(path)) is not None]
    reference = ModelReference("diffusion_models", "x.pt", "x.pt", "1", "UNETLoader", "unet_name")
    content = WorkflowContent("json", "ui", references=(reference,))

    (found,) = compare(content, folders, WalkedLibrary.of(known), separator="/")

    assert (found.path, found.shadows) == (both[1], (both[0],))
    write_root = folders.folder("diffusion_models").write_root
    assert write_root == tmp_path / "models/unet"
