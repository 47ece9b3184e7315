from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfywatchman.analyze.compare import compare
from comfywatchman.analyze.text import stem
from comfywatchman.domain.files import Folder, Folders, ModelFile, Stamp
from comfywatchman.domain.references import (
    Declared,
    Finding,
    Lookup,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)

MODELS = Path("/comfy/models")
EXTRA = Path("/big/loras")
FOLDERS = Folders(
    Path("/comfy"),
    MODELS,
    {
        "loras": Folder("loras", (EXTRA, MODELS / "loras")),
        "checkpoints": Folder("checkpoints", (MODELS / "checkpoints",)),
        "embeddings": Folder("embeddings", (MODELS / "embeddings",)),
        "vae": Folder("vae", (MODELS / "vae",)),
        "diffusers": Folder("diffusers", (MODELS / "diffusers",)),
    },
)


@dataclass
class Shelf:
    files: Sequence[ModelFile]
    directories: Sequence[Path] = ()

    def named(self, basename: str) -> Sequence[ModelFile]:
        return [each for each in self.files if each.path.name.lower() == basename.lower()]

    def stemmed(self, stem_: str) -> Sequence[ModelFile]:
        return [each for each in self.files if stem(each.path.name).lower() == stem_.lower()]

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        return [each for each in self.files if each.sha256 == sha256]

    def holds_directory(self, path: Path) -> bool:
        return path in self.directories


def file(path: Path, *, whole: bool = True, sha256: str | None = None) -> ModelFile:
    return ModelFile(path, Stamp(1, 1, 7, 1, 1), whole, sha256)


def wanting(
    name: str,
    folder: str | None = "loras",
    lookup: Lookup = Lookup.FILE,
    also: tuple[str, ...] = (),
    declared: tuple[Declared, ...] = (),
) -> ModelReference:
    return ModelReference(
        folder, name, name, "1", "T", "w", lookup=lookup, also_folders=also, declared=declared
    )


def finding(reference: ModelReference, *files: ModelFile, directory: Path | None = None) -> Finding:
    shelf = Shelf(files, [directory] if directory else [])
    (found,) = compare(WorkflowContent("json", "ui", references=(reference,)), FOLDERS, shelf)
    return found


def test_a_file_of_the_exact_name_is_present() -> None:
    found = finding(wanting("sub/x.safetensors"), file(MODELS / "loras/sub/x.safetensors"))

    assert (found.state, found.size) == (ReferenceState.PRESENT, 7)


def test_the_first_root_that_has_the_file_is_the_one_that_is_opened() -> None:
    here, first = file(MODELS / "loras/x.safetensors"), file(EXTRA / "x.safetensors")

    assert finding(wanting("x.safetensors"), here, first).path == first.path


def test_a_file_that_is_not_whole_is_arriving() -> None:
    found = finding(wanting("x.safetensors"), file(MODELS / "loras/x.safetensors", whole=False))

    assert found.state is ReferenceState.ARRIVING


def test_a_further_folder_of_the_loader_counts() -> None:
    reference = wanting("x.safetensors", "checkpoints", also=("vae",))

    assert finding(reference, file(MODELS / "vae/x.safetensors")).state is ReferenceState.PRESENT


@pytest.mark.parametrize(
    ("path", "spelling"),
    [
        (MODELS / "checkpoints/x.safetensors", "checkpoints/x.safetensors"),
        (MODELS / "loras/X.safetensors", "loras/X.safetensors"),
        (MODELS / "loras/sub/x.safetensors", "loras/sub/x.safetensors"),
        (MODELS / "odd/x.safetensors", "odd/x.safetensors"),
    ],
)
def test_another_folder_or_spelling_is_elsewhere_and_never_present(
    path: Path, spelling: str
) -> None:
    found = finding(wanting("x.safetensors"), file(path))

    assert (found.state, found.spelling) == (ReferenceState.ELSEWHERE, spelling)


def test_of_several_files_elsewhere_the_one_in_the_right_folder_is_told() -> None:
    found = finding(
        wanting("x.safetensors"),
        file(MODELS / "checkpoints/x.safetensors"),
        file(MODELS / "loras/sub/x.safetensors"),
    )

    assert found.spelling == "loras/sub/x.safetensors"


def test_the_declared_bytes_under_another_name_are_elsewhere() -> None:
    declared = Declared(None, "ab" * 32, "properties.models")
    other = file(MODELS / "loras/renamed.safetensors", sha256="ab" * 32)

    found = finding(wanting("x.safetensors", declared=(declared,)), other)

    assert (found.state, found.spelling) == (
        ReferenceState.ELSEWHERE,
        "loras/renamed.safetensors",
    )


def test_what_is_nowhere_is_missing() -> None:
    found = finding(wanting("x.safetensors"), file(MODELS / "loras/y.safetensors"))

    assert (found.state, found.trouble) == (ReferenceState.MISSING, None)


def test_a_reference_without_a_folder_is_satisfied_by_any() -> None:
    found = finding(wanting("x.safetensors", None), file(MODELS / "odd/sub/x.safetensors"))

    assert found.state is ReferenceState.PRESENT


def test_a_folder_with_a_slash_is_looked_up_below_its_first_part() -> None:
    found = finding(wanting("x.pt", "odd/faces"), file(MODELS / "odd/faces/x.pt"))

    assert found.state is ReferenceState.PRESENT


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("easy", "embeddings/easy.pt"),
        ("easy", "embeddings/deep/easy.safetensors"),
        ("easy.pt", "embeddings/deep/easy.pt"),
        ("deep/easy", "embeddings/deep/easy.pt"),
        ("v1.5", "embeddings/v1.5.pt"),
    ],
)
def test_an_embedding_is_found_without_suffix_and_in_every_subdirectory(
    name: str, path: str
) -> None:
    reference = wanting(name, "embeddings", Lookup.STEM)

    assert finding(reference, file(MODELS / path)).state is ReferenceState.PRESENT


def test_an_embedding_of_the_same_name_in_another_folder_is_elsewhere() -> None:
    reference = wanting("easy", "embeddings", Lookup.STEM)

    assert finding(reference, file(MODELS / "loras/easy.pt")).state is ReferenceState.ELSEWHERE


def test_a_directory_is_looked_up_below_the_roots() -> None:
    reference = wanting("sd", "diffusers", Lookup.DIRECTORY)
    found = finding(reference, directory=MODELS / "diffusers/sd")

    assert found.state is ReferenceState.PRESENT
    assert finding(reference).state is ReferenceState.MISSING


@pytest.mark.parametrize(
    ("lookup", "state"),
    [
        (Lookup.AUTODOWNLOAD, ReferenceState.AUTODOWNLOAD),
        (Lookup.DYNAMIC, ReferenceState.DYNAMIC),
    ],
)
def test_what_the_node_finds_by_itself_is_not_missing(
    lookup: Lookup, state: ReferenceState
) -> None:
    found = finding(wanting("" if lookup is Lookup.DYNAMIC else "x.pth", lookup=lookup))

    assert (found.state, found.lacking) == (state, False)


@pytest.mark.parametrize(
    "name",
    [
        "../x.safetensors", "a/../../x.pt", "/etc/x.pt", "C:/x.pt", "~/x.pt", "a//x.pt", "./x.pt",
        "x\0.pt", "x\n.pt", "x\u202e.pt", "a/ x.pt", "x.pt.", "x" * 300 + ".pt",
        "a/" * 600 + "x.pt",
    ],
)  # fmt: skip
def test_a_name_that_must_not_become_a_path_is_refused(name: str) -> None:
    found = finding(wanting(name))

    assert found.state is ReferenceState.MISSING
    assert found.trouble is not None
    assert found.trouble.code == "unsafe-name"
