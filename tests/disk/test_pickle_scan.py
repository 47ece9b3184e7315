from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import pytest

from comfywatchman.disk.heads.imports import verdict_of
from comfywatchman.disk.heads.pickles import Pickled, read_pickles
from comfywatchman.disk.heads.reading import read_head
from comfywatchman.disk.heads.values import Head, Scan, Tensor
from tests.disk.pickled import (
    calling,
    imported,
    old_torch,
    state_dict,
    tensor,
    text,
    torch_zip,
    whole,
    within,
)

TENSORS = {"conv_first.weight": (64, 3, 3, 3), "conv_first.bias": (64,)}
AS_TENSORS = (
    Tensor("conv_first.weight", "F16", (64, 3, 3, 3), 64 * 27 * 2),
    Tensor("conv_first.bias", "F16", (64,), 128),
)


def scanned(data: bytes) -> Pickled:
    return read_pickles(io.BytesIO(data))


def head_of(tmp_path: Path, data: bytes, suffix: str = ".pth") -> Head:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(data)
    return read_head(file, suffix)


def the_scan(head: Head) -> Scan:
    assert head.scan is not None
    return head.scan


@pytest.mark.parametrize(
    "data",
    [
        whole(state_dict(TENSORS)),
        whole(within("params_ema", state_dict(TENSORS))),
        whole(within("state_dict", state_dict(TENSORS))),
        old_torch(state_dict(TENSORS)),
        old_torch(within("state_dict", state_dict(TENSORS))),
    ],
)
def test_a_state_dict_is_clean_and_its_tensors_are_told(data: bytes) -> None:
    found = scanned(data)

    assert found.scan.verdict == "clean"
    assert found.scan.error is None
    assert found.tensors == AS_TENSORS


def test_a_checkpoint_of_torch_is_read_inside_its_archive(tmp_path: Path) -> None:
    head = head_of(tmp_path, torch_zip(state_dict(TENSORS)))

    assert (head.format, head.problem, the_scan(head).verdict) == ("torch-zip", None, "clean")
    assert head.tensors == AS_TENSORS
    assert head.facts == {"torch_version": "3"}
    assert [member.name for member in head.members][:2] == ["archive/data.pkl", "archive/version"]
    assert head.member_count == 3


def test_an_embedding_of_the_old_kind_is_told() -> None:
    embedding = within("string_to_param", within("*", tensor((2, 768), "FloatStorage")))

    assert scanned(whole(embedding)).tensors == (
        Tensor("string_to_param.*", "F32", (2, 768), 6144),
    )


@pytest.mark.parametrize(
    "opcodes",
    [
        calling("os", "system"),
        calling("posix", "system"),
        calling("nt", "system"),
        calling("builtins", "eval"),
        calling("__builtin__", "exec"),
        calling("subprocess", "Popen"),
        calling("runpy", "_run_code"),
        calling("torch.storage", "_load_from_bytes"),
        calling("pickle", "loads"),
        calling("importlib", "import_module"),
        calling("builtins", "getattr"),
        calling("functools", "partial"),
        calling("operator", "attrgetter"),
        calling("webbrowser", "open"),
        calling("numpy", "load"),
        b"(" + text("true") + b"ios\nsystem\n",  # INST
        b"(" + imported("os", "system") + text("true") + b"o",  # OBJ
        imported("os", "system") + text("true") + b"\x85\x81",  # NEWOBJ
        text("os") + text("system") + b"\x93" + text("true") + b"\x85R",  # STACK_GLOBAL
        text("os") + b"q\x07" + b"0" + b"h\x07" + text("system") + b"\x93",  # by way of the memo
        text("os") + b"\x94" + b"0" + b"h\x00" + text("system") + b"\x93",  # MEMOIZE
        text("torch") + text("serialization.os.system") + b"\x93",  # walked as attributes
        text("collections") + text("OrderedDict.__init__.__globals__.eval") + b"\x93",
        state_dict(TENSORS) + b"0" + calling("os", "system"),
        calling("os", "system") + b"0" + state_dict(TENSORS),
        within("state_dict", state_dict(TENSORS)) + text("hook") + calling("os", "system") + b"s",
    ],
)
def test_what_runs_code_is_dangerous_wherever_it_stands(tmp_path: Path, opcodes: bytes) -> None:
    for data in (whole(opcodes, 4), old_torch(opcodes), torch_zip(opcodes)):
        assert the_scan(head_of(tmp_path, data)).verdict == "dangerous"


def test_the_oldest_protocol_has_no_signature_and_is_read_as_well(tmp_path: Path) -> None:
    for suffix in (".pt", ".ckpt", ".bin", ".pkl"):
        head = head_of(tmp_path, b"cos\nsystem\n(S'true'\ntR.", suffix)

        assert (head.format, the_scan(head).verdict) == ("pickle", "dangerous")


def test_a_pickle_after_a_harmless_one_is_read_as_well() -> None:
    harmless, evil = pickle.dumps({"a": 1}, 2), whole(calling("os", "system"))

    assert scanned(harmless + evil).scan.verdict == "dangerous"
    assert scanned(harmless + harmless).scan == Scan(2)


def test_a_pickle_under_another_name_in_the_archive_is_found(tmp_path: Path) -> None:
    evil = whole(calling("os", "system"))
    data = torch_zip(state_dict(TENSORS), more={"extra.bin": evil})

    assert the_scan(head_of(tmp_path, data)).verdict == "dangerous"


def test_a_name_nobody_vouches_for_is_neither_clean_nor_dangerous() -> None:
    found = scanned(whole(calling("pytorch_lightning.callbacks", "ModelCheckpoint"))).scan

    assert found.verdict == "unknown"
    assert [(each.module, each.verdict) for each in found.imports] == [
        ("pytorch_lightning.callbacks", "unknown")
    ]


@pytest.mark.parametrize(
    "data",
    [
        whole(state_dict(TENSORS))[:-1],  # no end
        whole(state_dict(TENSORS))[:40],
        b"\x80\x02\xff.",  # no opcode
        b"\x80\x02R.",  # an empty stack
        b"\x80\x02" + b"X" + struct.pack("<I", 2**31) + b"abc.",  # a lying length
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
        b"\x80\x02\x82\x01.",  # the extension registry
        b"\x80\x02" + text("a")[:-1],
        b"",
    ],
)
def test_what_cannot_be_followed_to_its_end_is_not_clean(data: bytes) -> None:
    assert scanned(data).scan.verdict == "unknown"


def test_what_was_seen_before_it_broke_off_still_counts() -> None:
    assert scanned(whole(calling("os", "system"))[:-1]).scan.verdict == "dangerous"


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + b"(" * 3_000_000 + b".",
        b"\x80\x02)" + b"\x85" * 300_000 + b".",  # tuples in tuples
        b"\x80\x02}" + b"\x942h\x00b" * 400_000 + b".",  # a dictionary that takes in itself
        b"\x80\x02}q\x00(" + (text("model") + b"h\x00") * 50_000 + b"u.",  # and holds itself
        b"\x80\x04" + b"N\x94" * 1_500_000 + b".",
        b"\x80\x02I" + b"1" * 3_000_000 + b"\n.",
    ],
    ids=["marks", "tuples", "doubling", "itself", "memo", "digits"],
)
def test_a_hostile_pickle_ends_soon_and_needs_little(data: bytes) -> None:
    found = scanned(data)

    assert found.scan.verdict in {"clean", "unknown"}
    assert found.tensors == ()


def test_bytes_inside_a_pickle_are_passed_over(tmp_path: Path) -> None:
    size = 300 << 20
    file = tmp_path / "x.pkl"
    with file.open("wb") as opened:
        opened.write(b"\x80\x04\x8e" + struct.pack("<Q", size))
        opened.seek(size, 1)  # a hole: it costs no disk, and must cost no memory
        opened.write(b"0" + calling("os", "system") + b".")
    head = read_head(file, ".pkl")

    assert the_scan(head).verdict == "dangerous"
    assert the_scan(head).error is None


def test_an_archive_that_lies_about_its_members_is_not_clean(tmp_path: Path) -> None:
    data = bytearray(torch_zip(state_dict(TENSORS)))
    data[30:46] = b"archive/DATA.pkl"  # the name in the local header, not in the table
    head = head_of(tmp_path, bytes(data))

    assert the_scan(head).verdict == "unknown"
    assert "cannot be read" in (the_scan(head).error or "")


@pytest.mark.parametrize(
    ("module", "name", "verdict"),
    [
        ("collections", "OrderedDict", "known"),
        ("torch", "FloatStorage", "known"),
        ("torch", "bfloat16", "known"),
        ("torch.storage", "UntypedStorage", "known"),
        ("numpy._core.multiarray", "_reconstruct", "known"),
        ("__builtin__", "set", "known"),
        ("torch", "evil.Storage", "unknown"),
        ("torch.nn", "Linear", "unknown"),
        ("collections", "Counter", "unknown"),
        ("", "", "unknown"),
        ("os.path", "join", "dangerous"),
        ("builtins", "eval.__call__", "dangerous"),
        ("a.b", "c.os.system", "dangerous"),
    ],
)
def test_names_are_judged_by_module_and_name(module: str, name: str, verdict: str) -> None:
    assert verdict_of(module, name) == verdict
