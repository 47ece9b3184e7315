from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import pytest

from comfywatchman.domain.errors import Offline, RateLimited, SourceUnavailable, WatchmanError
from comfywatchman.domain.secrets import Secret
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy
from comfywatchman.pipeline.questions import Asking, Lifetimes, Question, Questions
from comfywatchman.resolve.asking import Kind
from comfywatchman.state.answers import Answers
from tests.shelf import Fault, Shelf

HOUR = 3600.0
JSON = "application/json"


@dataclass
class Desk:
    """Questions to one server at a time that can be set."""

    shelf: Shelf
    policy: NetPolicy
    answers: Answers = field(default_factory=lambda: Answers(None, 1 << 24))
    now: float = field(default_factory=time.time)
    told: list[Question] = field(default_factory=list)

    def ask(self, path: str, kind: Kind = "metadata", **more: object) -> int:
        questions = Questions(
            Asking(Net(self.policy)),
            self.answers,
            Lifetimes(24 * HOUR, 168 * HOUR, 6 * HOUR),
            clock=lambda: self.now,
            watch=self.told.append,
        )
        method = str(more.pop("method", "GET"))
        return questions(method, self.shelf.url + path, kind=kind, **more).status  # type: ignore[arg-type]  # each by its name

    def asked(self, path: str) -> int:
        return sum(row.path == path for row in self.shelf.asked)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Shelf() as shelf:
        yield Desk(shelf, NetPolicy(insecure_hosts=(shelf.host,)))


@pytest.mark.parametrize(("kind", "hours"), [("search", 24), ("metadata", 168)])
def test_a_question_is_put_once_in_the_lifetime_of_its_answer(
    desk: Desk, kind: Kind, hours: int
) -> None:
    desk.shelf.put("/a", b'{"items": [1]}', kind=JSON)

    for _ in range(5):
        assert desk.ask("/a", kind) == 200
    desk.now += hours * HOUR - 1
    desk.ask("/a", kind)
    assert desk.asked("/a") == 1
    desk.now += 2
    desk.ask("/a", kind)

    assert desk.asked("/a") == 2
    assert [q.how for q in desk.told] == ["asked", *["known"] * 5, "asked"]


@pytest.mark.parametrize("body", [b"[]", b'{"items": [], "metadata": {}}'])
def test_nothing_is_believed_twice_as_long_each_time(desk: Desk, body: bytes) -> None:
    desk.shelf.put("/s", body, kind=JSON)
    lifetimes = []
    for _ in range(6):
        desk.ask("/s", "search")
        began, count = desk.now, desk.asked("/s")
        while desk.asked("/s") == count:
            desk.now += HOUR
            if (desk.now - began) / HOUR > 400:
                break
            before = desk.now
            if desk.ask("/s", "search") and desk.asked("/s") > count:
                lifetimes.append(round((before - began) / HOUR))

    assert lifetimes[:5] == [6, 12, 24, 48, 96]
    assert lifetimes[5] == 168


def test_that_there_is_no_such_file_is_kept_too(desk: Desk) -> None:
    for _ in range(3):
        assert desk.ask("/gone") == 404

    assert desk.asked("/gone") == 1


def test_a_refusal_is_believed_for_a_minute(desk: Desk) -> None:
    desk.shelf.spoil("/a", Fault(times=None, status=401, headers={"Content-Type": JSON}))

    desk.ask("/a")
    desk.ask("/a")
    assert desk.asked("/a") == 1
    desk.now += 61
    desk.ask("/a")
    assert desk.asked("/a") == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_an_outage_is_not_kept(desk: Desk, status: int) -> None:
    desk.shelf.put("/a", b"{}", kind=JSON)
    desk.shelf.spoil("/a", Fault(times=1, status=status, body=b'{"error": "cursor"}'))

    assert desk.ask("/a") == status
    assert desk.ask("/a") == 200


@pytest.mark.parametrize(
    "body", [b'{"items": [1', b"<html>", b"[" * 100_000, b"\xff\xfe\x00", b'{"a": 1} {"b": 2}']
)
def test_an_answer_that_cannot_be_read_is_not_kept_for_days(desk: Desk, body: bytes) -> None:
    desk.shelf.put("/a", body, kind=JSON)
    desk.ask("/a", limit=1 << 20)
    desk.now += 61

    desk.ask("/a", limit=1 << 20)

    assert desk.asked("/a") == 2


def test_a_page_with_status_200_is_not_kept_for_days(desk: Desk) -> None:
    desk.shelf.put("/a", b"<html></html>", kind="text/html; charset=utf-8")
    desk.ask("/a")
    desk.ask("/a", method="HEAD")
    desk.now += 61
    desk.ask("/a")
    desk.ask("/a", method="HEAD")

    assert desk.asked("/a") == 4


def test_a_clock_that_was_wrong_makes_no_answer_eternal(desk: Desk) -> None:
    desk.shelf.put("/a", b"{}", kind=JSON)
    right = desk.now
    desk.now += 20 * 365 * 24 * HOUR
    desk.ask("/a")

    desk.now = right
    desk.ask("/a")

    assert desk.asked("/a") == 2


def test_two_questions_that_differ_in_an_argument_are_two(desk: Desk) -> None:
    desk.shelf.put("/a", b"{}", kind=JSON)
    desk.ask("/a")
    desk.ask("/a", method="HEAD")
    desk.ask("/a", headers={"Range": "bytes=0-0"})
    desk.ask("/a", limit=7)

    assert desk.asked("/a") == 4


def test_what_was_told_to_nobody_in_particular_is_asked_again_with_a_token(desk: Desk) -> None:
    desk.ask("/private")
    token = HostToken(desk.shelf.host, Secret("secret-token"))
    desk.policy = NetPolicy(insecure_hosts=(desk.shelf.host,), tokens=(token,))

    desk.ask("/private")
    desk.ask("/private", authenticate=False)

    assert desk.asked("/private") == 2


def test_no_token_and_no_signature_is_kept(desk: Desk) -> None:
    desk.policy = NetPolicy(
        insecure_hosts=(desk.shelf.host,), tokens=(HostToken(desk.shelf.host, Secret("s3cr3t")),)
    )
    target = "https://storage.example/x?X-Amz-Signature=signed"
    desk.shelf.spoil("/a", Fault(status=302, redirect_to=target))
    desk.ask("/a", method="HEAD")

    kept = b"".join(
        str(row).encode() for row in desk.answers._connection.execute("SELECT * FROM answers")
    )

    assert b"s3cr3t" not in kept
    assert b"signed" not in kept


def test_a_kept_date_goes_on_by_the_time_that_has_passed(desk: Desk) -> None:
    desk.shelf.put("/a", b"{}", kind=JSON)
    questions = Questions(
        Asking(Net(desk.policy)), desk.answers, Lifetimes(), clock=lambda: desk.now
    )
    first = parsedate_to_datetime(questions("GET", desk.shelf.url + "/a").headers["Date"])
    desk.now += 5 * HOUR

    later = parsedate_to_datetime(questions("GET", desk.shelf.url + "/a").headers["Date"])

    assert (later - first).total_seconds() == pytest.approx(5 * HOUR, abs=2)


def test_offline_nothing_is_asked_and_what_would_be_is_said(desk: Desk) -> None:
    desk.shelf.put("/known", b"{}", kind=JSON)
    desk.ask("/known")
    desk.policy = NetPolicy(insecure_hosts=(desk.shelf.host,), offline=True)
    desk.now += 1e9

    assert desk.ask("/known") == 200
    with pytest.raises(Offline) as told:
        desk.ask("/api/models?query=words", "search")

    assert f"GET {desk.shelf.url}/api/models?query=words" in told.value.cause
    assert len(desk.shelf.asked) == 1
    assert desk.told[-1].how == "not-asked"


def test_offline_holds_for_whoever_asks(desk: Desk) -> None:
    net = Net(NetPolicy(insecure_hosts=(desk.shelf.host,), offline=True))

    with pytest.raises(Offline), net.ask("GET", desk.shelf.url + "/a"):
        pass
    assert desk.shelf.asked == []


def answered_429(desk: Desk, said: object) -> WatchmanError | int:
    body = json.dumps(said).encode()
    fault = Fault(times=1, status=429, body=body, headers={"Content-Type": JSON})
    desk.shelf.spoil("/api/v1/models", fault)
    desk.shelf.put("/b", b"{}", kind=JSON)
    desk.ask("/api/v1/models")
    try:
        return desk.ask("/b")
    except WatchmanError as error:
        return error


def test_a_429_that_wants_cursors_slows_nothing_down(desk: Desk) -> None:
    told = "You've requested too many pages, please use cursors instead"

    assert answered_429(desk, {"error": told}) == 200


def test_a_429_without_a_time_leaves_the_host_alone_for_a_while(desk: Desk) -> None:
    error = answered_429(desk, {"error": "Too many requests"})

    assert isinstance(error, RateLimited)
    assert error.retry_after == pytest.approx(30, abs=2)


def test_the_breaker_is_one_for_lookups_of_all_kinds(desk: Desk) -> None:
    for number in range(5):
        desk.shelf.spoil(f"/{number}", Fault(status=500))
        desk.ask(f"/{number}")

    with pytest.raises(SourceUnavailable, match="left alone"):
        desk.ask("/other")

    assert desk.asked("/other") == 0
    assert desk.policy.manners.open_breakers() == {desk.shelf.host: True}


def test_a_failed_question_is_told(desk: Desk) -> None:
    desk.shelf.spoil("/a", Fault(times=1, cut_after=0))
    desk.shelf.put("/a", b"x" * 100)

    with pytest.raises(SourceUnavailable):
        desk.ask("/a")

    assert [q.how for q in desk.told] == ["failed"]


def test_what_is_not_sent_to_a_host_that_wants_quiet_is_told_as_not_asked(desk: Desk) -> None:
    desk.policy.manners.slow_down(desk.shelf.host, 60)

    with pytest.raises(RateLimited):
        desk.ask("/a")

    assert [q.how for q in desk.told] == ["not-asked"]
    assert desk.asked("/a") == 0
