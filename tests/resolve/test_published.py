from __future__ import annotations

from collections.abc import Iterator

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.domain.errors import (
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.published import Published, Remembering
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web
from tests.resolve.plain_ask import PlainAsk, scripted

URL = "https://huggingface.co/owner/repo/resolve/main/dir/a.safetensors"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(tokens=frozenset({"good"})) as hub:
        yield hub


def hugging_face(hub: Hub, ask: PlainAsk | None = None) -> HuggingFace:
    return HuggingFace(ask or PlainAsk(), Endpoints(huggingface=hub.url))


# -- Hugging Face


def test_the_hash_and_the_size_are_known_before_the_first_byte(hub: Hub) -> None:
    served = hub.add(URL)

    facts = hugging_face(hub).published(URL)

    assert (facts.sha256, facts.size) == (served.sha256, served.size)
    assert facts.filename == "a.safetensors"
    assert facts.page == "https://huggingface.co/owner/repo"
    assert facts.commit is not None
    assert facts.moved_to is None


def test_the_storage_is_not_asked_for_what_the_hub_publishes(hub: Hub) -> None:
    hub.add(URL)

    hugging_face(hub).published(URL)

    assert [(request.where, request.method) for request in hub.requests] == [("hub", "HEAD")]


def test_a_small_file_in_git_has_no_sha256(hub: Hub) -> None:
    served = hub.add(URL, b"{}" * 40, git=True)

    facts = hugging_face(hub).published(URL)

    assert (facts.sha256, facts.size) == (None, served.size)
    assert facts.moved_to is None


def test_a_renamed_repository_is_followed_on_the_same_host(hub: Hub) -> None:
    served = hub.add(URL)
    hub.rename("old/name", "owner/repo")

    facts = hugging_face(hub).published(URL.replace("owner/repo", "old/name"))

    assert facts.sha256 == served.sha256
    assert facts.moved_to == "/owner/repo/resolve/main/dir/a.safetensors"


def test_a_gated_file_says_what_it_needs_and_where(hub: Hub) -> None:
    hub.add(URL)
    hub.gate("owner/repo")

    facts = hugging_face(hub).published(URL)

    assert facts.needs == "login"
    assert facts.trouble is not None
    assert "https://huggingface.co/owner/repo" in facts.trouble.remedy


def test_terms_that_were_not_accepted_are_a_licence() -> None:
    ask = scripted(403, {"X-Error-Code": "GatedRepo"})

    facts = HuggingFace(ask, Endpoints()).published(URL)

    assert facts.needs == "licence"


def test_a_bad_token_does_not_hide_a_public_file(hub: Hub) -> None:
    served = hub.add(URL)

    facts = hugging_face(hub, PlainAsk(token="revoked")).published(URL)

    assert facts.sha256 == served.sha256
    assert [request.status for request in hub.requests] == [401, 302]


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (404, {"X-Error-Code": "EntryNotFound"}, SourceMissing),
        (404, {"X-Error-Code": "RevisionNotFound"}, SourceMissing),
        (404, {"X-Error-Code": "RepoNotFound"}, SourceMissing),
        (401, {"X-Error-Message": "Invalid username or password."}, SourceMissing),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, SourceMissing),
        (451, {}, SourceMissing),
        (403, {"Content-Type": "text/html"}, SourceUnavailable),  # a proxy's page
        (403, {}, WrongAnswer),
        (400, {}, WrongAnswer),
        (200, {"Content-Type": "text/html; charset=utf-8"}, WrongAnswer),
        (302, {}, WrongAnswer),
        (307, {"Location": "/owner/repo/resolve/main/dir/a.safetensors"}, SourceUnavailable),
        (408, {}, SourceUnavailable),
        (500, {}, SourceUnavailable),
        (503, {}, SourceUnavailable),
        (429, {}, RateLimited),
    ],
)
def test_every_refusal_of_hugging_face_has_its_own_error(
    status: int, headers: dict[str, str], error: type[WatchmanError]
) -> None:
    with pytest.raises(error):
        HuggingFace(scripted(status, headers), Endpoints()).published(URL)


def test_a_page_of_hugging_face_is_no_file() -> None:
    with pytest.raises(WrongAnswer):
        HuggingFace(scripted(200), Endpoints()).published("https://huggingface.co/owner/repo")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"resolvers";r=0;t=295'}, 295.0),
        ({"RateLimit": '"resolvers";r=0;t=5', "Retry-After": "30"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_too_many_requests_says_how_long_to_wait(
    headers: dict[str, str], seconds: float | None
) -> None:
    with pytest.raises(RateLimited) as limited:
        HuggingFace(scripted(429, headers), Endpoints()).published(URL)

    assert limited.value.retry_after == seconds


@pytest.mark.parametrize("etag", ["", '"abc"', f'"{"a" * 40}"', f'"{"g" * 64}"'])
def test_what_is_no_sha256_is_not_taken_for_one(etag: str) -> None:
    headers = {"Location": "https://cdn.example.org/x", "X-Linked-Etag": etag}

    facts = HuggingFace(scripted(302, headers), Endpoints()).published(URL)

    assert facts.sha256 is None


def test_the_storages_etag_is_never_the_hash() -> None:
    headers = {"ETag": f'"{"a" * 64}"', "Content-Length": "5"}

    facts = HuggingFace(scripted(200, headers), Endpoints()).published(URL)

    assert (facts.sha256, facts.size) == (None, 5)


# -- plain web servers

SHA256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
BASE64 = "LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564="


def test_a_plain_file_has_the_size_and_the_digest_that_its_server_publishes(hub: Hub) -> None:
    plain = hub.add_plain("b.safetensors")
    proven = hub.add_plain("c.safetensors", digest=True)
    web = Web(PlainAsk(), Endpoints())

    assert web.published(plain).sha256 is None
    assert web.published(plain).size == hub.named("b.safetensors").size
    assert web.published(proven).sha256 == hub.named("c.safetensors").sha256


@pytest.mark.parametrize(
    "headers",
    [
        {"Repr-Digest": f"sha-256=:{BASE64}:"},
        {"Repr-Digest": f"md5=:abcd:, sha-256=:{BASE64}:, sha-512=:xx:"},
        {"Content-Digest": f"sha-256=:{BASE64}:"},
        {"Digest": f"SHA-256={BASE64}"},
        {"Digest": f"unixsum=30637,sha-256={BASE64}"},
        {"X-Checksum-Sha256": SHA256.upper()},
        {"x-amz-checksum-sha256": BASE64},
        {"X-Linked-Etag": f'"{SHA256}"'},
    ],
)
def test_a_published_hash_is_read_however_the_server_says_it(headers: dict[str, str]) -> None:
    facts = Web(scripted(200, headers), Endpoints()).published("https://example.org/a.pth")

    assert facts.sha256 == SHA256


@pytest.mark.parametrize(
    "headers",
    [
        {"Repr-Digest": "sha-256=:not base64:"},
        {"Repr-Digest": "sha-256=:YWJj:"},  # three bytes
        {"ETag": f'"{SHA256}"'},
        {"x-amz-checksum-sha256": f"{BASE64}-3"},
        {"x-amz-checksum-sha256": BASE64, "x-amz-checksum-type": "COMPOSITE"},
    ],
)
def test_what_is_not_the_hash_of_the_whole_file_is_left_out(headers: dict[str, str]) -> None:
    facts = Web(scripted(200, headers), Endpoints()).published("https://example.org/a.pth")

    assert facts.sha256 is None


def test_the_digest_of_one_byte_is_not_the_digest_of_the_file() -> None:
    headers = {"Content-Digest": f"sha-256=:{BASE64}:", "Content-Range": "bytes 0-0/77"}

    facts = Web(scripted(206, headers), Endpoints()).published("https://example.org/a.pth")

    assert (facts.sha256, facts.size) == (None, 77)


def test_a_server_without_head_is_asked_for_one_byte() -> None:
    asked = []

    def ask(method: str, url: str, **more: object) -> object:
        asked.append((method, more.get("headers")))
        headers = {"Content-Range": "bytes 0-0/123"}
        return scripted(405 if method == "HEAD" else 206, headers)(method, url)

    facts = Web(ask, Endpoints()).published("https://example.org/a.pth")  # type: ignore[arg-type] # a fake

    assert facts.size == 123
    assert asked[1] == ("GET", {"Accept-Encoding": "identity", "Range": "bytes=0-0"})


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (200, {"Content-Type": "text/html; charset=utf-8"}, WrongAnswer),  # a sign-in page
        (200, {"Content-Type": "application/json"}, WrongAnswer),
        (404, {}, SourceMissing),
        (410, {}, SourceMissing),
        (418, {}, WrongAnswer),
        (500, {}, SourceUnavailable),
        (429, {"Retry-After": "7"}, RateLimited),
    ],
)
def test_every_refusal_of_a_web_server_has_its_own_error(
    status: int, headers: dict[str, str], error: type[WatchmanError]
) -> None:
    with pytest.raises(error):
        Web(scripted(status, headers), Endpoints()).published("https://example.org/a.pth")


@pytest.mark.parametrize(("status", "needs"), [(401, "login"), (403, "login"), (402, "payment")])
def test_a_file_behind_a_login_says_so(status: int, needs: str) -> None:
    facts = Web(scripted(status), Endpoints()).published("https://example.org/a.pth")

    assert facts.needs == needs


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="real.safetensors"', "real.safetensors"),
        ("attachment; filename*=UTF-8''gr%C3%BCn.pth", "grün.pth"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename=".."', "get"),
        ("inline", "get"),
    ],
)
def test_the_name_in_the_answer_is_a_name_and_no_path(header: str, name: str) -> None:
    web = Web(scripted(200, {"Content-Disposition": header}), Endpoints())

    assert web.published("https://example.org/get?id=1").filename == name


# -- asking once


class Counting:
    def __init__(self, *answers: Published) -> None:
        self.answers = list(answers)
        self.asked = 0

    def published(self, url: str) -> Published:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def test_a_question_is_asked_once_in_the_lifetime_of_its_answer() -> None:
    times = iter((0.0, 30.0, 59.9, 60.0, 61.0))
    source = Counting(Published(URL, "a"))
    remembering = Remembering(source, clock=lambda: next(times), lifetime_seconds=60)

    for _ in range(5):
        remembering.published(URL)

    assert source.asked == 2


def test_a_file_that_needed_a_login_is_asked_about_again() -> None:
    locked = HuggingFace(scripted(403, {"X-Error-Code": "GatedRepo"}), Endpoints()).published(URL)
    source = Counting(locked, Published(URL, "a"))
    remembering = Remembering(source, clock=lambda: 0.0)

    remembering.published(URL)

    assert remembering.published(URL).needs is None


def test_the_memory_has_an_end() -> None:
    source = Counting(Published(URL, "a"))
    remembering = Remembering(source, clock=lambda: 0.0, limit=2)

    for url in ("1", "2", "3", "2", "1"):
        remembering.published(url)

    assert source.asked == 4
