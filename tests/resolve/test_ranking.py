from __future__ import annotations

import itertools

import pytest

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
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
