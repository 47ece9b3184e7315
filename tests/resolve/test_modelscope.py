from __future__ import annotations

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
from comfywatchman.resolve.modelscope import ModelScope, ModelScopeBackend, ScopeFile
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web
from tests.resolve.plain_ask import Replies, scripted

ONE = "1" * 64
URL = "https://modelscope.cn/models/owner/repo/resolve/master/dir/a.safetensors"
FILES = "/api/v1/models/owner/repo/repo/files"
HUB = "https://huggingface.co/owner/repo/resolve/main/dir/a.safetensors"


def listed(path: str = "dir/a.safetensors", **more: Any) -> dict[str, Any]:
    row = {"Name": "a", "Path": path, "Type": "blob", "Size": 7, "Sha256": ONE} | more
    return {"Code": 200, "Data": {"Files": [None, {"Path": 5}, row]}}


def modelscope(answers: dict[str, object]) -> tuple[ModelScope, Replies]:
    replies = Replies(answers)
    return ModelScope(replies, Web(replies, Endpoints())), replies


def test_a_file_has_the_hash_of_its_row() -> None:
    asking, replies = modelscope({FILES: listed()})

    facts = asking.published(URL)

    assert (facts.url, facts.sha256, facts.size, facts.filename) == (URL, ONE, 7, "a.safetensors")
    assert replies.asked == [f"https://modelscope.cn{FILES}?Revision=master&Root=dir"]


def test_another_file_or_a_directory_is_not_the_file() -> None:
    for row in (listed("dir/b.safetensors"), listed(Type="tree")):
        asking, _ = modelscope({FILES: row})

        with pytest.raises(SourceMissing):
            asking.published(URL)


def test_what_names_no_file_is_asked_as_any_other_address() -> None:
    asking, replies = modelscope({"/models/owner/repo": (410, b"")})

    with pytest.raises(SourceMissing):
        asking.published("https://modelscope.cn/models/owner/repo")
    assert replies.paths == ["/models/owner/repo"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "error"),
    [
        (200, {"Content-Type": "text/html"}, b"<html>", WrongAnswer),
        (200, {}, b"[]", WrongAnswer),
        (200, {}, b'{"Data": null}', WrongAnswer),
        (200, {}, b'{"Data": {"Files": null}}', SourceMissing),
        (302, {}, b"", WrongAnswer),
        (404, {}, b"", SourceMissing),
        (429, {}, b"", RateLimited),
        (500, {}, b"", SourceUnavailable),
    ],
)
def test_every_refusal_has_its_own_error(
    status: int, headers: dict[str, str], body: bytes, error: type[WatchmanError]
) -> None:
    asking = ModelScope(scripted(status, headers, body), Web(scripted(500), Endpoints()))

    with pytest.raises(error):
        asking.published(URL)


def test_a_copy_of_a_hub_file_is_offered_where_its_hash_is_the_wanted() -> None:
    asking, _ = modelscope({FILES: listed()})
    wanted = Wanted("loras", "a.safetensors", (HUB,), (ONE,))

    (candidate,) = ModelScopeBackend(asking, Endpoints()).search(wanted)

    assert (candidate.grade, candidate.url) == ("A", URL)


def test_a_copy_with_another_hash_is_not_offered() -> None:
    asking, _ = modelscope({FILES: listed(Sha256="2" * 64)})
    wanted = Wanted("loras", "a.safetensors", (HUB,), (ONE,))

    assert list(ModelScopeBackend(asking, Endpoints()).search(wanted)) == []


def test_a_copy_that_nothing_proves_is_left_to_a_person() -> None:
    asking, _ = modelscope({FILES: listed()})

    (candidate,) = ModelScopeBackend(asking, Endpoints()).search(
        Wanted("loras", "a.safetensors", (HUB, "ftp://x"))
    )

    assert candidate.grade == "E"


def test_without_a_hub_file_nothing_is_asked() -> None:
    asking, replies = modelscope({})
    wanted = Wanted("loras", "a.safetensors", ("https://example.org/a.safetensors",))

    assert list(ModelScopeBackend(asking, Endpoints()).search(wanted)) == []
    assert replies.asked == []


def test_an_address_is_read_and_written_alike() -> None:
    url = "https://modelscope.cn/models/o/n/resolve/v1.0/a%20b/c.pth"

    file = ScopeFile.from_url(url)

    assert file == ScopeFile("o/n", "v1.0", "a b/c.pth")
    assert file.url == url
