"""Civitai's second front, for what the first one hides."""

from __future__ import annotations

from comfywatchman.domain.errors import SourceUnavailable
from tests.resolve.civitai_asking import NAME, ONE, SEARCH, one, searched
from tests.resolve.civitai_records import a_file, a_model, a_page, a_version


def test_what_the_first_front_hides_is_found_on_the_second() -> None:
    model = a_model(7, "Detail", a_version(34, a_file(NAME, 5, sha256=ONE)))
    answers = {
        SEARCH: a_page(),
        f"https://civitai.red{SEARCH}": a_page(model),
    }

    offers, asked, _ = searched(answers)

    assert one(offers).url == "https://civitai.red/api/download/models/34?fileId=5"
    assert sum(url.startswith("https://civitai.red") for url in asked) == 1


def test_the_second_front_may_be_out_of_reach() -> None:
    down = SourceUnavailable("It does not answer.", remedy="Wait.")
    answers = {SEARCH: a_page(), f"https://civitai.red{SEARCH}": down}

    offers, _, _ = searched(answers)

    assert (tuple(offers), offers.troubles, offers.complete) == ((), (), True)
