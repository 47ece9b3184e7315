from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict

from comfywatchman.domain.candidates import Candidate, Grade
from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.domain.files import Measured
from comfywatchman.domain.messages import ModelPlaced, ReferenceResolved
from comfywatchman.pipeline.places import DAY, ManagerList, Verified
from comfywatchman.resolve.asking import Answer
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.state.answers import Answers
from tests.pipeline.office import Office
from tests.state.rows import HASH, OTHER_HASH, stamp

URL = "https://lists.example/model-list.json"
ENTRY = {
    "name": "x",
    "type": "lora",
    "save_path": "loras",
    "filename": "detail_tweaker.safetensors",
    "url": "https://huggingface.co/us/x/resolve/main/detail_tweaker.safetensors",
}
LIST = json.dumps({"models": [ENTRY]}).encode()


@dataclass
class Site:
    """An `Ask` that has one list, and may be down."""

    body: bytes = LIST
    etag: str = '"1"'
    down: bool = False
    conditions: list[str | None] = field(default_factory=list)

    def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **_: object
    ) -> Answer:
        assert method == "GET"
        condition = (headers or {}).get("If-None-Match")
        self.conditions.append(condition)
        if self.down:
            raise SourceUnavailable("It is down.", remedy="Wait.")
        if condition == self.etag:
            return Answer(304, CaseInsensitiveDict(), url)
        return Answer(200, CaseInsensitiveDict({"ETag": self.etag}), url, self.body)


@dataclass
class Listed:
    site: Site = field(default_factory=Site)
    answers: Answers = field(default_factory=lambda: Answers(None, 1 << 20))
    now: float = 1e9

    def fresh(self) -> ManagerList:
        """As after a restart."""
        return ManagerList(self.site, self.answers, URL, Endpoints(), clock=lambda: self.now)


def names(listed: ManagerList) -> list[str]:
    return [place.url for place in listed.sources("loras", "detail_tweaker.safetensors")]


def test_the_list_is_fetched_when_it_is_first_needed_and_then_once_a_day() -> None:
    listed = Listed()
    places = listed.fresh()
    assert listed.site.conditions == []

    for hour in range(49):
        assert names(places) == [ENTRY["url"]]
        listed.now += 3600
        assert hour < 49

    assert listed.site.conditions == [None, '"1"', '"1"']


def test_a_restart_asks_nothing_within_the_day_and_then_by_etag() -> None:
    listed = Listed()
    names(listed.fresh())
    names(listed.fresh())
    listed.now += DAY + 1

    assert names(listed.fresh()) == [ENTRY["url"]]
    assert listed.site.conditions == [None, '"1"']


def test_a_new_list_takes_the_place_of_the_old_one() -> None:
    listed = Listed()
    names(listed.fresh())
    moved = {**ENTRY, "url": "https://huggingface.co/us/y/resolve/main/detail_tweaker.safetensors"}
    listed.site.body, listed.site.etag = json.dumps({"models": [moved]}).encode(), '"2"'
    listed.now += DAY + 1

    assert names(listed.fresh()) == [moved["url"]]


@pytest.mark.parametrize("trouble", ["down", "garbage"])
def test_the_last_good_copy_is_used_meanwhile(trouble: str) -> None:
    listed = Listed()
    names(listed.fresh())
    listed.now += DAY + 1
    if trouble == "down":
        listed.site.down = True
    else:
        listed.site.body, listed.site.etag = b"<html>", '"2"'
    places = listed.fresh()

    assert names(places) == [ENTRY["url"]]
    assert names(places) == [ENTRY["url"]]
    assert len(listed.site.conditions) == 2, "asked again at once"


def test_without_any_copy_it_knows_nothing_and_tries_again_later() -> None:
    listed = Listed(Site(down=True))
    places = listed.fresh()
    assert names(places) == []
    listed.site.down = False
    listed.now += 901

    assert names(places) == [ENTRY["url"]]


# -- what this machine verified


def source(
    sha256: str | None, url: str = "https://hub.example/x", grade: Grade = Grade.B
) -> Candidate:
    return Candidate("civitai", url, "x.safetensors", 10, sha256, grade, ("Found.",))


def placed(office: Office, *sources: Candidate, by: str = "civitai", sha256: str = HASH) -> None:
    office.happens(ReferenceResolved("loras", "x.safetensors", sources))
    path = Path("/models/loras/x.safetensors")
    office.happens(
        ModelPlaced("loras", "x.safetensors", path, Measured(10, sha256), by, stamp=stamp())
    )


def test_what_was_verified_is_known_by_its_hash_and_its_name(office: Office) -> None:
    placed(office, source(HASH))
    places = Verified(office.reader)

    (known,) = places.with_sha256(HASH)
    assert (known.url, known.sha256, known.size) == ("https://hub.example/x", HASH, 10)
    assert places.sources("loras", "x.safetensors") == (known,)
    assert places.sources("vae", "x.safetensors") == ()
    assert places.with_sha256(OTHER_HASH) == ()


def test_a_source_that_promised_nothing_or_something_else_is_not_remembered(
    office: Office,
) -> None:
    placed(office, source(None), source(OTHER_HASH, "https://hub.example/other"))

    assert Verified(office.reader).with_sha256(HASH) == ()


def test_a_file_that_was_only_linked_says_nothing_about_its_source(office: Office) -> None:
    placed(office, source(HASH), by="local")

    assert Verified(office.reader).with_sha256(HASH) == ()


def test_what_only_its_name_spoke_for_is_known_by_its_hash_alone(office: Office) -> None:
    placed(office, source(HASH, grade=Grade.D))
    places = Verified(office.reader)

    assert places.sources("loras", "x.safetensors") == ()
    assert len(places.with_sha256(HASH)) == 1


def test_without_any_copy_it_is_told_that_there_is_none_and_no_process_asks_again_at_once() -> None:
    listed = Listed()
    listed.site.down = True
    first = listed.fresh()

    assert names(first) == []
    assert first.trouble is not None
    assert first.trouble.code == "source-unavailable"
    second = listed.fresh()
    assert names(second) == []
    assert second.trouble == first.trouble
    assert len(listed.site.conditions) == 1
    listed.site.down = False
    listed.now += 901
    third = listed.fresh()
    assert names(third) == [ENTRY["url"]]
    assert third.trouble is None
