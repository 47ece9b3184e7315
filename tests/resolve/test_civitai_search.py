from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from comfywatchman.domain.candidates import Grade, Resolution, Wanted
from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.domain.files import ShortHash
from comfywatchman.resolve.civitai_search import MOST_PAGES
from comfywatchman.resolve.judging import MOST_OFFERS
from comfywatchman.resolve.offers import Offers
from tests.resolve.civitai_asking import (
    DOWNLOAD,
    NAME,
    ONE,
    OTHER,
    SEARCH,
    THIRD,
    one,
    page_with,
    searched,
)
from tests.resolve.civitai_records import a_file, a_model, a_page, a_version
from tests.resolve.plain_ask import Turn


def test_exactly_this_filename_of_the_right_kind_with_a_hash_is_grade_d() -> None:
    offers, asked, resolution = searched(page_with(a_file(NAME, 5, sha256=ONE)))

    candidate = one(offers)
    assert (candidate.grade, candidate.sha256, candidate.backend) == ("D", ONE, "civitai")
    assert candidate.url == f"{DOWNLOAD}/34?fileId=5"
    assert candidate.page == "https://civitai.com/models/7?modelVersionId=34"
    assert resolution.chosen == (candidate,)
    assert len(asked) == 1


def test_a_size_that_the_site_rounds_is_no_promise() -> None:
    candidate = one(searched(page_with(a_file(NAME, sizeKB=1024.5)))[0])

    assert (candidate.size, candidate.size_about) == (None, 1_049_088)


@pytest.mark.parametrize("size", [None, -1.0, 0, 1e300])
def test_a_size_that_is_none_is_left_out(size: float | None) -> None:
    assert one(searched(page_with(a_file(NAME, sizeKB=size)))[0]).size_about is None


@pytest.mark.parametrize(
    "name", ["Detail.safetensors", "detail.ckpt", "detail_v2.safetensors", "xdetail.safetensors"]
)
def test_a_name_that_is_not_equal_is_never_chosen(name: str) -> None:
    _, _, resolution = searched(page_with(a_file(name, sha256=ONE)))

    assert resolution.chosen == ()


def test_a_name_that_differs_in_its_case_is_offered_to_a_person() -> None:
    offers, _, _ = searched(page_with(a_file("DETAIL.safetensors", sha256=ONE)))

    assert one(offers).grade == "E"
    assert "There it is called DETAIL.safetensors." in one(offers).evidence


def test_a_name_without_a_suffix_is_offered_to_a_person() -> None:
    page = {SEARCH: a_page(a_model(7, "EasyNegative", a_version(34, a_file("easynegative.pt"))))}

    offers, _, resolution = searched(page, Wanted("embeddings", "easynegative"))

    assert one(offers).filename == "easynegative.pt"
    assert resolution.chosen == ()


def test_a_file_of_another_kind_is_told_and_not_offered() -> None:
    """``ae.safetensors`` in a checkpoint's version is a VAE."""
    files = a_file("flux_ae.safetensors", type="VAE")
    page = {SEARCH: a_page(a_model(7, "Flux", a_version(34, files), type="Checkpoint"))}

    as_checkpoint, _, refused = searched(page, Wanted("checkpoints", "flux_ae.safetensors"))
    as_vae, _, _ = searched(page, Wanted("vae", "flux_ae.safetensors"))

    assert list(as_checkpoint) == []
    assert refused.why is not None
    assert "another folder than checkpoints" in refused.why.cause
    assert one(as_vae).grade == "D"


@pytest.mark.parametrize(
    ("model", "folder"), [("Checkpoint", "diffusion_models"), ("Other", "loras")]
)
def test_a_kind_that_nobody_is_sure_of_is_left_to_a_person(model: str, folder: str) -> None:
    file = a_file("flux_dev.safetensors", sha256=ONE)
    page = {SEARCH: a_page(a_model(7, "Flux", a_version(34, file), type=model))}

    offers, _, resolution = searched(page, Wanted(folder, "flux_dev.safetensors"))

    assert one(offers).grade == "E"
    assert resolution.chosen == ()


def test_several_files_of_one_name_in_a_version_are_a_question() -> None:
    files = [a_file(NAME, n, sha256=sha) for n, sha in ((1, ONE), (2, OTHER), (3, THIRD))]

    offers, _, resolution = searched(page_with(*files))

    assert {offer.url for offer in offers} == {f"{DOWNLOAD}/34?fileId={n}" for n in (1, 2, 3)}
    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "choice-needed"


def test_a_short_hash_tells_files_of_one_name_apart() -> None:
    files = [a_file(NAME, n, sha256=sha) for n, sha in ((1, ONE), (2, OTHER), (3, THIRD))]
    told = Wanted("loras", NAME, short_hashes=(ShortHash("AutoV2", OTHER[:10]),))

    offers, _, resolution = searched(page_with(*files), told)

    assert [chosen.sha256 for chosen in resolution.chosen] == [OTHER]
    assert [offer.grade for offer in offers].count(Grade.E) == 2


def test_the_same_filename_in_two_versions_is_a_question() -> None:
    """Creators of LoRAs upload each version under the same name."""
    versions = [a_version(n, a_file(NAME, n, sha256=sha)) for n, sha in ((34, ONE), (35, OTHER))]

    _, _, resolution = searched({SEARCH: a_page(a_model(7, "Detail", *versions))})

    assert resolution.chosen == ()
    assert len(resolution.candidates) == 2


def test_the_same_bytes_uploaded_twice_are_one_file_at_two_places() -> None:
    page = a_page(
        a_model(7, "Detail", a_version(34, a_file(NAME, 1, sha256=ONE))),
        a_model(8, "Detail again", a_version(35, a_file("reupload.safetensors", 2, sha256=ONE))),
    )

    _, _, resolution = searched({SEARCH: page})

    assert [chosen.url for chosen in resolution.chosen] == [
        f"{DOWNLOAD}/34?fileId=1",
        f"{DOWNLOAD}/35?fileId=2",
    ]


def test_a_file_without_a_hash_on_record_is_left_to_a_person() -> None:
    offers, _, resolution = searched(page_with(a_file(NAME, sha256=None)))

    assert one(offers).grade == "E"
    assert resolution.why is not None
    assert resolution.why.code == "choice-needed"


@pytest.mark.parametrize("scan", ["pickleScanResult", "virusScanResult"])
@pytest.mark.parametrize("proven", [False, True])
def test_what_the_scan_found_harmful_is_never_better_than_e(scan: str, proven: bool) -> None:
    file = a_file(NAME, sha256=ONE) | {scan: "Danger"}
    wanted = Wanted("loras", NAME, sha256=(ONE,) if proven else ())
    answers = page_with(file) | {f"/api/v1/model-versions/by-hash/{ONE}": a_version(34, file)}

    offers, _, resolution = searched(answers, wanted)

    assert {offer.grade for offer in offers} == {"E"}
    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "unsafe-file"


@pytest.mark.parametrize("scan", ["Pending", "Error", None])
def test_a_scan_that_is_not_done_is_told(scan: str | None) -> None:
    candidate = one(searched(page_with(a_file(NAME) | {"pickleScanResult": scan}))[0])

    assert candidate.grade == "D"
    assert any("not finished its scan" in text for text in candidate.evidence) == bool(scan)


@pytest.mark.parametrize(
    ("more", "needs", "code", "said"),
    [
        ({"availability": "EarlyAccess"}, "early-access", "login-needed", "early access"),
        (
            {"earlyAccessEndsAt": "2099-01-01T00:00:00Z"},
            "early-access",
            "login-needed",
            "until 2099-01-01",
        ),
        ({"paidAccess": {"permanent": True}}, "payment", "login-needed", "sells"),
        ({"usageControl": "Generation"}, None, "not-given-out", "disabled downloads"),
        ({"usageControl": "InternalGeneration"}, None, "not-given-out", "disabled downloads"),
        ({"availability": "Private"}, None, "not-given-out", "private"),
    ],
)
def test_what_cannot_be_had_is_shown_with_its_own_reason(
    more: dict[str, Any], needs: str | None, code: str, said: str
) -> None:
    offers, _, resolution = searched(page_with(a_file(NAME, sha256=ONE), **more))

    assert [(offer.needs, offer.sha256) for offer in offers] == [(needs, ONE)]
    assert resolution.chosen == ()
    assert resolution.why is not None
    assert (resolution.why.code, said in resolution.why.cause) == (code, True)
    assert "https://civitai.com/models/7?modelVersionId=34" in resolution.why.remedy


def test_a_model_that_was_taken_down_does_not_vanish() -> None:
    version = a_version(34, a_file(NAME, sha256=ONE))
    page = {SEARCH: a_page(a_model(7, "Detail", version, mode="TakenDown"))}

    offers, _, resolution = searched(page)

    assert one(offers).sha256 == ONE
    assert resolution.why is not None
    assert "taken down" in resolution.why.cause


def test_an_archived_model_whose_files_are_gone_is_told() -> None:
    page = {SEARCH: a_page(a_model(7, "Detail", a_version(34), mode="Archived"))}

    offers, _, resolution = searched(page)

    assert list(offers) == []
    assert resolution.why is not None
    assert resolution.why.code == "not-given-out"
    assert "archived" in resolution.why.cause
    assert NAME in resolution.why.cause


def test_unsearchable_models_are_like_any_other() -> None:
    offers, _, _ = searched(page_with(a_file(NAME, sha256=ONE), availability="Unsearchable"))

    assert one(offers).grade == "D"


# -- generated names, and how far the search goes


def generated(answers: Mapping[str, object]) -> tuple[Offers, list[str], Resolution]:
    return searched(answers, Wanted("checkpoints", "niceModelXL_v10.safetensors"))


NICE = a_model(
    7,
    "Nice Model XL",
    a_version(34, a_file("niceModelXL_v10.safetensors", 5, sha256=ONE)),
    type="Checkpoint",
)


def test_a_generated_name_is_found_with_one_question() -> None:
    offers, asked, _ = generated({SEARCH: a_page(NICE)})

    assert one(offers).grade == "D"
    assert [parse_qs(urlsplit(url).query)["query"] for url in asked] == [["nice Model XL"]]


def test_an_uploaded_name_is_asked_for_in_every_way() -> None:
    """It may belong to any model, so that one hit does not say that it is the only one."""
    wanted = Wanted("loras", "add-detail-xl.safetensors")
    hit = a_page(a_model(7, "Add Detail", a_version(34, a_file(wanted.name, 1, sha256=ONE))))
    other = a_page(a_model(8, "Tweaker", a_version(35, a_file(wanted.name, 2, sha256=OTHER))))
    base = f"{SEARCH}?query={{}}&limit=20&nsfw=true&types=LORA&types=LoCon&types=DoRA"
    answers = {base.format("add%20detail%20xl"): hit, base.format("detail%20xl"): other}

    offers, asked, resolution = searched(answers, wanted)

    assert len(asked) == 2
    assert len(offers) == 2
    assert resolution.chosen == ()


def test_pages_are_followed_by_their_cursor_up_to_a_limit() -> None:
    offers, asked, _ = generated({SEARCH: a_page(a_model(9, "Other"), cursor="more")})

    cursors = [parse_qs(urlsplit(url).query).get("cursor") for url in asked]
    assert list(offers) == []
    assert cursors[:2] == [None, ["more"]]
    assert len(asked) <= 7  # the same cursor again ends it


def test_what_lies_behind_the_pages_that_were_read_is_told() -> None:
    whole, _, _ = generated({SEARCH: a_page(NICE)})
    part, _, resolution = generated({SEARCH: a_page(NICE, cursor="20")})

    assert not any("were looked at" in text for text in one(whole).evidence)
    assert any("more than the 1 models" in text for text in one(part).evidence)
    assert one(part).grade == "E"
    assert resolution.chosen == ()


def test_every_page_up_to_the_limit_is_looked_through() -> None:
    pages = [Turn(a_page(a_model(n, f"M{n}"), cursor=f"c{n}")) for n in (1, 2)]

    offers, asked, _ = generated({SEARCH: [*pages, Turn(a_page(NICE))]})

    assert one(offers).grade == "D"
    assert len(asked) == MOST_PAGES


@pytest.mark.parametrize("name", ["niceModelXL_v10.safetensors", "nice-model.safetensors"])
def test_a_second_file_of_the_name_on_a_later_page_is_a_question(name: str) -> None:
    """The order in which the site lists its models decides nothing."""
    one_of_them = a_model(7, "Nice", a_version(34, a_file(name, 5, sha256=ONE)), type="Checkpoint")
    other = a_model(8, "Nice", a_version(35, a_file(name, 6, sha256=OTHER)), type="Checkpoint")
    pages = [Turn(a_page(one_of_them, cursor="c1")), Turn(a_page(other))]

    offers, _, resolution = searched({SEARCH: pages}, Wanted("checkpoints", name))

    assert {offer.sha256 for offer in offers} == {ONE, OTHER}
    assert resolution.why is not None
    assert resolution.why.code == "choice-needed"


def test_more_files_of_one_name_than_are_offered_hide_no_other_bytes() -> None:
    versions = [a_version(n, a_file(NAME, n, sha256=ONE)) for n in range(1, 60)]
    last = a_version(99, a_file(NAME, 99, sha256=OTHER))

    offers, _, resolution = searched({SEARCH: a_page(a_model(7, "Detail", *versions, last))})

    assert len(offers) == MOST_OFFERS
    assert {offer.sha256 for offer in offers} == {ONE, OTHER}
    assert resolution.chosen == ()


def test_a_model_whose_versions_were_not_all_read_is_left_to_a_person() -> None:
    """Another of five thousand versions may have a file of the same name."""
    versions = [a_version(n, a_file(f"f{n}.safetensors", n)) for n in range(1000, 10_000)]
    huge = a_model(7, "Detail", a_version(34, a_file(NAME, 1, sha256=ONE)), *versions)

    offers, _, resolution = searched({SEARCH: a_page(huge)})

    assert one(offers).grade == "E"
    assert any("Not all of its versions" in text for text in one(offers).evidence)
    assert resolution.chosen == ()


def test_a_search_whose_answer_was_cut_says_so_where_it_found_nothing() -> None:
    versions = [a_version(n, a_file(f"f{n}.safetensors", n)) for n in range(1000, 10_000)]

    _, _, resolution = searched({SEARCH: a_page(a_model(7, "Other", *versions))})

    assert resolution.why is not None
    assert resolution.why.code == "nothing-found"
    assert "more than we read" in resolution.why.cause


def test_another_version_of_the_model_is_only_suggested() -> None:
    old = a_file("niceModelXL_v09.safetensors", 4, sha256=OTHER)
    page = a_page(a_model(7, "Nice Model XL", a_version(33, old), type="Checkpoint"))

    offers, _, resolution = generated({SEARCH: page})

    assert [(offer.replacement, offer.grade) for offer in offers] == [(True, "E")]
    assert "Not the wanted file" in one(offers).evidence[0]
    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "nothing-found"


def test_an_outage_in_the_middle_leaves_what_was_found_and_says_that_it_is_not_all() -> None:
    wanted = Wanted("loras", "add-detail-xl.safetensors")
    hit = a_page(a_model(7, "Add Detail", a_version(34, a_file(wanted.name, 1, sha256=ONE))))
    second = f"{SEARCH}?query=detail%20xl&limit=20&nsfw=true&types=LORA&types=LoCon&types=DoRA"

    offers, _, resolution = searched({SEARCH: hit, second: (503, {})}, wanted)

    assert len(offers) == 1
    assert not offers.complete
    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "source-unavailable"


def test_an_outage_of_everything_is_not_an_empty_answer() -> None:
    with pytest.raises(SourceUnavailable):
        searched({SEARCH: (500, {})})


def test_a_name_with_nothing_to_go_by_makes_no_request() -> None:
    _, asked, _ = searched({}, Wanted("loras", "1.safetensors"))

    assert asked == []
