from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.files import ShortHash
from comfywatchman.resolve.asking import MANY_BYTES
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_facts import CivitaiPublisher
from comfywatchman.resolve.known import WorkflowBackend
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.civitai_asking import (
    DOWNLOAD,
    NAME,
    ONE,
    OTHER,
    one,
    page_with,
    searched,
)
from tests.resolve.civitai_records import SHA256, a_file, a_model, a_version
from tests.resolve.plain_ask import Replies

# -- by hash

BY_HASH = "/api/v1/model-versions/by-hash"


def test_the_wanted_hash_finds_the_file_under_any_name() -> None:
    answers = {f"{BY_HASH}/{SHA256}": a_version(34, a_file("renamed.pt", 5, sha256=SHA256))}

    offers, asked, resolution = searched(answers, Wanted("loras", NAME, sha256=(SHA256,)))

    assert one(offers).grade == "A"
    assert resolution.chosen
    assert len(asked) == 1  # what is proven is not searched for


def test_other_files_of_the_version_are_not_offered() -> None:
    files = [a_file("other.pt", 4, sha256=ONE), a_file("renamed.pt", 5, sha256=SHA256)]
    answers = {f"{BY_HASH}/{SHA256}": a_version(34, *files)}

    offers, _, _ = searched(answers, Wanted("loras", NAME, sha256=(SHA256,)))

    assert one(offers).filename == "renamed.pt"


def test_a_hash_that_the_site_does_not_know_goes_on_to_the_name() -> None:
    wanted = Wanted("loras", NAME, sha256=(SHA256,))

    offers, asked, _ = searched(page_with(a_file(NAME, sha256=None)), wanted)

    assert one(offers).grade == "A"  # the bytes will prove it
    assert len(asked) == 3  # both fronts by hash, then by name


def test_a_file_of_the_wanted_name_with_other_bytes_is_told_and_not_offered() -> None:
    wanted = Wanted("loras", NAME, sha256=(SHA256,))

    offers, _, resolution = searched(page_with(a_file(NAME, sha256=ONE)), wanted)

    assert list(offers) == []
    assert resolution.why is not None
    assert "other bytes" in resolution.why.cause


@pytest.mark.parametrize(
    ("kind", "digits"), [("AutoV2", ONE[:10]), ("AutoV3", "abcdef012345"), ("BLAKE3", "b" * 64)]
)
def test_a_short_hash_with_the_wanted_name_is_grade_d(kind: str, digits: str) -> None:
    file = a_file(NAME, 5, sha256=ONE, hashes={kind: digits.upper()})
    wanted = Wanted("loras", NAME, short_hashes=(ShortHash(kind, digits),))

    offers, _, _ = searched({f"{BY_HASH}/{digits}": a_version(34, file)} | page_with(file), wanted)

    assert one(offers).grade == "D"
    assert any("finds it by the hash" in text for text in one(offers).evidence)


def test_a_short_hash_alone_is_a_hint_and_no_proof() -> None:
    """Forty bits can be made to match on purpose."""
    file = a_file("renamed.safetensors", 5, sha256=ONE)
    wanted = Wanted("loras", NAME, short_hashes=(ShortHash("AutoV2", ONE[:10]),))

    offers, _, resolution = searched({f"{BY_HASH}/{ONE[:10]}": a_version(34, file)}, wanted)

    assert one(offers).grade == "E"
    assert resolution.chosen == ()


@pytest.mark.parametrize("kind", ["AutoV1", "CRC32"])
def test_eight_digits_find_nothing_without_the_name(kind: str) -> None:
    """Every file of less than one MiB has the same AutoV1."""
    file = a_file("whatever.safetensors", 5, sha256=ONE, hashes={kind: "E3B0C442"})
    wanted = Wanted("loras", NAME, short_hashes=(ShortHash(kind, "e3b0c442"),))

    offers, _, _ = searched({f"{BY_HASH}/e3b0c442": a_version(34, file)}, wanted)

    assert list(offers) == []


def test_a_short_hash_that_contradicts_speaks_against_the_file() -> None:
    wanted = Wanted("loras", NAME, short_hashes=(ShortHash("AutoV2", "f" * 10),))

    offers, _, resolution = searched(page_with(a_file(NAME, sha256=ONE)), wanted)

    assert one(offers).grade == "E"
    assert any("the workflow says ffffffffff" in text for text in one(offers).evidence)
    assert resolution.chosen == ()


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("loras", NAME, short_hashes=(ShortHash("AutoV2", "nonsense"),)),
        Wanted("loras", NAME, short_hashes=(ShortHash("AutoV2", ONE),)),
    ],
)
def test_what_is_no_hash_is_told_and_the_search_goes_on(wanted: Wanted) -> None:
    offers, _, _ = searched(page_with(a_file(NAME, sha256=ONE)), wanted)

    assert one(offers).grade == "D"
    assert [trouble.code for trouble in offers.troubles] == ["hash-invalid"]


def test_a_wanted_hash_that_is_none_is_told_and_finds_nothing() -> None:
    offers, _, resolution = searched({}, Wanted("loras", NAME, sha256=("abc",)))

    assert list(offers) == []
    assert resolution.why is not None
    assert resolution.why.code == "hash-invalid"


# -- by address

VERSION = "/api/v1/model-versions/34"


def addressed(answers: Mapping[str, object], wanted: Wanted) -> tuple[Offers, list[str]]:
    replies = Replies(answers)
    publisher = CivitaiPublisher(Civitai(replies, Endpoints()))
    offers = WorkflowBackend(publisher, Endpoints()).search(wanted)
    return offers, replies.asked


@pytest.mark.parametrize(
    "url",
    [
        f"{DOWNLOAD}/34",
        f"{DOWNLOAD}/34?type=Model&format=SafeTensor",
        "https://civitai.com/models/7?modelVersionId=34",
        "https://civitai.com/models/7/slug?modelVersionId=34",
        "https://civitai.com/model-versions/34",
        "urn:air:sdxl:lora:civitai:7@34",
    ],
)
def test_the_address_of_a_version_leads_to_the_file_of_the_wanted_name(url: str) -> None:
    files = [a_file("other.yaml", 4, type="Config"), a_file(NAME, 5, sha256=ONE)]

    offers, asked = addressed({VERSION: a_version(34, *files)}, Wanted("loras", NAME, (url,)))

    assert (one(offers).grade, one(offers).url) == ("B", f"{DOWNLOAD}/34?fileId=5")
    assert len(asked) == 1


@pytest.mark.parametrize("url", [f"{DOWNLOAD}/34?fileId=4", "urn:air:x:lora:civitai:7@34+4"])
def test_the_address_of_a_file_is_that_file_whatever_it_is_called(url: str) -> None:
    files = [a_file("other.safetensors", 4, sha256=OTHER), a_file(NAME, 5, sha256=ONE)]

    offers, _ = addressed({VERSION: a_version(34, *files)}, Wanted("loras", NAME, (url,)))

    assert (one(offers).filename, one(offers).sha256) == ("other.safetensors", OTHER)


def test_a_file_that_the_version_does_not_have_is_missing() -> None:
    wanted = Wanted("loras", NAME, (f"{DOWNLOAD}/34?fileId=99",))

    offers, _ = addressed({VERSION: a_version(34, a_file(NAME))}, wanted)

    assert [trouble.code for trouble in offers.troubles] == ["source-missing"]


def test_without_a_name_that_tells_every_file_of_the_kind_is_meant() -> None:
    files = [
        a_file("a.safetensors", 4, sha256=ONE),
        a_file("b.safetensors", 5, sha256=OTHER),
        a_file("c.zip", 6, type="Training Data"),
    ]
    wanted = Wanted("loras", NAME, (f"{DOWNLOAD}/34",))

    offers, _ = addressed({VERSION: a_version(34, *files)}, wanted)

    assert [offer.filename for offer in offers] == ["a.safetensors", "b.safetensors"]
    assert choose(offers, wanted).chosen == ()


def test_the_properties_in_an_address_choose_among_the_files() -> None:
    fp32 = {"format": "SafeTensor", "size": "full", "fp": "fp32"}
    files = [a_file("a.pt", 4, sha256=ONE), a_file("b.pt", 5, sha256=OTHER, metadata=fp32)]
    url = f"{DOWNLOAD}/34?type=Model&format=SafeTensor&size=full&fp=fp32"

    offers, _ = addressed({VERSION: a_version(34, *files)}, Wanted("loras", NAME, (url,)))

    assert one(offers).filename == "b.pt"


def test_a_page_without_a_version_finds_the_wanted_name_in_any_version() -> None:
    versions = [a_version(35, a_file("new.pt", 6)), a_version(34, a_file(NAME, 5, sha256=ONE))]
    answers = {"/api/v1/models/7": a_model(7, "Detail", *versions)}

    offers, _ = addressed(answers, Wanted("loras", NAME, ("https://civitai.com/models/7",)))

    assert (one(offers).grade, one(offers).filename) == ("B", NAME)


def test_a_page_without_a_version_does_not_say_which_file_of_another_name() -> None:
    versions = [a_version(35, a_file("new.pt", 6)), a_version(34, a_file("old.pt", 5))]
    answers = {"/api/v1/models/7": a_model(7, "Detail", *versions)}

    offers, _ = addressed(answers, Wanted("loras", NAME, ("https://civitai.com/models/7",)))

    assert (one(offers).grade, one(offers).filename) == ("E", "new.pt")
    assert any("names no version" in text for text in one(offers).evidence)


PAGE = Wanted("loras", NAME, ("https://civitai.com/models/7",))


def of_5000_versions(*named: tuple[int, str]) -> dict[str, object]:
    """A model's page where the versions with these numbers have a file of the wanted name."""
    sums = dict(named)
    versions = [
        a_version(n, a_file(NAME if n in sums else f"f{n}.pt", n, sha256=sums.get(n, f"{n:064x}")))
        for n in range(5000, 0, -1)
    ]
    return {"/api/v1/models/7": a_model(7, "Detail", *versions)}


def test_a_file_is_found_in_any_of_thousands_of_versions() -> None:
    offers, _ = addressed(of_5000_versions((4000, ONE)), PAGE)

    assert (one(offers).grade, one(offers).sha256) == ("B", ONE)


def test_one_name_in_two_of_thousands_of_versions_is_a_question() -> None:
    offers, _ = addressed(of_5000_versions((4990, ONE), (3000, OTHER)), PAGE)
    resolution = choose(offers, PAGE)

    assert {offer.sha256 for offer in offers} == {ONE, OTHER}
    assert resolution.chosen == ()


def test_a_file_of_a_page_that_was_not_read_to_its_end_is_left_to_a_person() -> None:
    """Of five thousand versions not all fit into an answer; another may have the same name."""
    whole = of_5000_versions((4990, ONE))
    cut = json.dumps(whole["/api/v1/models/7"]).encode() + b" " * MANY_BYTES

    offers, _ = addressed({"/api/v1/models/7": cut}, PAGE)

    assert one(offers).grade == "E"
    assert any("Not all of its versions" in text for text in one(offers).evidence)
    assert choose(offers, PAGE).chosen == ()


def test_a_version_with_an_unreadable_file_is_left_to_a_person() -> None:
    record = a_version(34, a_file(NAME, 5, sha256=ONE), {"id": "none", "name": NAME})
    by_version = Wanted("loras", NAME, (f"{DOWNLOAD}/34",))
    by_file = Wanted("loras", NAME, (f"{DOWNLOAD}/34?fileId=5",))

    offers, _ = addressed({VERSION: record}, by_version)
    exact, _ = addressed({VERSION: record}, by_file)

    assert one(offers).grade == "E"
    assert one(exact).grade == "B"


def test_an_archived_version_does_not_vanish() -> None:
    record = a_version(34, model={"mode": "Archived"})
    wanted = Wanted("loras", NAME, (f"{DOWNLOAD}/34",))

    offers, _ = addressed({VERSION: record}, wanted)
    resolution = choose(offers, wanted, troubles=offers.troubles)

    assert one(offers).url == f"{DOWNLOAD}/34"
    assert resolution.why is not None
    assert resolution.why.code == "not-given-out"
    assert "archived" in resolution.why.cause


def test_a_version_that_was_withdrawn_is_told_from_a_model_that_is_gone() -> None:
    wanted = Wanted("loras", NAME, ("urn:air:sdxl:lora:civitai:7@34",))

    withdrawn, _ = addressed({"/api/v1/models/7": a_model(7, "Detail")}, wanted)
    gone, _ = addressed({}, wanted)

    assert "has the model Detail, but no published version 34" in withdrawn.troubles[0].cause
    assert "no published model version 34" in gone.troubles[0].cause


def test_a_version_of_another_model_than_the_address_says_is_a_wrong_answer() -> None:
    wanted = Wanted("loras", NAME, ("urn:air:sdxl:lora:civitai:8@34",))

    offers, _ = addressed({VERSION: a_version(34, a_file(NAME), modelId=7)}, wanted)

    assert [trouble.code for trouble in offers.troubles] == ["wrong-answer"]


def test_a_page_that_names_no_model_is_told() -> None:
    wanted = Wanted("loras", NAME, ("https://civitai.com/user/somebody",))

    offers, asked = addressed({}, wanted)

    assert [trouble.code for trouble in offers.troubles] == ["wrong-answer"]
    assert asked == []


def test_the_backend_itself_reads_the_addresses_of_workflows() -> None:
    wanted = Wanted("loras", NAME, (f"{DOWNLOAD}/34", "https://example.org/x", "ftp://x"))

    offers, asked, _ = searched({VERSION: a_version(34, a_file(NAME, 5, sha256=ONE))}, wanted)

    assert one(offers).grade == "B"
    assert len(asked) == 1  # what the workflow says settles it


def test_a_workflow_cannot_make_us_ask_thousands_of_times() -> None:
    urls = tuple(f"{DOWNLOAD}/{n}" for n in range(1, 2000))
    short = tuple(ShortHash("AutoV2", f"{n:010x}") for n in range(1000))

    _, asked, _ = searched({}, Wanted("loras", NAME, urls, short_hashes=short))

    assert len(asked) < 50
