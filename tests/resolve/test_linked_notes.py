"""What notes link to, where nothing else says where a file is from."""

from __future__ import annotations

from collections.abc import Mapping

from comfywatchman.domain.candidates import Wanted
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_facts import CivitaiPublisher
from comfywatchman.resolve.known import WorkflowBackend
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.civitai_asking import NAME, ONE, OTHER, one
from tests.resolve.civitai_records import a_file, a_model, a_version
from tests.resolve.plain_ask import Replies


def linked_in_a_note(
    answers: Mapping[str, object], *links: str, name: str = NAME, sha256: tuple[str, ...] = ()
) -> Offers:
    publisher = CivitaiPublisher(Civitai(Replies(answers), Endpoints()))
    wanted = Wanted("loras", name, sha256=sha256, linked=links)
    return WorkflowBackend(publisher, Endpoints()).search(wanted)


MODEL_PAGE = "https://civitai.com/models/7"


def test_what_a_note_links_to_is_offered_where_a_file_there_has_the_name() -> None:
    version = a_version(34, a_file(NAME, 5, sha256=ONE), a_file("other.safetensors", 6))

    offers = linked_in_a_note({"/api/v1/models/7": a_model(7, "Detail", version)}, MODEL_PAGE)

    assert (one(offers).grade, one(offers).sha256) == ("B", ONE)
    assert MODEL_PAGE in one(offers).evidence[0]


def test_the_links_of_other_models_are_no_matter() -> None:
    answers = {"/api/v1/models/7": a_model(7, "Detail", a_version(34, a_file("other.safetensors")))}

    offers = linked_in_a_note(
        answers, MODEL_PAGE, "https://civitai.com/models/8", "https://example.com/models/9"
    )

    assert (tuple(offers), offers.troubles, offers.complete) == ((), (), True)


def test_a_generic_name_is_not_proven_by_a_link() -> None:
    version = a_version(34, a_file("model.safetensors", 5, sha256=ONE))

    offers = linked_in_a_note(
        {"/api/v1/models/7": a_model(7, "Detail", version)}, MODEL_PAGE, name="model.safetensors"
    )

    assert one(offers).grade == "E"


def test_a_linked_file_with_other_bytes_than_the_wanted_is_not_offered() -> None:
    version = a_version(34, a_file(NAME, 5, sha256=ONE))

    offers = linked_in_a_note(
        {"/api/v1/models/7": a_model(7, "Detail", version)}, MODEL_PAGE, sha256=(OTHER,)
    )

    assert (tuple(offers), offers.troubles) == ((), ())


def test_the_notes_of_many_workflows_do_not_make_many_questions() -> None:
    replies = Replies({})
    links = tuple(f"https://civitai.com/models/{number}" for number in range(1, 100))

    WorkflowBackend(CivitaiPublisher(Civitai(replies, Endpoints())), Endpoints()).search(
        Wanted("loras", NAME, linked=links)
    )

    assert len(set(replies.paths)) == 16


def test_two_linked_versions_with_files_of_one_name_are_a_question() -> None:
    answers = {
        "/api/v1/model-versions/34": a_version(34, a_file(NAME, 5, sha256=ONE)),
        "/api/v1/model-versions/35": a_version(35, a_file(NAME, 6, sha256=OTHER)),
    }
    links = [f"{MODEL_PAGE}?modelVersionId={version}" for version in (34, 35)]

    resolution = choose(linked_in_a_note(answers, *links), Wanted("loras", NAME))

    assert resolution.why is not None
    assert resolution.why.code == "choice-needed"
