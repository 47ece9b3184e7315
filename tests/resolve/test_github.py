from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import (
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.resolve.github import KNOWN_RELEASES, Asset, GitHub, GitHubBackend, KnownRelease
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web
from tests.resolve.plain_ask import Replies, scripted

ONE, OTHER = "1" * 64, "2" * 64
NAME = "RealESRGAN_x4plus.pth"
URL = f"https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/{NAME}"
RELEASE = "/repos/xinntao/Real-ESRGAN/releases/tags/v0.1.0"


def a_release(
    tag: str = "v0.1.0", digests: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    names = digests or {NAME: f"sha256:{ONE}"}
    return {
        "tag_name": tag,
        "assets": [
            {"id": 1, "name": name, "size": 7, "digest": digest} for name, digest in names.items()
        ],
    }


def github(answers: dict[str, object]) -> tuple[GitHub, Replies]:
    replies = Replies(answers)
    return GitHub(replies, Endpoints(), Web(replies, Endpoints())), replies


def test_an_asset_has_the_hash_that_the_release_publishes() -> None:
    asking, replies = github({RELEASE: a_release()})

    facts = asking.published(URL)

    assert (facts.filename, facts.size, facts.sha256, facts.url) == (NAME, 7, ONE, URL)
    assert facts.page == "https://github.com/xinntao/Real-ESRGAN/releases/tag/v0.1.0"
    assert replies.asked == [f"https://api.github.com{RELEASE}"]


def test_the_newest_release_is_asked_for_as_the_newest() -> None:
    asking, replies = github({"/repos/o/r/releases/latest": a_release("v9")})

    facts = asking.published(f"https://github.com/o/r/releases/latest/download/{NAME}")

    assert facts.sha256 == ONE
    assert replies.paths == ["/repos/o/r/releases/latest"]


@pytest.mark.parametrize("digest", [None, "", "sha512:" + ONE, "sha256:zz", "md5:abc"])
def test_an_asset_without_a_sha256_has_none(digest: str | None) -> None:
    asking, _ = github({RELEASE: a_release(digests={NAME: digest})})

    assert asking.published(URL).sha256 is None


def test_a_release_without_the_file_is_missing() -> None:
    asking, _ = github({RELEASE: a_release(digests={"other.pth": None})})

    with pytest.raises(SourceMissing, match="no file"):
        asking.published(URL)


def test_what_is_at_github_and_no_asset_is_asked_as_any_other_file() -> None:
    asking, replies = github({"/o/r/raw/main/a.pth": (200, b"x", {"Content-Type": "x/y"})})

    asking.published("https://github.com/o/r/raw/main/a.pth")

    assert replies.asked == ["https://github.com/o/r/raw/main/a.pth"]


def test_another_release_than_the_asked_is_never_used() -> None:
    asking, _ = github({RELEASE: a_release("v9")})

    with pytest.raises(WrongAnswer) as wrong:
        asking.published(URL)

    assert (wrong.value.requested, wrong.value.returned) == ("v0.1.0", "v9")


@pytest.mark.parametrize(
    ("status", "headers", "body", "error"),
    [
        (200, {"Content-Type": "text/html"}, b"<html>", WrongAnswer),
        (200, {}, b"[", WrongAnswer),
        (200, {}, b'{"tag_name": "v0.1.0"}', WrongAnswer),
        (200, {}, b'{"tag_name": 5, "assets": []}', WrongAnswer),
        (200, {}, b'{"tag_name": "v0.1.0", "assets": [null, 5, {}]}', SourceMissing),
        (304, {}, b"", WrongAnswer),
        (401, {}, b"", SourceMissing),
        (403, {}, b"", SourceMissing),
        (403, {"x-ratelimit-remaining": "0"}, b"", RateLimited),
        (403, {"Retry-After": "60"}, b"", RateLimited),
        (404, {}, b"", SourceMissing),
        (429, {"x-ratelimit-remaining": "0"}, b"", RateLimited),
        (500, {}, b"", SourceUnavailable),
    ],
)
def test_every_refusal_has_its_own_error(
    status: int, headers: dict[str, str], body: bytes, error: type[WatchmanError]
) -> None:
    asking = GitHub(scripted(status, headers, body), Endpoints(), Web(scripted(500), Endpoints()))

    with pytest.raises(error):
        asking.published(URL)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": "1792569600", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1920),
        ({"x-ratelimit-reset": "1", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0),
        ({"x-ratelimit-reset": "99999999999", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 3600),
        ({"x-ratelimit-reset": "1792569600"}, 3600),  # no clock but ours
        ({"Retry-After": "60"}, 60),
        ({"x-ratelimit-reset": "soon"}, None),
    ],
)
def test_the_end_of_the_hour_is_told_by_the_clock_of_the_answer(
    headers: dict[str, str], seconds: float | None
) -> None:
    spent = headers | {"x-ratelimit-remaining": "0"}
    asking = GitHub(scripted(403, spent), Endpoints(), Web(scripted(500), Endpoints()))

    with pytest.raises(RateLimited) as limited:
        asking.published(URL)

    assert limited.value.retry_after == seconds


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/o/r/releases/tag/v1",
        "https://github.com/o/r/releases/download/v1/",
        "https://github.com/o/r/archive/v1.zip",
        "https://example.org/o/r/releases/download/v1/a.pth",
    ],
)
def test_what_is_no_asset_is_none(url: str) -> None:
    assert Asset.from_url(url) is None


def test_odd_characters_in_a_tag_are_kept() -> None:
    asset = Asset.from_url("https://github.com/o/r/releases/download/v1%2B2/a%20b.pth")

    assert asset == Asset("o/r", "v1+2", "a b.pth")


def test_the_releases_that_everybody_uses_are_known_by_folder() -> None:
    asking, replies = github({RELEASE: a_release()})

    offers = GitHubBackend(asking, Endpoints()).search(Wanted("upscale_models", NAME))

    (candidate,) = offers
    assert (candidate.grade, candidate.sha256) == ("D", ONE)
    assert len(replies.asked) == sum(one.folder == "upscale_models" for one in KNOWN_RELEASES)


def test_a_release_that_a_workflow_names_is_looked_through_for_the_wanted_name() -> None:
    asking, _ = github({RELEASE: a_release(digests={NAME: f"sha256:{ONE}", "old.pth": None})})
    wanted = Wanted("loras", NAME, (URL.replace(NAME, "old.pth"), "ftp://x"))

    (candidate,) = GitHubBackend(asking, Endpoints(), known=()).search(wanted)

    assert (candidate.filename, candidate.grade) == (NAME, "E")  # nobody says which kind it is


def test_a_folder_without_known_releases_makes_no_request() -> None:
    asking, replies = github({})

    assert list(GitHubBackend(asking, Endpoints()).search(Wanted("loras", "a.pth"))) == []
    assert replies.asked == []


def test_the_same_filename_in_two_releases_is_two_offers() -> None:
    known = tuple(KnownRelease("o/r", tag, "loras") for tag in ("v1", "v2"))
    asking, _ = github(
        {
            "/repos/o/r/releases/tags/v1": a_release("v1", {NAME: f"sha256:{ONE}"}),
            "/repos/o/r/releases/tags/v2": a_release("v2", {NAME: f"sha256:{OTHER}"}),
        }
    )

    offers = GitHubBackend(asking, Endpoints(), known).search(Wanted("loras", NAME))

    assert {offer.sha256 for offer in offers} == {ONE, OTHER}
