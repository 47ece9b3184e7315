"""References against the files that are here, by their names."""

from __future__ import annotations

import pytest

from comfywatchman.domain.references import (
    Hint,
    Lookup,
    ReferenceState,
)
from tests.analyze.comparing import (
    EXTRA,
    MODELS,
    ONE,
    TWO,
    code,
    file,
    finding,
    wanting,
)


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


COMPOSED, APART = "café.pt", "cafe\u0301.pt"
"""One name as most programs write it (NFC), and as macOS does (NFD)."""


@pytest.mark.parametrize(
    ("name", "path", "found_in", "spelling", "hint"),
    [
        ("x.pt", "checkpoints/x.pt", "checkpoints", "x.pt", Hint.WRONG_FOLDER),
        ("x.pt", "checkpoints/deep/X.pt", "checkpoints", "deep/X.pt", Hint.WRONG_FOLDER),
        ("x.pt", "odd/x.pt", "odd", "x.pt", Hint.WRONG_FOLDER),  # a folder that no table has
        ("x.pt", "loras/X.pt", "loras", "X.pt", Hint.OTHER_CASE),
        ("a/x.pt", "loras/A/x.pt", "loras", "A/x.pt", Hint.OTHER_CASE),
        ("straße.pt", "loras/STRASSE.pt", "loras", "STRASSE.pt", Hint.OTHER_CASE),
        (COMPOSED, f"loras/{APART}", "loras", APART, Hint.OTHER_UNICODE),
        (APART, f"loras/{COMPOSED}", "loras", COMPOSED, Hint.OTHER_UNICODE),
        (COMPOSED, f"loras/{APART.upper()}", "loras", APART.upper(), Hint.OTHER_UNICODE),
        (
            f"é/{COMPOSED}",
            f"loras/e\u0301/{APART}",
            "loras",
            f"e\u0301/{APART}",
            Hint.OTHER_UNICODE,
        ),
        (COMPOSED, f"loras/sub/{APART}", "loras", f"sub/{APART}", Hint.OTHER_SUBFOLDER),
        (COMPOSED, f"checkpoints/{APART}", "checkpoints", APART, Hint.WRONG_FOLDER),
        ("x.pt", "loras/sub/x.pt", "loras", "sub/x.pt", Hint.OTHER_SUBFOLDER),
        ("a/x.pt", "loras/x.pt", "loras", "x.pt", Hint.OTHER_SUBFOLDER),
        ("a/x.pt", "loras/b/X.pt", "loras", "b/X.pt", Hint.OTHER_SUBFOLDER),
    ],
)
def test_another_folder_or_spelling_is_elsewhere_and_never_present(
    name: str, path: str, found_in: str, spelling: str, hint: Hint
) -> None:
    found = finding(wanting(name), file(MODELS / path))

    assert (found.state, found.found_in, found.spelling, code(found)) == (
        ReferenceState.ELSEWHERE,
        found_in,
        spelling,
        hint,
    )
    assert found.lacking
    assert not found.in_place


def test_a_right_file_in_the_wrong_folder_is_told_where_it_is_and_where_it_would_have_to_lie() -> (
    None
):
    found = finding(wanting("a/x.pt", "vae"), file(MODELS / "checkpoints/a/x.pt"))

    assert found.hint is not None
    assert str(MODELS / "checkpoints/a/x.pt") in found.hint.cause
    assert "node 1 (T) does not look" in found.hint.cause
    assert str(MODELS / "vae/a/x.pt") in found.hint.remedy
    assert "elect" not in found.hint.remedy  # no string in the widget would do


def test_a_file_in_another_subdirectory_of_a_nested_folder_of_a_pack_is_in_the_right_folder() -> (
    None
):
    found = finding(wanting("x.pt", "odd/faces"), file(MODELS / "odd/faces/sub/x.pt"))

    assert (found.found_in, found.spelling, code(found)) == (
        "odd/faces",
        "sub/x.pt",
        Hint.OTHER_SUBFOLDER,
    )


def test_of_several_files_elsewhere_the_one_in_the_right_folder_is_told() -> None:
    found = finding(
        wanting("x.safetensors"),
        file(MODELS / "checkpoints/x.safetensors"),
        file(MODELS / "loras/sub/x.safetensors", size=9),
    )

    assert (found.found_in, found.spelling) == ("loras", "sub/x.safetensors")


def test_a_name_elsewhere_is_written_with_the_separator_of_the_system() -> None:
    found = finding(wanting("x.pt"), file(MODELS / "loras/a/x.pt"), separator="\\")

    assert found.spelling == "a\\x.pt"


def test_what_is_nowhere_is_missing() -> None:
    found = finding(wanting("x.safetensors"), file(MODELS / "loras/y.safetensors"))

    assert (found.state, found.trouble) == (ReferenceState.MISSING, None)


def test_a_reference_without_a_folder_is_satisfied_by_any() -> None:
    found = finding(wanting("x.safetensors", None), file(MODELS / "odd/sub/x.safetensors"))

    assert (found.state, found.found_in, code(found)) == (
        ReferenceState.PRESENT,
        "odd",
        Hint.FOUND_IN,
    )
    assert found.hint is not None
    assert "odd/sub/x.safetensors" in found.hint.cause


def test_a_reference_without_a_folder_takes_the_same_file_in_whatever_order_they_are_known() -> (
    None
):
    files = [file(MODELS / each / "x.pt", size=at) for at, each in enumerate(("vae", "loras"))]

    found = finding(wanting("x.pt", None), *files)

    assert found.hint is not None
    assert "vae/x.pt, loras/x.pt" in found.hint.cause


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

    found = finding(reference, file(MODELS / "loras/easy.pt"))

    assert (found.state, found.found_in, found.spelling, code(found)) == (
        ReferenceState.ELSEWHERE,
        "loras",
        "easy",
        Hint.WRONG_FOLDER,
    )


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


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("deep.pt", "sub/deep.pt"),
        ("other/deep.pt", "deep.pt"),
        ("deep", "sub/deep.pt"),
        ("deep.ckpt", "deep.pt"),
    ],
)
def test_a_node_that_looks_in_every_subfolder_finds_it_there(name: str, there: str) -> None:
    reference = wanting(name, lookup=Lookup.BASENAME)

    assert finding(reference, file(MODELS / "loras" / there)).state is ReferenceState.PRESENT
    assert finding(wanting(name), file(MODELS / "loras" / there)).state is not (
        ReferenceState.PRESENT
    )


def test_the_subfolder_that_is_written_goes_before_others() -> None:
    right = file(MODELS / "loras/b/x.pt", sha256=ONE)

    found = finding(
        wanting("b/x.pt", lookup=Lookup.BASENAME), file(MODELS / "loras/a/x.pt", sha256=TWO), right
    )

    assert (found.path, found.hint) == (right.path, None)
