"""What strangers drop: every file and every reference gets its own answer, the rest goes on."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stories.crowd import rows
from tests.stories.made import Want
from tests.stories.stage import Stage


def report(stage: Stage, path: Path) -> dict[str, Any]:
    """Return the row of the report that the API has for *path*."""
    listed = rows(stage.get("/api/v1/workflows").json(), "workflows")
    [line] = [row for row in listed if row["path"] == str(path)]
    answer = stage.get(f"/api/v1/workflows/{line['id']}")
    answer.raise_for_status()
    return dict(answer.json())


def error_of(stage: Stage, path: Path, name: str) -> dict[str, Any]:
    """Return what the report says about the reference called *name*."""
    [row] = [row for row in report(stage, path)["references"] if row["name"] == name]
    return dict(row["error"])


def goes_on(stage: Stage, name: str) -> None:
    """Check that a good workflow is fixed beside the bad one."""
    want = stage.has(f"{name}.safetensors")
    stage.ready(stage.drop(f"good-{name}.json", want))
    assert stage.is_right(want)


# -- files


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'{"nodes": [')
        for _ in range(200):
            file.write(b" " * 1_000_000)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 20_000_000_000)


def bomb(path: Path) -> None:
    """A picture whose text says that it unpacks to more than there is memory."""
    text = b"workflow\0\0" + b"\x78\x9c" + NOISE
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + b"\0\0\0\0"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)


def writes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


NOISE = hashlib.shake_256(b"noise").digest(5000)

FILES: dict[str, tuple[Callable[[Path], object], str, str | None]] = {
    "broken.json": (writes(b'{"nodes": ['), "unreadable", "workflow-unreadable"),
    "empty.json": (writes(b""), "unreadable", "workflow-unreadable"),
    "other.json": (writes(b'{"name": "a theme", "colors": []}'), "not-a-workflow", None),
    "list.json": (writes(b"[1, 2, 3]"), "not-a-workflow", None),
    "deep.json": (writes(b"[" * 10_000 + b"]" * 10_000), "unreadable", "workflow-too-deep"),
    "deep-objects.json": (
        writes(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        "unreadable",
        "workflow-too-deep",
    ),
    "utf16.json": (
        writes("\ufeff{}".encode("utf-16")),
        "unreadable",
        "workflow-unreadable",
    ),
    "noise.json": (writes(NOISE), "unreadable", "workflow-unreadable"),
    "image.png": (
        writes(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt"),
        "unreadable",
        "workflow-unreadable",
    ),
    "huge.json": (huge, "unreadable", "workflow-too-large"),
    "sparse.json": (sparse, "unreadable", "workflow-too-large"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_workflow_gets_its_own_answer(stage: Stage, name: str) -> None:
    make, state, code = FILES[name]
    path = stage.tree.workflows / name
    make(path)
    stage.daemon.until("workflow.analyzed", workflow=path)
    row = report(stage, path)

    assert row["state"] == state
    if code is None:
        assert row["error"]["code"] == "not-a-workflow"
    else:
        line = stage.daemon.until("workflow.unreadable", workflow=path)
        assert row["error"] == line["error"]
        assert row["error"]["code"] == code
        assert row["error"]["remedy"]


def test_a_picture_with_a_text_that_cannot_be_unpacked_ends_nothing(stage: Stage) -> None:
    path = stage.tree.workflows / "bomb.png"
    bomb(path)
    stage.daemon.until("workflow.analyzed", workflow=path)


def test_a_good_workflow_among_them_is_fixed(stage: Stage) -> None:
    for number, (make, _, _) in enumerate(FILES.values()):
        make(stage.tree.workflows / f"among-{number}.json")

    goes_on(stage, "among")


def test_a_pipe_and_a_device_under_the_name_of_a_workflow_hold_nobody_up(stage: Stage) -> None:
    os.mkfifo(stage.tree.workflows / "pipe.json")
    (stage.tree.workflows / "zero.json").symlink_to("/dev/zero")
    (stage.tree.workflows / "loop.json").symlink_to("loop.json")

    goes_on(stage, "beside-a-pipe")


# -- names


NAMES = {
    "climbs": "../../climbs.safetensors",
    "climbs later": "a/../../../climbs.safetensors",
    "absolute": "/etc/absolute.safetensors",
    "home": "~/home.safetensors",
    "drive": "C:\\windows\\drive.safetensors",
    "NUL": "nul\x00.safetensors",
    "long": "l" * 300 + ".safetensors",
    "longer": "d/" * 2000 + "x.safetensors",
    "newline": "new\nline/../../../x.safetensors",
    "direction": "evil\u202esnrtesnesafetensors.exe",
    "empty part": "a//b.safetensors",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_that_must_not_become_a_path_is_refused_with_a_code(stage: Stage, kind: str) -> None:
    name = NAMES[kind]
    good = stage.has(f"good-{kind}.safetensors")
    bad = Want(name, url="https://huggingface.co/us/loras/resolve/main/bad.safetensors")
    before = set(stage.tree.base.rglob("*"))
    path = stage.drop(f"name-{kind}.json", bad, good)
    stage.daemon.until("model.placed", name=good.name)  # of the same workflow
    stage.daemon.when(lambda: len(stage.lines("workflow.analyzed", path)) == 2)

    assert report(stage, path)["state"] == "blocked"
    assert error_of(stage, path, name.replace("\\", "/"))["code"] == "unsafe-name"
    new = {p.relative_to(stage.tree.base) for p in set(stage.tree.base.rglob("*")) - before}
    assert {p.name for p in new} <= {path.name, good.name}
    assert not [r for r in stage.hub.requests if "bad.safetensors" in r.path]


def test_a_program_is_no_model(stage: Stage) -> None:
    path = stage.drop("program.json", stage.has("setup.exe"))
    line = stage.daemon.until("reference.unresolved", name="setup.exe")

    assert line["error"]["code"] == "name-not-listed"
    assert error_of(stage, path, "setup.exe")["code"] == "name-not-listed"


# -- addresses


URLS = {
    "loopback": "https://127.0.0.1:1/x/x.safetensors",
    "loopback by number": "https://2130706433/x.safetensors",
    "loopback in hexadecimal": "https://0x7f000001/x.safetensors",
    "loopback by name": "https://localhost:1/x.safetensors",
    "private": "https://10.0.0.1/x.safetensors",
    "shared": "https://100.64.0.1/x.safetensors",
    "link-local": "https://169.254.169.254/latest/x.safetensors",
    "IPv6": "https://[::1]/x.safetensors",
    "IPv4 in IPv6": "https://[::ffff:127.0.0.1]/x.safetensors",
    "file": "file:///etc/passwd",
    "ftp": "ftp://ftp.example.org/x.safetensors",
    "data": "data:application/octet-stream;base64,AAAA",
    "plain http": "http://example.org/x.safetensors",
    "password": "https://user:canary@unheard-of.example/x.safetensors",
    "backslash": "https://huggingface.co\\@127.0.0.1/x.safetensors",
    "unknown host": "https://unheard-of.example/x.safetensors",
}


@pytest.mark.parametrize("kind", URLS)
def test_an_address_that_is_not_asked_is_told_with_a_code(stage: Stage, kind: str) -> None:
    want = Want(f"x-{kind}.safetensors", url=URLS[kind])
    path = stage.drop(f"url-{kind}.json", want)
    line = stage.daemon.until("reference.unresolved", name=want.name)

    assert line["error"]["code"] in {"url-refused", "host-not-allowed"}
    assert line["error"]["remedy"]
    stage.daemon.when(lambda: error_of(stage, path, want.name) == line["error"])
    assert "canary" not in b"".join(stage.daemon.raw).decode()
    assert not (stage.tree.models / want.where).exists()


# -- promises


def test_a_file_that_is_not_the_promised_one_is_never_placed(stage: Stage) -> None:
    good = stage.has("promised.safetensors")
    want = Want(good.name, url=good.url, sha256="0" * 64)
    path = stage.drop("promised.json", want)
    line = stage.daemon.until("reference.unresolved", name=want.name)

    assert line["error"]["code"] == "wrong-answer"
    assert error_of(stage, path, want.name)["code"] == "wrong-answer"
    assert not (stage.tree.models / want.where).exists()
    assert not [count for key, count in stage.hub.fetched().items() if want.name in key]


def test_two_workflows_that_promise_different_bytes_are_a_question_for_a_person(
    stage: Stage,
) -> None:
    good = stage.has("disputed.safetensors")
    sha256 = stage.hub.named(good.name).sha256
    (stage.tree.models / "loras" / good.name).touch()  # so that nothing is fetched before both
    for number, promised in enumerate((sha256, "0" * 64)):
        want = Want(good.name, url=good.url, sha256=promised)
        path = stage.drop(f"disputed-{number}.json", want)
        stage.daemon.until("workflow.analyzed", workflow=path)
    (stage.tree.models / "loras" / good.name).unlink()
    stage.drop("disputed-2.json", Want(good.name, url=good.url, sha256="0" * 64))
    line = stage.daemon.until("reference.ambiguous", name=good.name)

    assert line["error"]["code"] == "choice-needed"
    assert not (stage.tree.models / "loras" / good.name).exists()


def test_the_daemon_lives_after_all_of_this(stage: Stage) -> None:
    goes_on(stage, "after-all")

    assert stage.get("/readyz").status_code == 200
    assert stage.daemon.events("job.set_aside") == []
    assert stage.daemon.events("job.crashed") == []
