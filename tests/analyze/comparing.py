"""A folder table, files that are here, and what a comparison says of them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.analyze.compare import compare
from comfywatchman.analyze.text import stem
from comfywatchman.domain.files import Folder, Folders, ModelFile, Stamp, alike
from comfywatchman.domain.references import (
    Analysis,
    Declared,
    Finding,
    Lookup,
    ModelReference,
    WorkflowContent,
)

ONE, TWO, THREE = "ab" * 32, "cd" * 32, "ef" * 32

MODELS = Path("/comfy/models")
EXTRA = Path("/big/loras")
FOLDERS = Folders(
    Path("/comfy"),
    MODELS,
    {
        "loras": Folder("loras", (EXTRA, MODELS / "loras")),
        "checkpoints": Folder("checkpoints", (MODELS / "checkpoints",)),
        "embeddings": Folder("embeddings", (MODELS / "embeddings",)),
        "vae": Folder("vae", (MODELS / "vae",), write_root=MODELS / "vae"),
        "diffusers": Folder("diffusers", (MODELS / "diffusers",)),
    },
)


@dataclass
class Shelf:
    files: Sequence[ModelFile]
    directories: Sequence[Path] = ()

    def named(self, basename: str) -> Sequence[ModelFile]:
        return [each for each in self.files if alike(each.path.name) == alike(basename)]

    def stemmed(self, stem_: str) -> Sequence[ModelFile]:
        return [each for each in self.files if alike(stem(each.path.name)) == alike(stem_)]

    def containing(self, text: str) -> Sequence[ModelFile]:
        return [each for each in self.files if text in str(each.path)]

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        return [each for each in self.files if each.sha256 == sha256]

    def hash_begins(self, digits: str) -> Sequence[ModelFile]:
        return [each for each in self.files if each.sha256 and each.sha256.startswith(digits)]

    def after_begins(self, digits: str) -> Sequence[ModelFile]:
        return [each for each in self.files if (each.after_sha256 or "").startswith(digits)]

    def holds_directory(self, path: Path, marker: str | None = None) -> bool:
        return (path if marker is None else path / marker) in self.directories

    def directory_like(self, root: Path, name: str) -> str | None:
        return next(
            (
                str(each.relative_to(root))
                for each in self.directories
                if root in each.parents and alike(str(each.relative_to(root))) == alike(name)
            ),
            None,
        )


def file(
    path: Path,
    *,
    whole: bool = True,
    sha256: str | None = None,
    after: str | None = None,
    size: int = 7,
    inode: int | None = None,
) -> ModelFile:
    """Return a file of its own; the same *inode* makes two of them links to one."""
    known = zlib.crc32(bytes(path)) if inode is None else inode
    return ModelFile(path, Stamp(1, known, size, 1, 1), whole, sha256, after)


def wanting(
    name: str,
    folder: str | None = "loras",
    lookup: Lookup = Lookup.FILE,
    also: tuple[str, ...] = (),
    declared: tuple[Declared, ...] = (),
    raw: str | None = None,
) -> ModelReference:
    return ModelReference(
        folder,
        name,
        name if raw is None else raw,
        "1",
        "T",
        "w",
        lookup=lookup,
        also_folders=also,
        declared=declared,
    )


def says(*sha256: str) -> tuple[Declared, ...]:
    return tuple(Declared("https://hub/x", each, "properties.models") for each in sha256)


def finding(
    reference: ModelReference,
    *files: ModelFile,
    directory: Path | None = None,
    separator: str = "/",
) -> Finding:
    shelf = Shelf(files, [directory] if directory else [])
    content = WorkflowContent("json", "ui", references=(reference,))
    (found,) = compare(content, FOLDERS, shelf, separator=separator)
    (again,) = compare(content, FOLDERS, Shelf(files[::-1]), separator=separator)
    if directory is None:
        assert found == again, "the order in which files are known must decide nothing"
    return found


def code(found: Finding) -> str | None:
    return None if found.hint is None else found.hint.code


def fetchable(*found: Finding) -> tuple[Finding, ...]:
    return Analysis(Path("/w.json"), "", WorkflowContent("json", "ui"), found).fetchable
