from __future__ import annotations

import json
from typing import Any, cast

import pytest
from requests.structures import CaseInsensitiveDict

from comfywatchman.domain.errors import WrongAnswer
from comfywatchman.resolve.asking import Answer
from comfywatchman.resolve.civitai_answers import (
    EndpointType,
    read_image,
    read_model,
    read_models,
    read_version,
    validate_civitai_response,
)
from tests.resolve.civitai_records import SHA256, a_file, a_model, a_page, a_version


def answer(data: object, *, limit: int | None = None, **headers: str) -> Answer:
    body = json.dumps(data).encode()
    shown = CaseInsensitiveDict({"Content-Type": "application/json"} | headers)
    cut = limit is not None and len(body) > limit
    return Answer(200, shown, "https://civitai.com/api", body[:limit], cut)


# -- every lookup's answer is about the question


@pytest.mark.parametrize(
    ("data", "requested", "kind"),
    [
        ({"id": 12, "name": "x"}, 12, "models"),
        ({"id": 12}, "12", "models"),
        ({"id": 34, "files": []}, 34, "model-versions"),
        ({"id": 1, "files": [a_file("a", sha256=SHA256)]}, SHA256, "by-hash"),
        ({"id": 1, "files": [a_file("a", sha256=SHA256)]}, SHA256.upper(), "by-hash"),
        ({"id": 1, "files": [a_file("a", sha256=SHA256)]}, SHA256[:10], "by-hash"),
        ({"items": [{"id": 56}]}, 56, "images"),
    ],
)
def test_an_answer_about_the_question_is_its_record(
    data: dict[str, Any], requested: int | str, kind: EndpointType
) -> None:
    record = validate_civitai_response(data, requested, kind)

    assert record == (data["items"][0] if kind == "images" else data)


@pytest.mark.parametrize(
    ("data", "requested", "kind", "returned"),
    [
        # the head of the whole feed, where a parameter was ignored
        ({"items": [{"id": 9173928}]}, 96712457, "images", 9173928),
        ({"items": []}, 96712457, "images", None),
        ({}, 96712457, "images", None),
        ({"items": {}}, 1, "images", None),
        ({"items": [None]}, 1, "images", None),
        ({"items": [{"id": "1"}]}, 1, "images", "1"),
        ({"id": 99}, 12, "models", 99),
        ({"id": True}, 1, "models", True),
        ({"id": 12.5}, 12, "models", "12.5"),
        ({"name": "x"}, 12, "models", None),
        ({}, 12, "models", None),
        (None, 12, "models", None),
        ([], 12, "models", None),
        ("12", 12, "models", None),
        ({"id": 35}, 34, "model-versions", 35),
        ({"id": 1, "files": []}, SHA256, "by-hash", None),
        ({"id": 1}, SHA256, "by-hash", None),
        ({"id": 12}, "twelve", "models", 12),
        ({"id": 12}, "9" * 99, "models", 12),
    ],
)
def test_another_or_an_empty_answer_is_wrong_and_names_both_ids(
    data: object, requested: int | str, kind: EndpointType, returned: object
) -> None:
    with pytest.raises(WrongAnswer) as wrong:
        validate_civitai_response(data, requested, kind)

    assert wrong.value.requested == requested
    assert wrong.value.returned == returned
    assert not wrong.value.retryable
    assert str(requested)[:60] in wrong.value.cause
    assert str(returned if returned is not None else "nothing") in wrong.value.cause


def test_the_hashes_of_another_file_are_told() -> None:
    with pytest.raises(WrongAnswer) as wrong:
        validate_civitai_response(a_version(1, a_file("a", sha256=SHA256)), "f" * 64, "by-hash")

    assert SHA256 in wrong.value.cause


def test_an_unknown_kind_of_lookup_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no lookup"):
        validate_civitai_response({"id": 1}, 1, cast("EndpointType", "creators"))


# -- reading


def test_a_version_is_read_with_its_files() -> None:
    version = read_version(answer(a_version(34, a_file("a.pt", 5, sha256=SHA256))), 34)

    (file,) = version.files
    assert (version.id, version.model_name, version.model_type) == (34, "Some Model", "LORA")
    assert (file.id, file.name, file.digests["SHA256"]) == (5, "a.pt", SHA256)
    assert version.early_access_until is None


@pytest.mark.parametrize(
    "broken",
    [
        {"id": "5"},
        {"id": None},
        {"id": -1},
        {"id": 2**60},
        {"name": None},
        {"name": ["a"]},
        {"name": "x" * 2000},
        {"hashes": "none"},
        {"hashes": {"SHA256": 5}},
        {"metadata": []},
        {"sizeKB": "big"},
    ],
)
def test_a_file_that_cannot_be_read_costs_only_itself(broken: dict[str, Any]) -> None:
    files = [a_file("good.pt", 1), a_file("bad.pt", 2) | broken]

    version = read_version(answer(a_version(34, *files)), 34)

    assert [file.name for file in version.files] == ["good.pt"]
    assert version.unreadable == 1


@pytest.mark.parametrize("missing", ["hashes", "metadata", "pickleScanResult", "sizeKB", "primary"])
def test_what_the_site_does_not_say_is_not_there(missing: str) -> None:
    for left_out in (True, False):
        record = a_file("a.pt")
        record.pop(missing, None)
        if not left_out:
            record[missing] = None

        (file,) = read_version(answer(a_version(34, record)), 34).files

        assert file.name == "a.pt"


def test_no_list_of_files_is_no_file() -> None:
    kinds: tuple[object, ...] = (None, {}, "x", 5)
    for files in kinds:
        record = a_version(34) | {"files": files}
        if files is None:
            assert read_version(answer(record), 34).files == ()
        else:
            with pytest.raises(WrongAnswer):
                read_version(answer(record), 34)


@pytest.mark.parametrize(
    ("more", "until"),
    [
        ({}, None),
        ({"availability": "EarlyAccess"}, ""),
        ({"earlyAccessEndsAt": "2099-01-01T00:00:00.000Z"}, "2099-01-01"),
        ({"paidAccess": {"permanent": False, "endsAt": "2099-01-01T00:00:00Z"}}, "2099-01-01"),
        ({"earlyAccessEndsAt": "2020-01-01T00:00:00.000Z"}, None),  # over
        ({"earlyAccessEndsAt": "2099-01-01T00:00:00"}, "2099-01-01"),
        ({"earlyAccessEndsAt": "some day"}, "some day"),
    ],
)
def test_early_access_is_over_by_the_clock_of_the_site(
    more: dict[str, Any], until: str | None
) -> None:
    record = answer(a_version(34, **more), Date="Wed, 21 Oct 2026 07:28:00 GMT")

    assert read_version(record, 34).early_access_until == until


def test_without_a_clock_early_access_goes_on() -> None:
    record = a_version(34, earlyAccessEndsAt="2020-01-01T00:00:00.000Z")

    assert read_version(answer(record), 34).early_access_until == "2020-01-01"
    assert read_version(answer(record, Date="no date"), 34).early_access_until == "2020-01-01"


def test_a_model_with_five_thousand_versions_is_read_as_far_as_it_came() -> None:
    versions = [a_version(n, a_file(f"f{n}.pt", n)) for n in range(1, 5001)]

    model = read_model(answer(a_model(7, "Huge", *versions), limit=200_000), 7)

    assert 200 < len(model.versions) < 5000
    assert model.cut
    assert not model.whole


def test_a_page_is_read_model_by_model() -> None:
    page = a_page(a_model(1, "One", a_version(2, a_file("a.pt"))), cursor="a|b|20")
    page["items"] += [{"id": "no"}, None, {"name": "no id"}]

    read = read_models(answer(page))

    assert [model.name for model in read.models] == ["One"]
    assert (read.next_cursor, read.unreadable, read.cut) == ("a|b|20", 3, False)
    (version,) = read.models[0].versions
    assert (version.model_id, version.model_name) == (1, "One")


def test_a_cut_page_says_so_and_ends_the_search() -> None:
    models = [a_model(n, f"M{n}", a_version(n, a_file("a.pt"))) for n in range(1, 50)]

    read = read_models(answer(a_page(*models, cursor="next"), limit=9_000))

    assert 5 < len(read.models) < 49
    assert read.cut
    assert read.next_cursor is None


@pytest.mark.parametrize("data", [[], None, "x", {"items": None}, {"items": {"id": 1}}, {}])
def test_what_is_no_page_is_a_wrong_answer(data: object) -> None:
    with pytest.raises(WrongAnswer):
        read_models(answer(data))


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_image_tells_what_it_was_made_with(wrapped: bool) -> None:
    meta: dict[str, Any] = {
        "civitaiResources": [{"modelVersionId": 34}, {"modelVersionId": "x"}, 5],
        "resources": [{"type": "lora", "name": "detail", "hash": "aabbccddee"}, {"name": 5}],
    }
    item = {"id": 56, "url": "u", "modelVersionIds": [12], "meta": meta}
    if wrapped:
        item["meta"] = {"id": 56, "meta": meta}

    image = read_image(answer({"items": [item]}), 56)

    assert image.versions == (12, 34)
    assert image.resources == (("lora", "detail", "aabbccddee"),)


def test_an_image_without_anything_is_still_the_image() -> None:
    assert read_image(answer({"items": [{"id": 56, "meta": None}]}), 56).versions == ()


def test_a_single_record_longer_than_any_is_a_wrong_answer() -> None:
    record = a_version(34, *(a_file(f"f{n}.pt", n + 1) for n in range(5000)))

    with pytest.raises(WrongAnswer, match="more than"):
        read_version(answer(record, limit=100_000), 34)
