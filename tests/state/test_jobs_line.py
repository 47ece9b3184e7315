"""Who is next in the line of jobs that wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from comfywatchman.domain.jobs import AnalyzeWorkflow, ResolveReference
from comfywatchman.state import jobs
from comfywatchman.state.keeper import Keeper
from tests.state.rows import HASH, TROUBLE, fetch
from tests.state.taking import NOW, WORKFLOW, finished, put, taken


def test_a_workflow_with_very_many_models_holds_up_nobody(keeper: Keeper) -> None:
    put(keeper, *(ResolveReference("loras", f"big-{number}") for number in range(1000)))
    for _ in range(3):
        finished(keeper, taken(keeper, "resolve"))
    put(keeper, *(ResolveReference("loras", f"small-{number}") for number in range(2)))

    order = [taken(keeper, "resolve").key.removeprefix("loras/") for _ in range(5)]

    assert order == ["big-3", "small-0", "big-4", "small-1", "big-5"]


def test_a_fetch_has_the_turn_of_the_search_that_led_to_it(keeper: Keeper) -> None:
    put(keeper, *(ResolveReference("loras", f"big-{number}") for number in range(50)))
    for number in range(50):
        finished(keeper, taken(keeper, "resolve"))
        put(keeper, fetch(f"big-{number}"))
    first = [taken(keeper, "fetch").key for _ in range(2)]
    put(keeper, ResolveReference("loras", "small"))
    finished(keeper, taken(keeper, "resolve"))
    put(keeper, fetch("small"))

    assert first == ["loras/big-0", "loras/big-1"]
    assert [taken(keeper, "fetch").key for _ in range(2)] == ["loras/small", "loras/big-2"]


def test_what_a_person_wants_now_goes_before_everything_else(keeper: Keeper) -> None:
    put(keeper, fetch("a"), fetch("b"), fetch("c"))
    keeper.write(lambda c: jobs.enqueue(c, [fetch("c")], NOW, priority=jobs.NOW))

    assert [taken(keeper, "fetch").key for _ in range(3)] == ["loras/c", "loras/a", "loras/b"]
    assert keeper.write(lambda c: jobs.priority_of(c, "fetch", "loras/c")) == jobs.NOW


def test_what_is_wanted_now_does_not_wait_for_its_next_try(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    row = taken(keeper, "fetch")
    keeper.write(lambda c: jobs.retry_later(c, row.id, TROUBLE, NOW, 3600))
    keeper.write(lambda c: jobs.enqueue(c, [fetch("a")], NOW, priority=jobs.NOW))

    assert taken(keeper, "fetch").attempts == 1


def test_out_of_hours_only_what_a_person_wants_is_handed_out(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    keeper.write(lambda c: jobs.enqueue(c, [fetch("b")], NOW, priority=jobs.NOW))
    closed = jobs.Rules(above=0)

    rows = [keeper.write(lambda c: jobs.claim(c, "fetch", NOW, closed)) for _ in range(2)]

    assert [row.key if row else None for row in rows] == ["loras/b", None]
    assert keeper.write(lambda c: jobs.next_time(c, "fetch", closed)) is None


def test_a_busy_volume_is_left_out_and_others_go_on(keeper: Keeper) -> None:
    put(keeper, fetch("a"), fetch("b"), fetch("c", folder="vae"))
    seen: list[tuple[dict[str, int], set[str]]] = []

    def crowded(going: Mapping[str, int], waiting: Collection[str]) -> set[str]:
        seen.append((dict(going), set(waiting)))
        return {"loras"}

    rules = jobs.Rules(crowded=crowded)
    rows = [keeper.write(lambda c: jobs.claim(c, "fetch", NOW, rules)) for _ in range(3)]

    assert [row.key if row else None for row in rows] == ["loras/a", "vae/c", None]
    assert seen[0] == ({"loras": 1}, {"loras", "vae"})


def in_the_way(keeper: Keeper, rules: jobs.Rules = jobs.ANY, at_once: int = 2) -> int | None:
    return keeper.write(lambda c: jobs.in_the_way(c, "fetch", NOW, rules, at_once=at_once))


def test_a_transfer_makes_place_for_a_more_urgent_one_only_where_that_helps(
    keeper: Keeper,
) -> None:
    put(keeper, fetch("a"), fetch("b", host="other.example"))
    first, second = (taken(keeper, "fetch") for _ in range(2))
    nobody_waits = in_the_way(keeper)
    keeper.write(lambda c: jobs.enqueue(c, [fetch("now")], NOW, priority=jobs.NOW))

    assert nobody_waits is None
    assert in_the_way(keeper, at_once=3) is None  # another worker will take it
    assert in_the_way(keeper) == second.id  # the last in line goes
    assert in_the_way(keeper, jobs.Rules(per_host=1)) == first.id  # only its end would help


def test_who_wants_the_bytes_that_are_being_fetched_waits_for_them(keeper: Keeper) -> None:
    put(keeper, fetch("a", sha256=HASH))
    taken(keeper, "fetch")
    same = fetch("b", sha256=HASH)
    keeper.write(lambda c: jobs.enqueue(c, [same], NOW, priority=jobs.NOW))

    assert in_the_way(keeper, at_once=1) is None


def test_a_search_that_is_asked_for_while_it_runs_is_done_once_more(keeper: Keeper) -> None:
    """Another workflow may give another address for the same name."""
    job = ResolveReference("loras", "a")
    put(keeper, job)
    row = taken(keeper, "resolve")
    put(keeper, job)

    assert keeper.write(lambda c: jobs.finish(c, row.id, NOW)) == "resolve"
    assert taken(keeper, "resolve").id == row.id


def test_a_search_is_not_handed_out_before_what_was_asked_for_earlier_is_read(
    keeper: Keeper,
) -> None:
    put(keeper, ResolveReference("loras", "a"), AnalyzeWorkflow(WORKFLOW))

    def next_search(behind: float, now: float = NOW) -> int | None:
        rules = jobs.Rules(behind=behind)
        return keeper.write(lambda c: jobs.claimable(c, "resolve", now, rules))

    assert next_search(behind=NOW) is None
    assert next_search(behind=NOW - 1) is not None  # it was asked for later
    reading = taken(keeper, "analyze", now=NOW + 5)
    assert next_search(behind=NOW) is None
    finished(keeper, reading)
    assert next_search(behind=NOW) is not None


def test_what_a_person_wants_does_not_wait_for_what_nobody_waits_for(keeper: Keeper) -> None:
    put(keeper, AnalyzeWorkflow(WORKFLOW))
    job = ResolveReference("loras", "a")
    keeper.write(lambda c: jobs.enqueue(c, [job], NOW, priority=jobs.NOW))

    rules = jobs.Rules(behind=NOW)
    assert keeper.write(lambda c: jobs.claimable(c, "resolve", NOW, rules)) is not None
