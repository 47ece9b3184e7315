"""One reading of a file: everything it tells, and when it tells nothing."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import DiskFailed, ExtraMissing, FileUnreadable, Interrupted
from comfywatchman.domain.files import Digests, Measured, Reading
from comfywatchman.inventory import Changed, Wanted, measure_model, read_model, sample_of

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="read leases are Linux's")
NEVER = threading.Event()


def safetensors(data: bytes, **metadata: str) -> bytes:
    content = {"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    header = json.dumps({"__metadata__": metadata, **content}).encode()
    return len(header).to_bytes(8, "little") + header + data


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def told(path: Path, **wanted: bool) -> Reading:
    reading = read_model(path, NEVER, wanted=Wanted(**wanted))
    assert isinstance(reading, Reading)
    return reading


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- what it tells


@pytest.mark.parametrize("size", [0, 1, 9, 65_536, 1 << 20, (1 << 20) + 70_000, 5_000_001])
def test_one_reading_tells_every_digest_of_a_file_of_any_size(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = put(tmp_path / "a.bin", content)
    reading = told(path, after_header=True)

    assert reading.measured == Measured(size, sha256(content))
    assert reading.measured.autov2 == sha256(content)[:10]
    at_a_mebibyte = content[0x100000 : 0x100000 + 0x10000]
    wanted = sha256(at_a_mebibyte)[:8] if at_a_mebibyte else None
    assert reading.digests.autov1 == wanted
    assert reading.digests.after_sha256 is None
    assert reading.stamp == look(path)
    assert reading.links == 1


def test_the_hash_after_the_header_outlives_a_change_of_the_metadata(tmp_path: Path) -> None:
    weights = os.urandom(3_000_000)
    before = told(put(tmp_path / "a", safetensors(weights)), after_header=True)
    after = told(put(tmp_path / "b", safetensors(weights, ss_tag="edited" * 99)), after_header=True)

    assert before.measured.sha256 != after.measured.sha256
    assert before.digests.after_sha256 == after.digests.after_sha256 == sha256(weights)
    assert before.digests.autov3 == sha256(weights)[:12]


def test_the_hash_after_the_header_is_left_out_where_it_is_not_wanted(tmp_path: Path) -> None:
    assert told(put(tmp_path / "a", safetensors(bytes(9)))).digests.after_sha256 is None


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02pickled",
        (10**18).to_bytes(8, "little") + b"{" + bytes(100),
        (5000).to_bytes(8, "little") + b"{" + bytes(100),  # a header longer than the file
        b"GGUF" + bytes(100),
    ],
)
def test_a_file_without_a_safetensors_header_has_no_hash_after_it(
    tmp_path: Path, content: bytes
) -> None:
    assert told(put(tmp_path / "a", content), after_header=True).digests.after_sha256 is None


def test_blake3_is_measured_where_it_is_asked_for(tmp_path: Path) -> None:
    blake3 = pytest.importorskip("blake3")
    content = os.urandom(2_500_000)
    path = put(tmp_path / "a", content)

    assert told(path, blake3=True).digests.blake3 == blake3.blake3(content).hexdigest()
    assert told(path).digests.blake3 is None


def test_without_its_package_blake3_is_an_error_that_says_what_to_install(tmp_path: Path) -> None:
    path = put(tmp_path / "a", b"x")
    program = textwrap.dedent(
        f"""
        import sys, threading
        from pathlib import Path

        sys.modules["blake3"] = None
        from comfywatchman.inventory import Wanted, read_model

        read_model(Path({str(path)!r}), threading.Event(), wanted=Wanted(blake3=True))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert ExtraMissing.__name__ in done.stderr
    assert "pip install blake3" in done.stderr


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 3_000_000])
def test_a_sample_of_both_ends_is_the_same_by_itself_and_by_the_way(
    tmp_path: Path, size: int
) -> None:
    path = put(tmp_path / "a", os.urandom(size))
    sample, stamp, links = sample_of(path)

    assert told(path).digests == Digests(autov1=told(path).digests.autov1, sample=sample)
    assert (stamp, links) == (look(path), 1)


@pytest.mark.parametrize("place", [0, 65_535, -1, -65_536])
def test_a_sample_tells_a_byte_that_differs_at_either_end(tmp_path: Path, place: int) -> None:
    content = bytearray(os.urandom(300_000))
    before = sample_of(put(tmp_path / "a", bytes(content)))[0]
    content[place] ^= 1

    assert sample_of(put(tmp_path / "b", bytes(content)))[0] != before


def test_a_hard_link_is_known_as_such_and_a_symlink_leads_to_the_same(tmp_path: Path) -> None:
    path = put(tmp_path / "a", b"x" * 1000)
    (tmp_path / "hard").hardlink_to(path)
    (tmp_path / "soft").symlink_to(path)
    read = [told(tmp_path / name) for name in ("a", "hard", "soft")]

    assert {(one.stamp, one.measured, one.links) for one in read} == {
        (read[0].stamp, read[0].measured, 2)
    }


# -- when it tells nothing


def test_a_file_that_somebody_has_open_for_writing_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a", b"x" * 1000)
    with path.open("ab"):
        outcome = read_model(path, NEVER)
    if isinstance(outcome, Reading):
        pytest.skip("this file system gives no leases")

    assert outcome.why == "written"
    assert isinstance(read_model(path, NEVER), Reading)


@LINUX
def test_a_writer_who_only_holds_a_mapping_is_noticed(tmp_path: Path) -> None:
    path = put(tmp_path / "a", b"x" * 8192)
    with path.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    outcome = read_model(path, NEVER)
    mapping.close()
    if isinstance(outcome, Reading):
        pytest.skip("this file system gives no leases")

    assert outcome.why == "written"


@LINUX
def test_a_writer_who_comes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    """He has written nothing yet, but may be about to through a mapping that no stamp shows."""
    path = put(tmp_path / "a", b"x" * 1000)
    opened: list[int] = []
    outcome = read_model(path, NEVER, lambda _: opened.append(os.open(path, os.O_RDWR)))
    os.close(opened[0])
    if isinstance(outcome, Reading):
        pytest.skip("this file system gives no leases")

    assert outcome.why == "written"


def test_a_file_that_shrinks_while_it_is_read_is_not_recorded(tmp_path: Path) -> None:
    path = put(tmp_path / "a", bytes(3_000_000))

    assert read_model(path, NEVER, lambda _: os.truncate(path, 1_500_000)) == Changed(path)


def test_a_file_that_grows_faster_than_it_is_read_has_an_end(tmp_path: Path) -> None:
    path = put(tmp_path / "a", bytes(3_000_000))
    told_of: list[int] = []

    def grow(done: int) -> None:
        told_of.append(done)
        with path.open("ab") as file:
            file.write(bytes(2_000_000))

    assert read_model(path, NEVER, grow) == Changed(path)
    assert told_of[-1] == 3_000_000


def test_a_file_replaced_by_an_equal_one_while_it_is_read_is_not_recorded(tmp_path: Path) -> None:
    path, other = (put(tmp_path / name, b"x" * 1000) for name in "ab")
    for one in (path, other):
        os.utime(one, (1, 1))

    def replace(_done: int) -> None:
        other.replace(path)

    assert read_model(path, NEVER, replace) == Changed(path)


def test_a_file_of_which_much_was_never_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(1 << 33)
    read: list[int] = []
    outcome = read_model(path, NEVER, read.append)

    assert isinstance(outcome, Changed)
    assert outcome.why == "incomplete"
    assert read == []


def test_a_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert read_model(tmp_path / "gone", NEVER) == Changed(tmp_path / "gone")


def test_a_reading_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(Interrupted):
        read_model(put(tmp_path / "a", bytes(5_000_000)), stop)


def test_size_and_hash_alone_can_be_had_as_well(tmp_path: Path) -> None:
    path = put(tmp_path / "a", b"abc")

    assert measure_model(path, NEVER) == (Measured(3, sha256(b"abc")), look(path))
    assert measure_model(tmp_path / "gone", NEVER) == Changed(tmp_path / "gone")


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every user of the machine may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


READ_IT = """
import os, sys, threading
from pathlib import Path
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.inventory import read_model
os.seteuid(int(sys.argv[2]))
try:
    print(type(read_model(Path(sys.argv[1]), threading.Event())).__name__)
except WatchmanError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_that_may_not_be_read_is_an_error_of_its_own(open_to_all: Path) -> None:
    path = put(open_to_all / "a", b"x")
    path.chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", READ_IT, path, "65534"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert done.stdout.strip() == FileUnreadable.__name__, done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_disk_that_fails_in_the_middle_of_a_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = put(tmp_path / "a", bytes(5_000_000))
    fault = "inject=preadv,preadv2:error=EIO:when=3"
    inject = ["-f", "-qq", "-o", os.devnull, "-P", str(path), "-e", fault]
    done = subprocess.run(
        ["strace", *inject, sys.executable, "-c", READ_IT, str(path), str(os.geteuid())],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip("no process may be traced here")

    assert done.stdout.strip() == DiskFailed.__name__, done.stderr
