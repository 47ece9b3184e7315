"""The job table is the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.domain.errors import SourceChanged, Trouble
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, ResolveReference
from comfywatchman.pipeline.patience import PASSING
from comfywatchman.state import jobs
from comfywatchman.state.keeper import Keeper, Reader
from tests.state.rows import HASH, TROUBLE, fetch
from tests.state.taking import MARK, NOW, WORKFLOW, crash, end, put, row_of, take, taken

# -- asking


def test_asking_twice_is_asking_once(keeper: Keeper) -> None:
    for _ in range(2):
        put(keeper, ResolveReference("loras", "a"), ResolveReference("loras", "a"))

    assert taken(keeper, "resolve").key == "loras/a"
    assert take(keeper, "resolve") is None


def test_the_same_name_in_another_folder_is_another_job(keeper: Keeper) -> None:
    put(keeper, ResolveReference("loras", "a"), ResolveReference("vae", "a"))

    assert {taken(keeper, "resolve").key, taken(keeper, "resolve").key} == {"loras/a", "vae/a"}


def test_asking_tells_which_kinds_got_work(keeper: Keeper) -> None:
    assert put(keeper, ResolveReference("loras", "a"), AnalyzeWorkflow(WORKFLOW)) == {
        "resolve",
        "analyze",
    }


def test_a_job_comes_back_as_it_was_asked(keeper: Keeper) -> None:
    job = fetch("ä/é.safetensors", sha256=HASH)
    put(keeper, job)

    assert taken(keeper, "fetch").job == job


def test_a_workflow_whose_name_is_no_utf8_has_one_key(keeper: Keeper) -> None:
    job = AnalyzeWorkflow(Path("/wf/caf\udce9.json"))
    put(keeper, job)
    put(keeper, job)

    assert taken(keeper, "analyze").job == job
    assert take(keeper, "analyze") is None


def test_an_analysis_asked_for_while_it_runs_is_made_once_more(keeper: Keeper) -> None:
    put(keeper, AnalyzeWorkflow(WORKFLOW))
    running = taken(keeper, "analyze")
    put(keeper, AnalyzeWorkflow(WORKFLOW))
    put(keeper, AnalyzeWorkflow(WORKFLOW))

    assert take(keeper, "analyze") is None
    assert keeper.write(lambda c: jobs.finish(c, running.id, NOW)) == "analyze"
    second = taken(keeper, "analyze")
    assert keeper.write(lambda c: jobs.finish(c, second.id, NOW)) is None
    assert take(keeper, "analyze") is None


def test_an_analysis_asked_for_while_it_fails_is_made_once_more(keeper: Keeper) -> None:
    put(keeper, AnalyzeWorkflow(WORKFLOW))
    running = taken(keeper, "analyze")
    put(keeper, AnalyzeWorkflow(WORKFLOW))
    keeper.write(lambda c: jobs.fail(c, running.id, TROUBLE, NOW))

    assert taken(keeper, "analyze").id == running.id


def test_a_transfer_asked_for_while_it_runs_is_not_made_again(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    running = taken(keeper, "fetch")

    assert put(keeper, fetch("a")) == set()
    keeper.write(lambda c: jobs.finish(c, running.id, NOW))
    assert take(keeper, "fetch") is None


def test_a_job_that_ended_starts_afresh_when_it_is_asked_for_again(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    ended = taken(keeper, "fetch")
    keeper.write(lambda c: jobs.retry_later(c, ended.id, TROUBLE, NOW, 5))
    keeper.write(lambda c: jobs.fail(c, ended.id, TROUBLE, NOW))
    put(keeper, fetch("a", host="other.example"))

    again = taken(keeper, "fetch")
    assert (again.id, again.attempts, again.trouble) == (ended.id, 0, None)
    assert again.job == fetch("a", host="other.example")
    assert again.host == "other.example"


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (Cause.REMOVED, Cause.CHANGED, Cause.CHANGED),
        (Cause.CHANGED, Cause.REMOVED, Cause.CHANGED),
        (Cause.ARRIVED, Cause.REMOVED, Cause.ARRIVED),
        (Cause.CHANGED, Cause.ARRIVED, Cause.CHANGED),
        (Cause.REMOVED, Cause.REMOVED, Cause.REMOVED),
    ],
)
def test_of_two_reasons_to_analyze_the_one_that_reaches_further_stays(
    keeper: Keeper, first: Cause, second: Cause, left: Cause
) -> None:
    put(keeper, AnalyzeWorkflow(WORKFLOW, first))
    put(keeper, AnalyzeWorkflow(WORKFLOW, second))

    assert taken(keeper, "analyze").job == AnalyzeWorkflow(WORKFLOW, left)


def test_reasons_that_come_while_the_analysis_runs_count_for_the_next_one(keeper: Keeper) -> None:
    put(keeper, AnalyzeWorkflow(WORKFLOW, Cause.CHANGED))
    running = taken(keeper, "analyze")
    put(keeper, AnalyzeWorkflow(WORKFLOW, Cause.REMOVED))
    put(keeper, AnalyzeWorkflow(WORKFLOW, Cause.ARRIVED))
    keeper.write(lambda c: jobs.finish(c, running.id, NOW))

    assert taken(keeper, "analyze").job == AnalyzeWorkflow(WORKFLOW, Cause.ARRIVED)


def test_an_edit_cuts_the_waiting_time_of_an_analysis_short(keeper: Keeper) -> None:
    put(keeper, AnalyzeWorkflow(WORKFLOW))
    row = taken(keeper, "analyze")
    keeper.write(lambda c: jobs.retry_later(c, row.id, TROUBLE, NOW, 60))
    put(keeper, AnalyzeWorkflow(WORKFLOW, Cause.ARRIVED))

    assert take(keeper, "analyze") is None
    put(keeper, AnalyzeWorkflow(WORKFLOW, Cause.CHANGED))
    assert taken(keeper, "analyze").id == row.id


# -- handing out


def test_jobs_are_handed_out_in_the_order_they_were_asked_for(keeper: Keeper) -> None:
    names = ["c", "a", "b"]
    put(keeper, *(ResolveReference("loras", name) for name in names))

    assert [taken(keeper, "resolve").key for _ in names] == ["loras/c", "loras/a", "loras/b"]


def test_a_job_is_handed_out_only_once(keeper: Keeper) -> None:
    put(keeper, ResolveReference("loras", "a"))

    assert taken(keeper, "resolve").state == jobs.RUNNING
    assert take(keeper, "resolve") is None


def test_looking_for_work_takes_nothing(keeper: Keeper, reader: Reader) -> None:
    put(keeper, fetch("a", sha256=HASH), fetch("b", sha256=HASH))

    seen = [reader.read(lambda c: jobs.claimable(c, "fetch", NOW)) for _ in range(2)]
    assert seen == [taken(keeper, "fetch").id] * 2
    assert reader.read(lambda c: jobs.claimable(c, "fetch", NOW)) is None


def test_a_job_of_another_kind_is_not_handed_out(keeper: Keeper) -> None:
    put(keeper, ResolveReference("loras", "a"))

    assert take(keeper, "fetch") is None


def test_two_names_of_the_same_bytes_are_not_fetched_at_the_same_time(keeper: Keeper) -> None:
    put(keeper, fetch("a", sha256=HASH), fetch("b", sha256=HASH), fetch("c"))
    first = taken(keeper, "fetch")

    assert (first.key, taken(keeper, "fetch").key) == ("loras/a", "loras/c")
    assert take(keeper, "fetch") is None
    keeper.write(lambda c: jobs.finish(c, first.id, NOW))
    assert taken(keeper, "fetch").key == "loras/b"


def test_one_host_gives_as_many_at_a_time_as_it_may_and_others_go_on(keeper: Keeper) -> None:
    put(keeper, *(fetch(name) for name in "abc"), fetch("d", host="other.example"))
    claimed = [taken(keeper, "fetch", per_host=2) for _ in range(3)]

    assert [row.key for row in claimed] == ["loras/a", "loras/b", "loras/d"]
    assert take(keeper, "fetch", per_host=2) is None
    keeper.write(lambda c: jobs.finish(c, claimed[0].id, NOW))
    assert taken(keeper, "fetch", per_host=2).key == "loras/c"


def test_the_host_that_is_asked_counts_whoever_sends(keeper: Keeper) -> None:
    put(keeper, fetch("a"), fetch("b"))
    running = taken(keeper, "fetch", per_host=1)
    keeper.write(lambda c: jobs.note_mark(c, running.id, MARK))

    assert take(keeper, "fetch", per_host=1) is None
    assert row_of(keeper, fetch("a")).mark == MARK


def test_sources_that_gave_other_bytes_twice_are_not_asked_again_by_themselves(
    keeper: Keeper,
) -> None:
    put(keeper, fetch("a", sha256=HASH))
    row = taken(keeper, "fetch")
    changed = Trouble(SourceChanged.code, "Other bytes.", "Look.")
    keeper.write(lambda c: jobs.fail(c, row.id, changed, NOW))

    put(keeper, fetch("a", sha256=HASH))
    again = take(keeper, "fetch")
    put(keeper, fetch("a", sha256="9" * 64))

    assert again is None
    assert taken(keeper, "fetch").id == row.id


def test_another_file_that_is_wanted_while_one_comes_is_fetched_after_it(keeper: Keeper) -> None:
    put(keeper, fetch("a", sha256=HASH))
    row = taken(keeper, "fetch")
    put(keeper, fetch("a", sha256="9" * 64))
    keeper.write(lambda c: jobs.fail(c, row.id, TROUBLE, NOW))

    assert taken(keeper, "fetch").job == fetch("a", sha256="9" * 64)


def test_what_was_canceled_while_it_ran_stays_so(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    row = taken(keeper, "fetch")
    keeper.write(
        lambda c: jobs.change_state(c, row.id, of=[jobs.RUNNING], to=jobs.CANCELED, now=NOW)
    )
    keeper.write(lambda c: jobs.release(c, row.id, NOW))

    assert row_of(keeper, fetch("a")).state == jobs.CANCELED


def test_other_bytes_than_promised_are_counted_apart_from_other_failures(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    for mismatched in (False, True):
        row = taken(keeper, "fetch")
        keeper.write(
            lambda c, id_=row.id, m=mismatched: jobs.retry_later(  # type: ignore[misc]  # bound at once
                c, id_, TROUBLE, NOW, 0, mismatched=m
            )
        )

    found = row_of(keeper, fetch("a"))
    assert (found.attempts, found.mismatches) == (2, 1)


# -- ending


def test_a_job_that_failed_for_now_waits_its_time(keeper: Keeper) -> None:
    put(keeper, ResolveReference("loras", "a"))
    row = taken(keeper, "resolve")
    keeper.write(lambda c: jobs.retry_later(c, row.id, TROUBLE, NOW, 5))

    assert keeper.write(lambda c: jobs.next_time(c, "resolve")) == NOW + 5
    assert take(keeper, "resolve", NOW + 4.9) is None
    again = taken(keeper, "resolve", NOW + 5)
    assert (again.attempts, again.trouble) == (1, TROUBLE)


def test_a_job_that_failed_for_good_is_not_handed_out_and_says_why(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    row = taken(keeper, "fetch")
    keeper.write(lambda c: jobs.fail(c, row.id, TROUBLE, NOW))

    assert take(keeper, "fetch", NOW + 1e9) is None
    ended = row_of(keeper, fetch("a"))
    assert (ended.state, ended.trouble) == (jobs.FAILED, TROUBLE)


def test_a_job_that_was_done_keeps_no_trouble_and_no_mark(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    row = taken(keeper, "fetch")
    keeper.write(lambda c: jobs.retry_later(c, row.id, TROUBLE, NOW, 0))
    keeper.write(lambda c: jobs.note_mark(c, row.id, MARK))
    taken(keeper, "fetch")
    keeper.write(lambda c: jobs.finish(c, row.id, NOW))

    done = row_of(keeper, fetch("a"))
    assert (done.state, done.trouble, done.mark, done.attempts) == (jobs.DONE, None, None, 0)


def test_a_job_that_meets_a_bug_three_times_is_set_aside(keeper: Keeper) -> None:
    put(keeper, ResolveReference("loras", "a"))
    times = [NOW + 60 * number for number in range(jobs.CRASHES_ALLOWED)]
    aside = [crash(keeper, taken(keeper, "resolve", now), now) for now in times]

    assert aside == [False, False, True]
    assert take(keeper, "resolve", NOW + 1e9) is None
    assert row_of(keeper, ResolveReference("loras", "a")).state == jobs.SET_ASIDE


def test_a_job_that_met_a_bug_is_left_alone_for_a_while(keeper: Keeper) -> None:
    put(keeper, ResolveReference("loras", "a"))
    crash(keeper, taken(keeper, "resolve"), NOW)

    assert take(keeper, "resolve", NOW + 1) is None
    assert take(keeper, "resolve", NOW + 60) is not None


def test_our_own_stopping_counts_against_nobody(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    row = taken(keeper, "fetch")
    keeper.write(lambda c: jobs.note_mark(c, row.id, MARK))
    keeper.write(lambda c: jobs.release(c, row.id, NOW))

    again = taken(keeper, "fetch")
    assert (again.attempts, again.crashes, again.mark) == (0, 0, MARK)


# -- after a start, and later


def test_what_a_killed_process_left_running_waits_again(keeper: Keeper) -> None:
    put(keeper, fetch("a"), fetch("b"), fetch("c"))
    taken(keeper, "fetch")
    done = taken(keeper, "fetch")
    keeper.write(lambda c: jobs.finish(c, done.id, NOW))

    assert keeper.write(lambda c: jobs.recover(c, NOW)) == 1
    again = taken(keeper, "fetch")
    assert (again.key, again.attempts, again.crashes) == ("loras/a", 0, 0)


def test_only_what_may_pass_by_itself_is_tried_again_by_itself(keeper: Keeper) -> None:
    put(keeper, fetch("passing"), fetch("lasting"))
    for code in ("source-unavailable", "source-missing"):
        end(keeper, taken(keeper, "fetch"), Trouble(code, "cause", "remedy"))

    assert keeper.write(lambda c: jobs.revive(c, NOW + 100, after=200, codes=PASSING)) == set()
    assert keeper.write(lambda c: jobs.revive(c, NOW + 300, after=200, codes=PASSING)) == {"fetch"}
    assert taken(keeper, "fetch").key == "loras/passing"
    assert take(keeper, "fetch") is None


def test_a_person_can_have_a_job_tried_again_at_once(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    row = taken(keeper, "fetch")
    keeper.write(lambda c: jobs.retry_later(c, row.id, TROUBLE, NOW, 600))
    changed = keeper.write(
        lambda c: jobs.change_state(c, row.id, of=[jobs.WAITING], to=jobs.WAITING, now=NOW)
    )

    assert changed is not None
    assert taken(keeper, "fetch").attempts == 0


def test_a_job_in_another_state_than_expected_is_not_moved(keeper: Keeper) -> None:
    put(keeper, fetch("a"))
    row = taken(keeper, "fetch")

    assert (
        keeper.write(
            lambda c: jobs.change_state(c, row.id, of=[jobs.WAITING], to=jobs.CANCELED, now=NOW)
        )
        is None
    )
    assert row_of(keeper, fetch("a")).state == jobs.RUNNING


# -- looking


def test_jobs_are_counted_by_kind_and_state(keeper: Keeper, reader: Reader) -> None:
    put(keeper, fetch("a"), fetch("b"), ResolveReference("loras", "a"))
    taken(keeper, "fetch")

    assert reader.read(jobs.counts) == {
        ("fetch", "running"): 1,
        ("fetch", "waiting"): 1,
        ("resolve", "waiting"): 1,
    }
    assert reader.read(jobs.open_jobs) == 3


def test_jobs_are_listed_newest_first_by_state_and_kind(keeper: Keeper, reader: Reader) -> None:
    put(keeper, fetch("old"), now=NOW)
    put(keeper, fetch("new"), now=NOW + 1)
    put(keeper, ResolveReference("loras", "x"), now=NOW + 2)

    listed = reader.read(lambda c: jobs.listed(c, states=[jobs.WAITING], kind="fetch"))
    assert [row.key for row in listed] == ["loras/new", "loras/old"]
    assert len(reader.read(lambda c: jobs.listed(c, limit=2))) == 2
    assert reader.read(lambda c: jobs.listed(c, states=[jobs.DONE])) == []
