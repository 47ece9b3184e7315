from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from comfywatchman.domain.errors import (
    HashInvalid,
    HostNotAllowed,
    LoginNeeded,
    NotGivenOut,
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.resolve.civitai import Civitai, fetch_civitai_image
from comfywatchman.resolve.civitai_places import COM, RED
from comfywatchman.resolve.hashes import hash_of
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.civitai_records import SHA256, a_file, a_model, a_page, a_version
from tests.resolve.plain_ask import Replies, scripted

VERSION = "/api/v1/model-versions/34"
LOOKUPS: dict[str, Callable[[Civitai], object]] = {
    "version": lambda civitai: civitai.version(34),
    "by-hash": lambda civitai: civitai.by_hash(SHA256),
    "model": lambda civitai: civitai.model(12),
    "models": lambda civitai: civitai.models("some words"),
    "image": lambda civitai: civitai.image(56),
}


def civitai(answers: dict[str, object]) -> tuple[Civitai, Replies]:
    replies = Replies(answers)
    return Civitai(replies, Endpoints()), replies


# -- the questions


def test_each_lookup_asks_the_path_that_is_a_lookup() -> None:
    asking, replies = civitai(
        {
            VERSION: a_version(34),
            f"/api/v1/model-versions/by-hash/{SHA256}": a_version(1, a_file("a", sha256=SHA256)),
            "/api/v1/models/12": a_model(12, "M"),
            "/api/v1/models": a_page(),
            "/api/v1/images": {"items": [{"id": 56}]},
        }
    )

    for lookup in LOOKUPS.values():
        lookup(asking)

    assert replies.paths == [
        VERSION,
        f"/api/v1/model-versions/by-hash/{SHA256}",
        "/api/v1/models/12",
        "/api/v1/models",
        "/api/v1/images",
    ]
    image = parse_qs(urlsplit(replies.asked[-1]).query)
    assert image["imageId"] == ["56"]
    assert "ids" not in image


def test_a_search_asks_for_mature_models_too_and_repeats_the_types() -> None:
    asking, replies = civitai({"/api/v1/models": a_page()})

    asking.models("some words", types=("LORA", "LoCon"), cursor="a|b|20")

    query = parse_qsl(urlsplit(replies.asked[0]).query)
    assert ("nsfw", "true") in query
    assert [value for name, value in query if name == "types"] == ["LORA", "LoCon"]
    assert ("cursor", "a|b|20") in query
    assert "page" not in dict(query)


def test_a_search_ages_as_a_search_and_a_lookup_as_a_fact() -> None:
    asking, replies = civitai({"/api/v1/models": a_page(), VERSION: a_version(34)})

    asking.models("x")
    asking.version(34)

    assert [call["kind"] for call in replies.calls] == ["search", "metadata"]


def test_equal_questions_are_equal_to_the_last_letter_and_others_differ() -> None:
    asking, replies = civitai({"/api/v1/models": a_page()})

    for query in ("one two", "one two", "one  two", "one"):
        asking.models(query, types=("LORA",))

    assert replies.asked[0] == replies.asked[1]
    assert len(set(replies.asked)) == 3


# -- the two fronts


def test_what_one_front_does_not_have_is_looked_for_once_on_the_other() -> None:
    asking, replies = civitai({f"{RED}{VERSION}": a_version(34)})

    version = asking.version(34)

    assert version.front == RED
    assert replies.asked == [COM + VERSION, RED + VERSION]


def test_an_address_of_the_second_front_is_asked_there_first() -> None:
    asking, replies = civitai({f"{COM}{VERSION}": a_version(34)})

    assert asking.version(34, RED).front == COM
    assert replies.asked == [RED + VERSION, COM + VERSION]


def test_what_neither_front_has_is_missing() -> None:
    asking, replies = civitai({})

    with pytest.raises(SourceMissing, match="no published model version 34"):
        asking.version(34)
    assert len(replies.asked) == 2


def test_an_endpoint_of_ones_own_has_one_front() -> None:
    replies = Replies()

    with pytest.raises(SourceMissing):
        Civitai(replies, Endpoints(civitai="http://127.0.0.1:1")).version(34)

    assert replies.asked == [f"http://127.0.0.1:1{VERSION}"]


def test_a_second_front_that_the_settings_forbid_is_left_alone() -> None:
    asking, _ = civitai({f"{RED}{VERSION}": HostNotAllowed("no", remedy="none")})

    with pytest.raises(SourceMissing):
        asking.version(34)


def test_an_outage_of_the_second_front_is_not_a_missing_model() -> None:
    asking, _ = civitai({f"{RED}{VERSION}": (503, {})})

    with pytest.raises(SourceUnavailable):
        asking.version(34)


def test_a_search_is_asked_of_one_front_only() -> None:
    asking, replies = civitai({f"{COM}/api/v1/models": a_page()})

    asking.models("x")

    assert len(replies.asked) == 1


# -- what a refusal means, on every lookup

HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "cause"),
    [
        (400, JSON, b'{"error": {"name": "ZodError"}}', WrongAnswer, "status 400"),
        (401, JSON, b'{"error": "Unauthorized"}', LoginNeeded, "Unauthorized"),
        (403, JSON, b'{"error": "Forbidden"}', LoginNeeded, "Forbidden"),
        (403, HTML, b"<html>Just a moment...", SourceUnavailable, "browser"),
        (403, HTML | {"cf-mitigated": "challenge"}, b"", SourceUnavailable, "browser"),
        (404, JSON, b'{"error": "Model not found"}', SourceMissing, "Model not found"),
        (404, HTML, b"<html>Next.js", WrongAnswer, "status 404"),  # a path that does not exist
        (410, JSON, b'{"error": "Model archived"}', NotGivenOut, "archived"),
        (408, {}, b"", SourceUnavailable, "408"),
        (418, {}, b"", WrongAnswer, "418"),
        (429, JSON, b'{"error": "Too Many Requests"}', RateLimited, "slow down"),
        (429, HTML | {"cf-mitigated": "challenge"}, b"<html>", RateLimited, "slow down"),
        (
            451,
            JSON,
            b'{"error": "Not available", "code": "REGION_BLOCKED"}',
            NotGivenOut,
            "where you are",
        ),
        (500, HTML, b"<html>", SourceUnavailable, "500"),
        (503, JSON | {"Retry-After": "2"}, b"{}", SourceUnavailable, "503"),
        (524, HTML, b"<html>", SourceUnavailable, "524"),
        (302, {"Location": "https://civitai.com/login"}, b"", WrongAnswer, "302"),
        (307, {"Location": "/login?reason=download-auth"}, b"", WrongAnswer, "307"),
        (204, {}, b"", WrongAnswer, "204"),
        (200, HTML, b"<html>Sign in", WrongAnswer, "web page"),
        (200, JSON, b"", WrongAnswer, "nothing"),
        (200, JSON, b"{", WrongAnswer, "no JSON"),
        (200, JSON, b"[" * 100_000, WrongAnswer, ""),
        (200, JSON, b"null", WrongAnswer, ""),
        (200, {}, b'{"items": 5, "id": "x"}', WrongAnswer, ""),
    ],
)
def test_every_answer_without_a_record_has_its_own_error(
    lookup: str,
    status: int,
    headers: dict[str, str],
    body: bytes,
    error: type[WatchmanError],
    cause: str,
) -> None:
    with pytest.raises(error) as raised:
        LOOKUPS[lookup](Civitai(scripted(status, headers, body), Endpoints()))

    assert cause in raised.value.cause
    assert raised.value.remedy


def test_a_page_behind_the_last_is_no_request_to_slow_down() -> None:
    """Both are status 429; the one heals by waiting, the other never."""
    body = b'{"error":"You\'ve requested too many pages, please use cursors instead"}'
    too_far = Civitai(scripted(429, JSON, body), Endpoints())
    too_fast = Civitai(scripted(429, JSON | {"Retry-After": "7"}, b"{}"), Endpoints())

    with pytest.raises(WrongAnswer) as never:
        too_far.models("x")
    with pytest.raises(RateLimited) as later:
        too_fast.models("x")

    assert not never.value.retryable
    assert later.value.retryable
    assert later.value.retry_after == 7


@pytest.mark.parametrize(
    ("answers", "lookup"),
    [
        ({VERSION: a_version(99)}, "version"),
        ({"/api/v1/models/12": a_model(99, "Other")}, "model"),
        ({f"/api/v1/model-versions/by-hash/{SHA256}": a_version(1, a_file("a"))}, "by-hash"),
        ({"/api/v1/images": {"items": [{"id": 9173928}]}}, "image"),
        ({"/api/v1/images": {"items": []}}, "image"),
    ],
)
def test_an_answer_about_something_else_is_never_used_and_not_asked_again(
    answers: dict[str, object], lookup: str
) -> None:
    asking, replies = civitai(answers)

    with pytest.raises(WrongAnswer) as wrong:
        LOOKUPS[lookup](asking)

    assert wrong.value.requested is not None
    assert len(replies.asked) == 1


def test_an_image_is_fetched_by_its_id() -> None:
    replies = Replies({"/api/v1/images": {"items": [{"id": 56, "url": "u"}]}})

    assert fetch_civitai_image(56, replies, Endpoints()).url == "u"


# -- hashes


@pytest.mark.parametrize(
    ("digits", "kind"),
    [
        ("A5F58EB1C3", "AutoV2"),
        (" a5f58eb1c3\n", "AutoV2"),
        ("22D8CB95B807", "AutoV3"),
        ("4748a7f6", "AutoV1"),
        (SHA256.upper(), "SHA256"),
    ],
)
def test_a_hash_is_known_by_its_length_in_any_case(digits: str, kind: str) -> None:
    known = hash_of(digits)

    assert (known.kind, known.digits) == (kind, digits.strip().lower())


@pytest.mark.parametrize(
    ("digits", "kind"),
    [
        ("", None),
        ("a5f58eb1c", None),
        ("a5f58eb1c33", None),
        ("zzzzzzzzzz", None),
        ("a" * 63, None),
        ("a" * 65, None),
        ("0x" + "a" * 8 + "g", None),
        ("a" * 10_000, None),
        ("\u0661" * 10, None),  # digits of another alphabet
        ("a5f58eb1c3", "AutoV3"),
        ("4748a7f6", "SHA256"),
        ("4748a7f6", "a kind of tomorrow"),
    ],
)
def test_what_is_no_hash_is_not_asked_for(digits: str, kind: str | None) -> None:
    with pytest.raises(HashInvalid) as invalid:
        hash_of(digits, kind)

    assert len(str(invalid.value)) < 400


def test_a_hash_of_eight_digits_can_be_a_checksum() -> None:
    assert hash_of("DAEE95B7", "CRC32").kind == "CRC32"


def test_no_hash_is_a_question_of_its_own() -> None:
    asking, replies = civitai({})

    with pytest.raises(HashInvalid):
        asking.by_hash("../../admin")

    assert replies.asked == []
