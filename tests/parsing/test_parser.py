from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from comfywatchman.analyze.limits import Limits
from comfywatchman.domain.errors import FileUnreadable, SettingsInvalid
from comfywatchman.domain.references import Severity, WorkflowContent
from comfywatchman.parsing.parser import Parser
from comfywatchman.parsing.process import ChildProcess
from comfywatchman.parsing.wire import Bounds, Hello, Request
from tests.analyze.building import chunk, graph, node, png

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no files over sockets there")

WORKFLOW = json.dumps(graph(node(1, "VAELoader", "v.safetensors"))).encode()


@pytest.fixture
def parser() -> Iterator[Parser]:
    with Parser() as parser:
        yield parser


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "w.json"
    path.write_bytes(WORKFLOW)
    return path


def code(content: WorkflowContent) -> str | None:
    return None if content.trouble is None else content.trouble.code


def until(true: Callable[[], bool], seconds: float = 10) -> bool:
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.01)
    return true()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return f"{pid} (" in _status(pid) and ") Z" in _status(pid)


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""


def test_a_workflow_is_read_by_a_child_process(parser: Parser, workflow: Path) -> None:
    parsed = parser.read(workflow)

    assert [each.name for each in parsed.content.references] == ["v.safetensors"]
    assert parsed.sha256 == sha256(WORKFLOW).hexdigest()
    assert (parsed.stamp.inode, parsed.stamp.size) == (workflow.stat().st_ino, len(WORKFLOW))
    assert not parsed.changed
    assert parser.child_pid not in {None, os.getpid()}


def test_a_child_can_be_started_before_the_file_is_there(parser: Parser, workflow: Path) -> None:
    parser.prepare()
    prepared = parser.child_pid
    assert prepared is not None

    assert parser.read(workflow).content.trouble is None
    assert parser.child_pid == prepared
    parser.prepare()
    assert parser.child_pid == prepared


def test_the_child_tells_what_is_wrong_in_the_file(parser: Parser) -> None:
    twice = json.dumps(graph(node(1, "X"), node(1, "X"))).encode()

    (found,) = parser.read_bytes(twice, "x.json").content.findings

    assert (found.code, found.severity, found.pointer) == (
        "duplicate-id",
        Severity.WARNING,
        "/nodes/1/id",
    )


def test_one_child_reads_many_files(parser: Parser, workflow: Path) -> None:
    parser.read(workflow)
    first = parser.child_pid

    parser.read(workflow)

    assert parser.child_pid == first


def test_bytes_without_a_file_are_read_alike(parser: Parser) -> None:
    parsed = parser.read_bytes(WORKFLOW, "stdin")

    assert len(parsed.content.references) == 1
    assert parsed.sha256 == sha256(WORKFLOW).hexdigest()


def test_lines_of_the_user_reach_the_child(workflow: Path) -> None:
    with Parser(["VAELoader -> vae_approx 0:vae_name"]) as parser:
        assert parser.read(workflow).content.references[0].folder == "vae_approx"


def test_lines_that_come_later_hold_for_what_is_read_from_then_on(workflow: Path) -> None:
    line = "VAELoader -> vae_approx 0:vae_name"
    with Parser() as parser:
        before = parser.read(workflow)
        parser.use_loaders([line])
        after = parser.read(workflow)
        child = parser.child_pid
        parser.use_loaders([line])
        parser.read(workflow)

        assert parser.child_pid == child  # the same lines once more are no reason to start again
    folders = [parsed.content.references[0].folder for parsed in (before, after)]
    assert folders == ["vae", "vae_approx"]


def test_a_wrong_line_that_comes_later_leaves_the_ones_before(workflow: Path) -> None:
    with Parser(["VAELoader -> vae_approx 0:vae_name"]) as parser:
        with pytest.raises(SettingsInvalid):
            parser.use_loaders(["nonsense"])

        assert parser.read(workflow).content.references[0].folder == "vae_approx"


def test_a_wrong_line_of_the_user_is_refused_at_once() -> None:
    with pytest.raises(SettingsInvalid):
        Parser(["nonsense"])


def test_a_link_to_a_workflow_is_followed(parser: Parser, workflow: Path) -> None:
    link = workflow.with_name("link.json")
    link.symlink_to(workflow)

    assert len(parser.read(link).content.references) == 1


@pytest.mark.parametrize(
    "kind", ["absent", "pipe", "directory", "device", "dangling", "circle", "socket"]
)
def test_what_is_no_regular_file_is_not_opened(parser: Parser, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.json"
    with socket.socket(socket.AF_UNIX) as server:
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "directory":
                path.mkdir()
            case "device":
                path.symlink_to("/dev/zero")
            case "dangling":
                path.symlink_to(tmp_path / "nowhere")
            case "circle":
                path.symlink_to(path)
            case "socket":
                server.bind(str(path))
            case _:
                pass

        with pytest.raises(FileUnreadable):
            parser.read(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_we_may_not_read_is_told(parser: Parser, workflow: Path) -> None:
    workflow.chmod(0)

    with pytest.raises(FileUnreadable):
        parser.read(workflow)


def test_a_path_that_cannot_exist_is_told(parser: Parser) -> None:
    with pytest.raises(FileUnreadable):
        parser.read(Path("a\0b"))


def test_a_broken_file_leaves_the_child_alive(parser: Parser, workflow: Path) -> None:
    parser.read(workflow)
    first = parser.child_pid

    assert code(parser.read_bytes(b'{"nodes": [', "x.json").content) == "workflow-unreadable"
    assert parser.child_pid == first


def test_a_huge_file_is_refused_and_still_has_its_hash(parser: Parser, tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)

    parsed = parser.read(path)

    assert code(parsed.content) == "workflow-too-large"
    assert len(parsed.sha256) == 64


def test_an_endless_image_is_refused_without_reading_it(parser: Parser, tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(2 << 40)

    parsed = parser.read(path)

    assert (code(parsed.content), parsed.sha256) == ("workflow-too-large", "")


def test_a_file_that_needs_too_much_memory_ends_only_the_child(workflow: Path) -> None:
    bomb = b'{"nodes":[' + b"{}," * 12_000_000 + b"{}]}"
    with Parser(bounds=Bounds(memory=400 << 20)) as parser:
        parsed = parser.read_bytes(bomb, "bomb.json")

        assert code(parsed.content) == "parser-failed"
        assert parser.read(workflow).content.trouble is None


def test_an_image_that_unpacks_without_end_is_refused(parser: Parser) -> None:
    bomb = png(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b" " * 50_000_000)))

    assert code(parser.read_bytes(bomb, "x.png").content) == "workflow-too-large"


def test_a_child_that_gives_no_answer_is_ended_at_the_deadline(workflow: Path) -> None:
    with Parser(deadline_seconds=0.4) as parser:
        until(lambda: parser.read(workflow).content.trouble is None)
        assert parser.child_pid is not None
        os.kill(parser.child_pid, signal.SIGSTOP)

        stopped = parser.read(workflow).content

        assert stopped.trouble is not None
        assert stopped.trouble.code == "parser-failed"
        assert "no answer" in stopped.trouble.cause


def test_a_child_that_was_ended_while_idle_is_replaced(parser: Parser, workflow: Path) -> None:
    parser.read(workflow)
    first = parser.child_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert until(lambda: gone(first))

    assert parser.read(workflow).content.trouble is None
    assert parser.child_pid != first


def test_a_child_that_crashes_says_how(workflow: Path) -> None:
    child = ChildProcess(Hello(Limits(), Bounds()))
    os.kill(child.pid, signal.SIGKILL)

    with workflow.open("rb") as file:
        answer = child.ask(Request("x"), file.fileno(), 5)
    child.close()

    assert answer.failure == "was ended by signal 9"


def test_an_idle_child_is_let_go(parser: Parser, workflow: Path) -> None:
    parser.read(workflow)

    parser.close_when_idle(time.monotonic())
    assert parser.child_pid is not None
    parser.close_when_idle(time.monotonic() + 3600)
    assert parser.child_pid is None
    assert parser.read(workflow).content.trouble is None


def test_the_child_does_not_hear_the_signals_for_its_parent(parser: Parser, workflow: Path) -> None:
    parser.read(workflow)
    child = parser.child_pid
    assert child is not None

    os.kill(child, signal.SIGINT)
    os.kill(child, signal.SIGTERM)

    assert parser.read(workflow).content.trouble is None
    assert (parser.child_pid, os.getpgid(child)) == (child, child)


def test_the_child_ends_when_its_parent_is_killed(workflow: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from comfywatchman.parsing.parser import Parser\n"
        "parser = Parser()\n"
        "parser.read(pathlib.Path(sys.argv[1]))\n"
        "print(parser.child_pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(workflow)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()

    assert until(lambda: gone(child))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_child_is_confined_and_knows_no_secrets(
    parser: Parser, workflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    parser.read(workflow)
    child = Path(f"/proc/{parser.child_pid}")

    limits = {
        line[:26].strip(): line[26:].split()[:2]
        for line in (child / "limits").read_text().splitlines()
    }

    assert b"hf_secret" not in (child / "environ").read_bytes()
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["16", "16"]
    assert limits["Max address space"] == [str(768 << 20)] * 2
    assert int(limits["Max cpu time"][0]) < 60
    opened = {str(each.readlink()) for each in (child / "fd").iterdir()}
    assert len([each for each in opened if not each.startswith(("/dev/null", "socket:"))]) == 0


def test_a_file_that_is_written_to_meanwhile_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(WORKFLOW + b" " * 30_000_000)
    done = threading.Event()

    def keep_writing() -> None:
        while not done.wait(0.005):
            os.utime(path)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        with Parser() as parser:
            assert parser.read(path).changed
    finally:
        done.set()
        writer.join()
