from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.shelf import Fetched
from comfywatchman.demo.weights import size_for, weights

REPO = "https://huggingface.co/owner/repo/resolve/main"
URL = f"{REPO}/dir/a.safetensors"
KEY = "owner/repo/dir/a.safetensors"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        hub.add(URL)
        yield hub


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def at(hub: Hub, url: str = URL) -> str:
    return url.replace("https://huggingface.co", hub.url)


def test_a_file_is_the_bytes_whose_hash_the_hub_publishes(
    hub: Hub, session: requests.Session
) -> None:
    head = session.head(at(hub))
    whole = session.get(at(hub))

    assert head.status_code == 302
    assert head.headers["X-Linked-Etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert int(head.headers["X-Linked-Size"]) == len(whole.content)
    assert len(head.headers["X-Repo-Commit"]) == 40


def test_the_storage_is_another_host_and_its_etag_is_not_the_hash(
    hub: Hub, session: requests.Session
) -> None:
    whole = session.get(at(hub))

    assert whole.url.startswith(hub.storage_url + "/")
    assert hub.storage_url.startswith("http://localhost:")
    assert hub.url.startswith("http://127.0.0.1:")
    assert len(whole.headers["ETag"].strip('"')) == 64
    assert hub.files[KEY].sha256 not in whole.headers["ETag"]


@pytest.mark.parametrize("size", [1024, 1025, 4096, 50_000, 1_000_003])
def test_what_is_made_from_a_name_is_a_valid_safetensors_file(size: int) -> None:
    content = weights("a.safetensors", size)

    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    ends = [0]
    width = {"F16": 2, "U8": 1}
    for tensor in header.values():
        first, last = tensor["data_offsets"]
        count = 1
        for dimension in tensor["shape"]:
            count *= dimension
        assert first == ends[-1]
        assert last - first == count * width[tensor["dtype"]]
        ends.append(last)
    assert len(content) == size == 8 + length + ends[-1]


def test_one_name_is_the_same_bytes_in_every_repository() -> None:
    with Hub() as one, Hub() as other:
        first = one.add(URL)
        second = other.add("https://huggingface.co/x/y/resolve/main/a.safetensors")

    assert first.sha256 == second.sha256
    assert first.sha256 != one.add(f"{REPO}/b.safetensors").sha256


def test_sizes_lie_between_the_two_that_were_asked_for() -> None:
    sizes = {size_for(f"{number}.safetensors", 2000, 3000) for number in range(200)}

    assert min(sizes) >= 2000
    assert max(sizes) <= 3000
    assert len(sizes) > 100


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=100-", 206, (100, None)),
        ("bytes=-7", 206, (-7, None)),
        ("bytes=5-99999999", 206, (5, None)),
        ("bytes=99999999-", 416, (0, 0)),
        ("lines=1-2", 200, (0, None)),
        ("bytes=-", 200, (0, None)),
    ],
)
def test_ranges_are_served_as_asked(
    hub: Hub,
    session: requests.Session,
    asked: str,
    status: int,
    span: tuple[int, int | None],
) -> None:
    content = hub.files[KEY].read()

    answer = session.get(at(hub), headers={"Range": asked})

    assert answer.status_code == status
    assert answer.content == content[span[0] : span[1]]
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{len(content)}"


def test_a_range_of_an_older_file_is_answered_with_the_whole(
    hub: Hub, session: requests.Session
) -> None:
    etag = session.get(at(hub)).headers["ETag"]

    same = session.get(at(hub), headers={"Range": "bytes=10-", "If-Range": etag})
    other = session.get(at(hub), headers={"Range": "bytes=10-", "If-Range": '"older"'})

    assert (same.status_code, other.status_code) == (206, 200)


def test_a_token_that_is_carried_to_the_storage_is_refused(
    hub: Hub, session: requests.Session
) -> None:
    answer = session.get(f"{hub.storage_url}/{KEY}", headers={"Authorization": "Bearer x"})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        (f"{REPO}/missing.safetensors", 404, "EntryNotFound"),
        ("https://huggingface.co/no/body/resolve/main/a.safetensors", 401, None),
        ("https://huggingface.co/owner/gated/resolve/main/a.safetensors", 401, "GatedRepo"),
        ("https://huggingface.co/owner/repo/dir/a.safetensors", 404, None),
        ("https://huggingface.co/", 404, None),
    ],
)
def test_the_hub_refuses_as_the_real_one_does(
    hub: Hub, session: requests.Session, url: str, status: int, code: str | None
) -> None:
    hub.add("https://huggingface.co/owner/gated/resolve/main/a.safetensors")
    hub.gate("owner/gated")

    answer = session.head(at(hub, url))

    assert (answer.status_code, answer.headers.get("X-Error-Code")) == (status, code)


def test_what_was_fetched_is_counted_by_file(hub: Hub, session: requests.Session) -> None:
    other = hub.add(f"{REPO}/b.safetensors")
    size = hub.files[KEY].size

    session.head(at(hub))
    session.get(at(hub))
    session.get(at(hub), headers={"Range": "bytes=0-99"})
    session.get(at(hub))

    assert hub.fetched() == {KEY: Fetched(whole=2, partial=1, bytes=2 * size + 100)}
    assert other.key not in hub.fetched()
    assert {request.where for request in hub.requests} == {"hub", "storage"}


def test_a_throttled_transfer_takes_its_time(session: requests.Session) -> None:
    with Hub(sizes=(40_000, 40_000), throttle=100_000) as hub:
        hub.add(URL)
        started = time.monotonic()

        session.get(at(hub))

        assert 0.35 < time.monotonic() - started < 5


# -- what it does wrong on request


def test_a_cut_ends_the_body_once_and_the_rest_can_be_had(
    hub: Hub, session: requests.Session
) -> None:
    hub.fault("cut", after=1000)

    with pytest.raises(requests.RequestException):
        session.get(at(hub))
    rest = session.get(at(hub), headers={"Range": "bytes=1000-"})

    assert hub.fetched()[KEY].bytes == hub.files[KEY].size
    assert rest.content == hub.files[KEY].read()[1000:]


def test_a_cut_is_an_offset_in_the_file_and_not_in_the_answer(
    hub: Hub, session: requests.Session
) -> None:
    hub.fault("cut", after=1000)

    rest = session.get(at(hub), headers={"Range": "bytes=2000-2999"}, stream=True)

    with pytest.raises(requests.RequestException):
        assert rest.content
    assert hub.fetched()[KEY].bytes == 0


def test_a_corrupt_answer_differs_in_one_byte(hub: Hub, session: requests.Session) -> None:
    hub.fault("corrupt", after=5000)
    right = hub.files[KEY].read()

    wrong = session.get(at(hub)).content

    assert [at for at, byte in enumerate(wrong) if byte != right[at]] == [5000]
    assert session.get(at(hub)).content == right


def test_a_stalled_answer_ends_with_the_hub(session: requests.Session) -> None:
    with Hub() as hub:
        hub.add(URL)
        hub.fault("stall", after=1000)
        answer = session.get(at(hub), stream=True, timeout=5)
        first = answer.raw.read(1000)
    started = time.monotonic()

    with pytest.raises(requests.RequestException):
        assert answer.content

    assert len(first) == 1000
    assert time.monotonic() - started < 5


def test_other_faults_are_answers_of_their_own(hub: Hub, session: requests.Session) -> None:
    hub.fault("html")
    assert session.get(at(hub)).headers["Content-Type"].startswith("text/html")

    hub.fault("status", status=429, times=2)
    assert [session.get(at(hub)).status_code for _ in range(3)] == [429, 429, 200]

    hub.fault("wrong-hash")
    assert hub.files[KEY].sha256 not in session.head(at(hub)).headers["X-Linked-Etag"]

    hub.fault("no-range")
    assert session.get(at(hub), headers={"Range": "bytes=5-"}).status_code == 200

    hub.fault("slow-start", seconds=0.2)
    assert session.get(at(hub)).elapsed.total_seconds() < 5

    hub.fault("drop", where="hub")
    with pytest.raises(requests.ConnectionError):
        session.get(at(hub))


def test_a_fault_is_for_the_files_it_names(hub: Hub, session: requests.Session) -> None:
    other = f"{REPO}/b.safetensors"
    hub.add(other)
    hub.fault("status", "b.safe")

    assert session.get(at(hub)).status_code == 200
    assert session.get(at(hub, other)).status_code == 503


def test_the_program_serves_every_model_of_the_templates() -> None:
    command = [sys.executable, "-m", "comfywatchman.demo.hub", "--templates", "--size", "2000"]
    with subprocess.Popen([*command, "2500"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            banner = json.loads(process.stdout.readline())
            page = "/Comfy-Org/flux2-dev/resolve/main/split_files/vae/flux2-vae.safetensors"
            answer = requests.get(banner["url"] + page, timeout=5)
        finally:
            process.terminate()

    assert process.returncode == 0
    assert banner["files"] > 350
    assert answer.status_code == 200
    assert banner["insecure_hosts"][0] in banner["url"]
