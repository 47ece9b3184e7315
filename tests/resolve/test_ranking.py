from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import NotGivenOut, UnsafeFile
from comfywatchman.resolve.ranking import Auto, choose

NAME = "detail.safetensors"
WANTED = Wanted("loras", NAME)
ONE, OTHER = "1" * 64, "2" * 64


def offer(
    grade: Grade,
    sha256: str | None = ONE,
    *,
    name: str = NAME,
    at: str = "example.org",
    needs: str | None = None,
) -> Candidate:
    return Candidate(
        "workflow", f"https://{at}/{name}", name, sha256=sha256, grade=grade, needs=needs
    )


def test_one_proven_offer_is_chosen() -> None:
    resolution = choose([offer(Grade.B)], WANTED)

    assert resolution.chosen == (offer(Grade.B),)
    assert resolution.why is None


def test_the_better_grade_wins_over_the_order_of_arrival() -> None:
    offers = [offer(Grade.D, OTHER, at="d"), offer(Grade.B, at="b"), offer(Grade.E, None, at="e")]

    for order in itertools.permutations(offers):
        resolution = choose(order, WANTED)

        assert [chosen.url for chosen in resolution.chosen] == [f"https://b/{NAME}"]
        assert [candidate.grade for candidate in resolution.candidates] == ["B", "D", "E"]


def test_the_same_bytes_at_several_places_are_one_file() -> None:
    mirrors = [offer(Grade.C, at="c"), offer(Grade.B, at="b"), offer(Grade.B, at="a")]

    resolution = choose(mirrors, WANTED)

    assert [chosen.grade for chosen in resolution.chosen] == ["B", "B", "C"]


@pytest.mark.parametrize("grade", [Grade.B, Grade.C, Grade.D])
def test_two_different_files_with_equal_evidence_are_left_to_a_person(grade: Grade) -> None:
    offers = [offer(grade, ONE, at="a"), offer(grade, OTHER, at="b")]

    resolution = choose(offers, WANTED)

    assert resolution.chosen == ()
    assert len(resolution.candidates) == 2
    assert resolution.why is not None
    assert resolution.why.code == "choice-needed"


def test_what_the_workflow_names_and_what_the_catalog_proves_may_not_contradict() -> None:
    offers = [offer(Grade.B, ONE, at="workflow"), offer(Grade.A, OTHER, at="catalog")]

    assert choose(offers, WANTED).chosen == ()


def test_the_wanted_hash_decides_over_everything_else() -> None:
    wanted = Wanted("loras", NAME, sha256=(OTHER,))
    proven = offer(Grade.A, OTHER, name="renamed.safetensors", at="anywhere")

    resolution = choose([offer(Grade.B, ONE), proven], wanted)

    assert resolution.chosen == (proven,)


def test_workflows_that_want_different_bytes_under_one_name_go_to_a_person() -> None:
    wanted = Wanted("loras", NAME, sha256=(ONE, OTHER))

    resolution = choose([offer(Grade.A, ONE)], wanted)

    assert resolution.chosen == ()
    assert resolution.why is not None
    assert ONE in resolution.why.cause


def test_the_file_of_the_wanted_name_wins_over_a_declared_one_of_another_name() -> None:
    """The template ``image_moss_image_t2i_bboxes`` gives its base model's address for sft."""
    base = offer(Grade.B, ONE, name="base.safetensors")
    base_again = offer(Grade.C, ONE, name="base.safetensors", at="catalog")
    named = offer(Grade.C, OTHER)

    resolution = choose([base, base_again, named], WANTED)

    assert resolution.chosen == (named,)


def test_a_file_of_another_name_is_taken_where_nothing_speaks_against_it() -> None:
    """Two templates save a file under another name than its address has."""
    renamed = offer(Grade.B, name="SYSTMS_INFL8.safetensors")

    assert choose([renamed], WANTED).chosen == (renamed,)


@pytest.mark.parametrize(
    "rival",
    [
        offer(Grade.E, None),  # nobody can say whether it is the same
        offer(Grade.E, None, needs="licence"),
        offer(Grade.C, OTHER),
    ],
)
def test_a_file_of_another_name_is_not_taken_beside_one_of_the_wanted(rival: Candidate) -> None:
    renamed = offer(Grade.B, ONE, name="base.safetensors")

    resolution = choose([renamed, rival], WANTED, auto="proven")

    assert resolution.chosen == ()


def test_a_file_of_another_name_waits_until_every_place_was_asked() -> None:
    resolution = choose([offer(Grade.B, name="base.safetensors")], WANTED, complete=False)

    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "source-unavailable"


ALLOWED: dict[Auto, str] = {"proven": "AB", "exact": "ABCD", "ask": "", "off": ""}


@pytest.mark.parametrize("auto", ALLOWED)
@pytest.mark.parametrize("grade", Grade)
def test_the_settings_say_which_grades_go_ahead_unattended(auto: Auto, grade: Grade) -> None:
    resolution = choose([offer(grade)], WANTED, auto=auto)

    assert bool(resolution.chosen) == (grade in ALLOWED[auto])
    assert (resolution.why is None) == bool(resolution.chosen)


@pytest.mark.parametrize("needs", ["login", "licence", "early-access", "payment"])
def test_what_needs_a_person_is_not_chosen_unattended(needs: str) -> None:
    resolution = choose([offer(Grade.A, needs=needs)], WANTED)

    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "login-needed"
    assert needs in resolution.why.cause


def test_a_login_is_no_obstacle_at_a_host_that_we_have_a_token_for() -> None:
    locked = offer(Grade.A, needs="login")

    assert choose([locked], WANTED, tokens={"example.org"}).chosen == (locked,)
    assert choose([locked], WANTED, tokens={"other.org"}).chosen == ()
    assert choose([offer(Grade.A, needs="payment")], WANTED, tokens={"example.org"}).chosen == ()


def test_a_free_mirror_is_chosen_before_a_locked_one() -> None:
    locked, free = offer(Grade.A, at="locked", needs="licence"), offer(Grade.A, at="free")

    assert choose([locked, free], WANTED).chosen == (free,)


def test_nothing_offered_is_told_with_the_reason() -> None:
    resolution = choose([], WANTED)

    assert (resolution.chosen, resolution.candidates) == ((), ())
    assert resolution.why is not None
    assert resolution.why.code == "nothing-found"


# -- what only the name speaks for

NAMED = offer(Grade.D, ONE, at="one")
GONE = NotGivenOut("It was archived.", remedy="Look elsewhere.").trouble()
HARMFUL = UnsafeFile("Its scan found code.", remedy="Look for safetensors.").trouble()


@pytest.mark.parametrize(
    "rival",
    [
        offer(Grade.D, OTHER, at="other"),
        offer(Grade.E, OTHER, at="other"),
        offer(Grade.E, None, at="other"),  # nobody can say whether it is the same
        offer(Grade.D, OTHER, at="other", needs="licence"),
        replace(offer(Grade.D, OTHER, at="other"), trouble=GONE),
    ],
)
def test_a_name_that_two_files_have_does_not_say_which_is_meant(rival: Candidate) -> None:
    for order in ((NAMED, rival), (rival, NAMED)):
        resolution = choose(order, WANTED)

        assert resolution.chosen == ()
        assert resolution.why is not None
        assert resolution.why.code == "choice-needed"
        assert len(resolution.candidates) == 2


def test_the_same_bytes_found_by_name_at_two_places_are_no_question() -> None:
    again = offer(Grade.E, ONE, at="again")

    assert choose([again, NAMED], WANTED).chosen == (NAMED, again)


def test_a_short_hash_tells_which_of_two_files_of_one_name_is_meant() -> None:
    meant = replace(NAMED, hinted=True)
    not_meant = replace(offer(Grade.E, OTHER, at="other"), hinted=False)

    assert choose([not_meant, meant], WANTED).chosen == (meant,)
    assert choose([offer(Grade.E, OTHER, at="other"), meant], WANTED).chosen == ()


def test_what_only_its_name_speaks_for_waits_until_every_place_was_asked() -> None:
    resolution = choose([NAMED], WANTED, complete=False)

    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "source-unavailable"


@pytest.mark.parametrize("grade", [Grade.A, Grade.B, Grade.C])
def test_what_more_than_its_name_speaks_for_does_not_wait(grade: Grade) -> None:
    best = offer(grade, ONE)

    assert choose([best, offer(Grade.E, None, at="e")], WANTED, complete=False).chosen == (best,)


# -- what cannot or should not be had


def test_what_nobody_is_given_is_not_chosen_and_does_not_vanish() -> None:
    archived = replace(offer(Grade.B), trouble=GONE)

    resolution = choose([archived], WANTED)

    assert resolution.chosen == ()
    assert resolution.candidates == (archived,)
    assert resolution.why == GONE


def test_a_copy_of_what_nobody_is_given_is_chosen() -> None:
    archived, free = replace(offer(Grade.A), trouble=GONE), offer(Grade.A, at="free")

    assert choose([archived, free], WANTED).chosen == (free,)


@pytest.mark.parametrize("grade", [Grade.A, Grade.B, Grade.C, Grade.D])
def test_bytes_that_one_scan_found_harmful_are_not_fetched_from_anywhere_else(grade: Grade) -> None:
    flagged = replace(offer(Grade.E, ONE, at="scanned"), trouble=HARMFUL)

    resolution = choose([offer(grade, ONE, at="not-scanned"), flagged], WANTED)

    assert resolution.chosen == ()


def test_a_harmful_file_alone_is_told_as_such() -> None:
    resolution = choose([replace(offer(Grade.E, ONE), trouble=HARMFUL)], WANTED)

    assert resolution.why == HARMFUL


def test_where_a_person_has_to_choose_nobody_is_sent_to_a_login_first() -> None:
    free = offer(Grade.E, ONE, at="free")
    locked = offer(Grade.E, None, at="locked", needs="login")

    resolution = choose([locked, free], WANTED)

    assert resolution.why is not None
    assert resolution.why.code == "choice-needed"


# -- what may serve instead


def test_a_replacement_is_never_chosen_and_comes_last() -> None:
    other = replace(offer(Grade.E, ONE, name="detail_v2.safetensors", at="a"), replacement=True)
    wanted = offer(Grade.E, None, at="b")

    alone, both = choose([other], WANTED), choose([other, wanted], WANTED)

    assert alone.chosen == both.chosen == ()
    assert alone.why is not None
    assert alone.why.code == "nothing-found"
    assert both.candidates == (wanted, other)
    assert both.why is not None
    assert both.why.code == "choice-needed"


def test_a_replacement_is_not_chosen_even_if_somebody_calls_it_proven() -> None:
    """A backend of somebody else may say what it likes."""
    bold = replace(offer(Grade.A, ONE), replacement=True)

    assert choose([bold], WANTED).chosen == ()
