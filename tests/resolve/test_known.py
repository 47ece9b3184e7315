from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.domain.candidates import Candidate, Resolution, Wanted
from comfywatchman.domain.errors import SourceMissing, SourceUnavailable, Trouble, WrongAnswer
from comfywatchman.domain.messages import SearchAsked
from comfywatchman.report.events import lines
from comfywatchman.resolve.backend import SearchBackend, ask
from comfywatchman.resolve.catalog import Catalog, CatalogEntry, CatalogSource
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import CatalogBackend, WorkflowBackend
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import ByHost, Published
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web
from tests.resolve.plain_ask import PlainAsk

HF = "https://huggingface.co"
URL = f"{HF}/owner/repo/resolve/main/a.safetensors"
MIRROR = f"{HF}/mirror/repo/resolve/main/split/a.safetensors"


@dataclass
class Room:
    """The resolve room as the daemon builds it, against the project's hub."""

    hub: Hub
    catalog: Catalog

    def backends(self) -> list[SearchBackend]:
        endpoints = Endpoints(huggingface=self.hub.url)
        asking = PlainAsk()
        publisher = ByHost(HuggingFace(asking, endpoints), Web(asking, endpoints))
        return [
            WorkflowBackend(publisher, endpoints),
            CatalogBackend(self.catalog, publisher),
        ]

    def ask(self, wanted: Wanted) -> Offers:
        self.asked: list[SearchAsked] = []
        return ask(self.backends(), wanted, self.asked.append)

    def resolve(self, wanted: Wanted) -> Resolution:
        offers = self.ask(wanted)
        return choose(offers, wanted, complete=offers.complete, troubles=offers.troubles)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


def room(hub: Hub, *sources: CatalogSource, name: str = "a.safetensors") -> Room:
    return Room(hub, Catalog([CatalogEntry("vae", name, sources)] if sources else []))


def wanted(*urls: str, name: str = "a.safetensors", sha256: tuple[str, ...] = ()) -> Wanted:
    return Wanted("vae", name, urls, sha256)


def test_the_address_in_the_workflow_with_a_published_hash_is_grade_b(hub: Hub) -> None:
    served = hub.add(URL)

    offers = room(hub).ask(wanted(f"{URL}?download=true", URL))

    (candidate,) = offers
    assert (candidate.grade, candidate.sha256, candidate.url) == ("B", served.sha256, URL)
    assert candidate.evidence


def test_the_wanted_hash_that_the_source_publishes_is_grade_a(hub: Hub) -> None:
    served = hub.add(URL)

    (candidate,) = room(hub).ask(wanted(URL, sha256=(served.sha256,)))

    assert candidate.grade == "A"


def test_a_source_without_a_hash_is_grade_a_where_the_bytes_will_prove_it(hub: Hub) -> None:
    plain = hub.add_plain("a.safetensors")
    sha256 = hub.named("a.safetensors").sha256

    (candidate,) = room(hub).ask(wanted(plain, sha256=(sha256,)))

    assert (candidate.grade, candidate.sha256) == ("A", sha256)


def test_a_source_without_a_hash_that_nobody_wants_one_of_is_grade_e(hub: Hub) -> None:
    (candidate,) = room(hub).ask(wanted(hub.add_plain("a.safetensors")))

    assert (candidate.grade, candidate.sha256) == ("E", None)


def test_a_source_that_publishes_another_hash_than_the_wanted_is_no_candidate(hub: Hub) -> None:
    served = hub.add(URL)
    asking = room(hub, CatalogSource(URL))

    offers = asking.ask(wanted(URL, sha256=("0" * 64,)))

    assert list(offers) == []
    assert {trouble.code for trouble in offers.troubles} == {"wrong-answer"}
    assert served.sha256 in offers.troubles[0].cause
    assert [asked.result for asked in asking.asked] == ["mismatch", "mismatch"]


def test_what_the_catalog_knows_and_the_source_hashes_is_grade_c(hub: Hub) -> None:
    hub.add(URL)

    (candidate,) = room(hub, CatalogSource(URL)).ask(wanted())

    assert (candidate.grade, candidate.backend) == ("C", "catalog")


def test_a_hash_of_the_catalog_that_the_source_publishes_is_grade_a(hub: Hub) -> None:
    served = hub.add(URL)

    (candidate,) = room(hub, CatalogSource(URL, served.sha256)).ask(wanted())

    assert candidate.grade == "A"


def test_a_place_whose_file_changed_since_the_catalog_saw_it_is_no_candidate(hub: Hub) -> None:
    hub.add(URL)
    served = hub.add(MIRROR)

    offers = room(hub, CatalogSource(URL, "0" * 64)).ask(wanted(MIRROR))

    assert [(offer.url, offer.sha256) for offer in offers] == [(MIRROR, served.sha256)]
    assert offers.complete


def test_a_place_of_which_everything_is_known_is_not_asked(hub: Hub) -> None:
    (candidate,) = room(hub, CatalogSource(URL, "0" * 64, 77)).ask(wanted())

    assert (candidate.grade, candidate.size) == ("A", 77)
    assert hub.requests == []


def test_the_catalog_finds_the_wanted_bytes_under_another_name(hub: Hub) -> None:
    served = hub.add(URL)
    asking = room(hub, CatalogSource(URL, served.sha256), name="other.safetensors")

    (candidate,) = asking.ask(wanted(sha256=(served.sha256,)))

    assert candidate.grade == "A"


def test_a_name_in_a_subfolder_is_offered_by_its_last_part_and_not_chosen(hub: Hub) -> None:
    hub.add(URL)
    asked = wanted(name="sdxl/a.safetensors")

    resolution = room(hub, CatalogSource(URL)).resolve(asked)

    assert [candidate.grade for candidate in resolution.candidates] == ["E"]
    assert resolution.chosen == ()


def test_an_outage_of_one_place_is_not_an_empty_answer(hub: Hub) -> None:
    hub.add(URL)
    hub.fault("status", where="hub", status=503, times=9)
    asking = room(hub)

    offers = asking.ask(wanted(URL))

    assert list(offers) == []
    assert not offers.complete
    assert [asked.result for asked in asking.asked] == ["unavailable", "empty"]


def test_the_other_places_are_asked_while_one_is_out(hub: Hub) -> None:
    served = hub.add(MIRROR)
    hub.add(URL)
    hub.fault("status", "owner/repo", where="hub", times=9)

    offers = room(hub).ask(wanted(URL, MIRROR))

    assert [offer.sha256 for offer in offers] == [served.sha256]
    assert not offers.complete
    assert offers.troubles


def test_mirrors_of_the_catalog_stand_by_for_the_address_of_the_workflow(hub: Hub) -> None:
    """``flux2-vae.safetensors`` lies in six repositories."""
    hub.add(URL)
    hub.add(MIRROR)

    resolution = room(hub, CatalogSource(MIRROR), CatalogSource(URL)).resolve(wanted(URL))

    assert [chosen.url for chosen in resolution.chosen] == [URL, MIRROR]


def test_a_gated_file_is_shown_with_what_it_needs(hub: Hub) -> None:
    hub.add(URL)
    hub.gate("owner/repo")

    resolution = room(hub).resolve(wanted(URL))

    assert resolution.chosen == ()
    assert [candidate.needs for candidate in resolution.candidates] == ["login"]
    assert resolution.why is not None
    assert "HF_TOKEN" in resolution.why.remedy


def test_a_free_copy_in_the_catalog_stands_in_for_a_gated_file(hub: Hub) -> None:
    hub.add(URL)
    hub.add(MIRROR)
    hub.gate("owner/repo")

    resolution = room(hub, CatalogSource(MIRROR)).resolve(wanted(URL))

    assert [chosen.url for chosen in resolution.chosen] == [MIRROR]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.org/a.safetensors", "url-refused"),
        ("https://user:secret@example.org/a.safetensors", "url-refused"),
        (f"{HF}/owner/repo/resolve/main/missing.safetensors", "source-missing"),
        (f"{HF}/nobody/nothing/resolve/main/a.safetensors", "source-missing"),
        (f"{HF}/owner/repo", "wrong-answer"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_with_its_own_code(
    hub: Hub, url: str, code: str
) -> None:
    hub.add(URL)

    resolution = room(hub).resolve(wanted(url))

    assert resolution.why is not None
    assert resolution.why.code == code
    assert "secret" not in str(resolution.why)


def test_a_workflow_cannot_make_us_ask_thousands_of_places(hub: Hub) -> None:
    hub.add(URL)

    room(hub).ask(wanted(*(f"{HF}/owner/repo/resolve/main/{n}.pth" for n in range(5000))))

    assert len(hub.requests) < 20


class Elsewhere:
    """A backend that searches; it counts how often it is asked."""

    name = "elsewhere"

    def __init__(self) -> None:
        self.searched = 0

    def search(self, wanted: Wanted) -> Offers:
        self.searched += 1
        raise SourceUnavailable("It is out.", remedy="Wait.", retry_after=12.0)


def test_a_proven_offer_spares_the_search(hub: Hub) -> None:
    hub.add(URL)
    elsewhere = Elsewhere()

    offers = ask([*room(hub).backends(), elsewhere], wanted(URL), lambda _: None)

    assert elsewhere.searched == 0
    assert offers.complete


def test_two_backends_that_offer_one_place_are_one_offer_with_both_reasons(hub: Hub) -> None:
    hub.add(URL)

    (candidate,) = room(hub, CatalogSource(URL)).ask(wanted(URL))

    assert candidate.grade == "B"
    told = " ".join(candidate.evidence)
    assert "The workflow gives this address." in told
    assert "The catalog knows vae/a.safetensors from here." in told


def test_what_the_catalog_knows_spares_the_search(hub: Hub) -> None:
    hub.add(URL)
    elsewhere = Elsewhere()
    known = room(hub, CatalogSource(URL))

    offers = ask([*known.backends(), elsewhere], wanted(), lambda _: None)

    assert [offer.grade for offer in offers] == ["C"]
    assert elsewhere.searched == 0


def test_what_is_known_and_cannot_be_had_does_not_spare_the_search(hub: Hub) -> None:
    hub.add(URL)
    hub.gate("owner/repo")
    elsewhere = Elsewhere()
    known = room(hub, CatalogSource(URL))

    ask([*known.backends(), elsewhere], wanted(), lambda _: None)

    assert elsewhere.searched == 1


def test_a_trouble_that_two_backends_meet_is_told_once(hub: Hub) -> None:
    twice = room(hub).backends()[0]

    offers = ask([twice, twice], wanted("ftp://example.org/a"), lambda _: None)

    assert [trouble.code for trouble in offers.troubles] == ["url-refused"]


def test_a_search_that_is_out_is_told_with_the_time_to_wait(hub: Hub) -> None:
    offers = ask([*room(hub).backends(), Elsewhere()], wanted(), lambda _: None)

    assert not offers.complete
    assert offers.retry_after == 12.0


class Instant:
    def published(self, url: str) -> Published:
        return Published(url, url.rsplit("/", 1)[-1], sha256="1" * 64)


def test_resolving_what_the_catalog_knows_takes_less_than_five_milliseconds() -> None:
    backend = CatalogBackend(Catalog.read(), Instant())
    question = Wanted("vae", "flux2-vae.safetensors")
    choose(backend.search(question), question)

    started = time.perf_counter()
    for _ in range(20):
        choose(backend.search(question), question)
    each = (time.perf_counter() - started) / 20

    assert each < 0.005


CIVITAI = "https://civitai.com/api/download/models/910050?fileId=3"


def test_what_more_addresses_say_than_are_asked_leaves_the_file_to_a_person(hub: Hub) -> None:
    urls = [f"{HF}/owner/repo{number}/resolve/main/a.safetensors" for number in range(17)]
    for url in urls:
        hub.add(url)

    all_asked = room(hub).resolve(wanted(*urls[:16]))
    some_asked = room(hub).resolve(wanted(*urls))

    assert all_asked.chosen
    assert some_asked.chosen == ()
    assert any("16 of them were asked" in text for text in some_asked.candidates[0].evidence)


def test_what_only_the_catalog_says_is_not_told_as_a_publication(hub: Hub) -> None:
    """Nobody asked the host."""
    (offer,) = room(hub, CatalogSource(URL, "1" * 64, 7)).ask(wanted())

    assert hub.requests == []
    assert not any("publishes" in text for text in offer.evidence)
    assert "The catalog has its size and the SHA-256; the bytes will prove it." in offer.evidence


def test_a_place_whose_address_ends_with_a_number_has_the_wanted_name(hub: Hub) -> None:
    (offer,) = room(hub, CatalogSource(CIVITAI, "1" * 64, 7)).ask(wanted())

    assert offer.filename == "a.safetensors"
    assert offer.page == "https://civitai.com/model-versions/910050"
    assert not any("910050" in text for text in offer.evidence)


@dataclass
class Confused:
    """A backend with an answer about something else, before or after another trouble."""

    name: str = "civitai"
    offers: tuple[Candidate, ...] = ()

    def search(self, wanted: Wanted) -> Offers:
        gone = SourceMissing("It is gone.", remedy="Look.")
        other = WrongAnswer("Another.", remedy="Look.", requested=58390, returned=7)
        return Offers(self.offers).with_error(gone).with_error(other)


@pytest.mark.parametrize("offers", [(), (Candidate("civitai", URL, "a.safetensors"),)])
def test_an_answer_about_something_else_is_logged_whatever_else_there_is(
    offers: tuple[Candidate, ...],
) -> None:
    asked: list[SearchAsked] = []

    ask([Confused(offers=offers)], wanted(), asked.append)

    (event,) = asked
    told = {line.event: line.fields for line in lines(event)}["search.mismatch"]
    assert event.result == "mismatch"
    assert (told["requested"], told["returned"]) == (58390, 7)
    assert told["error"] == Trouble("wrong-answer", "Another.", "Look.")
