"""Webhooks: what is told, how it is signed, and what becomes of it where nobody takes it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from comfywatchman.config.notify import Webhook
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import (
    DaemonReady,
    DaemonStopping,
    Event,
    JobSetAside,
    ModelCorrupt,
    ModelPlaced,
    ReferenceAmbiguous,
    RootOffline,
    RootOnline,
    WorkflowAnalyzed,
)
from comfywatchman.domain.notices import NOTICES, Change
from comfywatchman.domain.secrets import Secret
from comfywatchman.state import deliveries, workflows
from comfywatchman.state.store import open_reader
from tests.notices.conftest import Office, Telling
from tests.notices.receiver import Receiver, receiving
from tests.report.every_event import EVENTS, MEASURED, OFFER, TROUBLE, analysis, missing

BLOCKED = WorkflowAnalyzed(analysis(missing()), 0.1)
READY = WorkflowAnalyzed(analysis(), 0.1)


def hook(receiver: Receiver, *events: str, secret: Path | None = None) -> Webhook:
    return Webhook(Secret(receiver.url), events, secret)


def store(telling: Telling, *events: Event) -> None:
    telling.keeper.write(lambda c: telling.noting.within(c, events))


def deliver(telling: Telling, *, rounds: int = 1) -> None:
    """Do what the thread does, as often as something is due again."""
    for _ in range(rounds):
        time.sleep(min(telling.courier.round(), 0.2) if rounds > 1 else telling.courier.round() * 0)


def test_a_change_is_posted_once_and_the_same_state_is_no_change(office: Office) -> None:
    with receiving() as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        store(telling, BLOCKED, BLOCKED)
        store(telling, BLOCKED, READY)
        store(telling, READY)
        deliver(telling)

    assert receiver.events() == ["workflow.blocked", "workflow.ready"]
    first, second = (post.told for post in receiver.posts)
    assert first["schema_version"] == 1
    assert first["state"] == "blocked"
    assert first["before"] is None
    assert first["data"]["models"] == ["loras/detail.safetensors"]
    assert first["program"] == {"name": "comfywatchman", "version": "1.0", "host": "box"}
    assert second["before"] == "blocked"
    assert telling.heard.counted == ["delivered", "delivered"]
    assert telling.reader.read(deliveries.counts) == {"waiting": 0, "dead": 0}


def test_what_was_told_is_remembered_over_a_restart(office: Office) -> None:
    with receiving() as receiver:
        for _ in range(2):
            telling = office.telling(hook(receiver), named=(receiver.host,))
            store(telling, BLOCKED)
            deliver(telling)

    assert receiver.events() == ["workflow.blocked"]


def test_a_workflow_that_was_so_before_anybody_wanted_to_know_is_no_news(office: Office) -> None:
    with receiving() as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        office.keeper.write(lambda c: workflows.save(c, BLOCKED.analysis, None, 1.0))
        store(telling, BLOCKED)
        store(telling, READY)
        deliver(telling)

    assert receiver.events() == ["workflow.ready"]
    assert receiver.posts[0].told["before"] == "blocked"


def test_the_signature_is_hmac_sha256_over_id_time_and_body(office: Office, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-key-of-somebody\n")
    key.chmod(0o600)
    with receiving() as receiver:
        telling = office.telling(hook(receiver, secret=key), named=(receiver.host,))
        store(telling, READY)
        deliver(telling)

    (post,) = receiver.posts
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(b"a-key-of-somebody", signed + post.body, hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert post.headers["webhook-id"] == post.told["id"]
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 60
    assert post.headers["content-type"] == "application/json"


@pytest.mark.parametrize("content", [None, "", "two words", "whsec_not base64"])
def test_nothing_is_posted_unsigned_where_it_is_to_be_signed(
    office: Office, tmp_path: Path, content: str | None
) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_text(content)
        key.chmod(0o600)
    with receiving() as receiver:
        telling = office.telling(hook(receiver, secret=key), named=(receiver.host,))
        store(telling, READY)
        deliver(telling)

    assert receiver.posts == []
    (_, trouble, again) = telling.heard.troubles[0]
    assert str(key) in trouble.cause
    assert again is not None


def test_a_key_that_everybody_may_read_is_not_used(office: Office, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-key")
    key.chmod(0o644)
    with receiving() as receiver:
        telling = office.telling(hook(receiver, secret=key), named=(receiver.host,))
        store(telling, READY)
        deliver(telling)

    assert receiver.posts == []
    assert "chmod 600" in telling.heard.troubles[0][1].remedy


def test_three_failures_then_taken_with_the_same_id_and_a_restart_between(office: Office) -> None:
    with receiving(500, 503, 429) as receiver:
        first = office.telling(hook(receiver), named=(receiver.host,))
        store(first, READY)
        deliver(first)
        again = office.telling(hook(receiver), named=(receiver.host,))
        deliver(again, rounds=8)

    assert len(receiver.posts) == 4
    assert len({post.headers["webhook-id"] for post in receiver.posts}) == 1
    assert len({post.body for post in receiver.posts}) == 1
    assert first.heard.counted + again.heard.counted == ["failed"] * 3 + ["delivered"]


def test_what_nobody_takes_is_given_up_and_can_be_retried(office: Office) -> None:
    with receiving(500, 500) as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,), hours=0)
        store(telling, READY)
        deliver(telling)
        (dead,) = telling.reader.read(deliveries.listed)
        assert dead.state == "dead"
        assert dead.trouble is not None
        assert "HTTP 500" in dead.trouble.cause
        assert telling.heard.counted == ["failed", "given-up"]
        assert telling.heard.troubles[0][2] is None

        office.keeper.write(lambda c: deliveries.retry(c, None, time.time()))
        deliver(telling, rounds=3)
        deliver(telling)

    assert len(receiver.posts) >= 2


def test_a_receiver_that_wants_no_more_is_not_asked_again(office: Office) -> None:
    with receiving(410) as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        store(telling, READY)
        deliver(telling, rounds=2)

    assert len(receiver.posts) == 1
    assert telling.reader.read(deliveries.counts)["dead"] == 1


def test_a_redirect_is_not_followed(office: Office) -> None:
    with receiving(302) as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        store(telling, READY)
        deliver(telling)

    assert "redirect" in telling.heard.troubles[0][1].remedy


def test_a_private_address_is_not_asked_unless_it_is_named(office: Office) -> None:
    with receiving() as receiver:
        telling = office.telling(hook(receiver))
        store(telling, READY)
        deliver(telling)

    assert receiver.posts == []
    (host, trouble, again) = telling.heard.troubles[0]
    assert host == receiver.host
    assert again is None
    assert f"Add {receiver.host} to notify.insecure_hosts" in trouble.remedy
    assert "canary" not in f"{trouble}"


def test_a_receiver_that_hangs_holds_up_neither_the_others_nor_the_end(office: Office) -> None:
    with receiving(0) as hanging, receiving() as other:
        telling = office.telling(hook(hanging), hook(other), named=(hanging.host, other.host))
        # As after a first try in vain: it is the other's turn before the next one.
        telling.courier._line(telling.courier.targets[0]).rest_until = time.monotonic() + 0.5
        store(telling, READY)
        thread = threading.Thread(target=telling.courier.run)
        thread.start()
        other.until("workflow.ready")
        hanging.until("workflow.ready")
        telling.courier.stop.set()
        began = time.monotonic()
        telling.courier.end()
        thread.join(10)

        assert time.monotonic() - began < 2
        assert not thread.is_alive()
    assert telling.heard.counted == ["delivered"]
    (left,) = telling.reader.read(deliveries.listed)
    assert (left.state, left.attempts) == ("waiting", 0)


def test_only_the_events_of_the_filter_are_told(office: Office) -> None:
    placed = ModelPlaced("loras", "a.safetensors", Path("/m/a.safetensors"), MEASURED, "civitai")
    asked = ReferenceAmbiguous("loras", "b.safetensors", (OFFER,), TROUBLE)
    with receiving() as some, receiving() as analyzed, receiving() as models:
        telling = office.telling(
            hook(some, "workflow.ready", "reference.ambiguous"),
            hook(analyzed, "workflow.analyzed"),
            hook(models, "model.*"),
            named=(some.host, analyzed.host, models.host),
        )
        store(telling, BLOCKED, asked, placed)
        store(telling, READY)
        deliver(telling)

    assert some.events() == ["reference.ambiguous", "workflow.ready"]
    assert analyzed.events() == ["workflow.blocked", "workflow.ready"]
    assert models.events() == ["model.placed"]


def test_a_drive_that_goes_and_comes_is_told_each_time(office: Office) -> None:
    gone, back = RootOffline(Path("/m"), TROUBLE), RootOnline(Path("/m"))
    with receiving() as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        store(telling, gone, gone, back, gone)
        deliver(telling)

    assert receiver.events() == ["watch.root_offline", "watch.root_online", "watch.root_offline"]


def test_a_file_that_was_replaced_may_be_damaged_again(office: Office) -> None:
    path = Path("/m/a.safetensors")
    bad = ModelCorrupt(path, TROUBLE)
    placed = ModelPlaced("loras", "a.safetensors", path, MEASURED, "civitai")
    with receiving() as receiver:
        telling = office.telling(hook(receiver, "model.corrupt"), named=(receiver.host,))
        store(telling, bad, bad, placed, bad)
        deliver(telling)

    assert receiver.events() == ["model.corrupt", "model.corrupt"]


def test_what_is_told_and_not_stored_is_told_too(office: Office) -> None:
    aside = JobSetAside("analyze", "/wf/a.json", Trouble("internal-error", "A bug.", "Report it."))
    with receiving() as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        for event in (DaemonReady(1.0, None), aside, DaemonStopping("new settings")):
            telling.noting.observe(event)
        telling.noting.observe(DaemonReady(1.0, None))
        telling.noting.observe(DaemonStopping("SIGTERM"))
        deliver(telling)

    assert receiver.events() == ["daemon.ready", "job.set_aside", "daemon.stopping"]
    assert receiver.posts[1].told["data"]["error"]["code"] == "internal-error"


def test_a_clock_that_was_set_back_keeps_no_notice_waiting(office: Office) -> None:
    tomorrow = time.time() + 86400
    with receiving() as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        key = telling.courier.targets[0].key
        office.keeper.write(
            lambda c: deliveries.add(c, "msg_1", key, "workflow.ready", b'{"event":"x"}', tomorrow)
        )
        deliver(telling)

    assert receiver.events() == ["x"]


def test_what_a_thread_tells_after_the_end_hurts_nobody(tmp_path: Path) -> None:
    with ExitStack() as stack:
        telling = Office(tmp_path, stack).telling(Webhook(Secret("https://hooks.example/x")))
    telling.noting.observe(DaemonReady(1.0, None))
    telling.noting.tell(Change("config.rejected", "settings", "a typo"))

    reader = open_reader(tmp_path / "state")
    assert reader is not None
    assert reader.read(deliveries.counts)["waiting"] == 0
    reader.close()


def test_whatever_happens_can_be_told(office: Office) -> None:
    with receiving() as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        for event in EVENTS:
            store(telling, event)
            telling.noting.observe(event)
        deliver(telling)

    assert len(receiver.posts) >= 15
    for post in receiver.posts:
        assert post.told["event"] in NOTICES
        assert post.told["schema_version"] == 1


def test_wrong_settings_are_told_and_that_they_are_right_again(office: Office) -> None:
    wrong = Change("config.rejected", "settings", "a typo", "error", {"error": TROUBLE})
    right = Change("config.reloaded", "settings", "")
    with receiving() as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        for change in (right, wrong, wrong, right, right):
            telling.noting.tell(change)
        deliver(telling)

    assert receiver.events() == ["config.rejected", "config.reloaded"]


def test_a_receiver_that_the_settings_do_not_name_any_more_gets_nothing(office: Office) -> None:
    with receiving(500) as gone, receiving() as other:
        before = office.telling(hook(gone), named=(gone.host,))
        store(before, READY)
        deliver(before)
        after = office.telling(hook(other), named=(gone.host, other.host))
        deliver(after)

    assert len(gone.posts) == 1
    (dead,) = after.reader.read(deliveries.listed)
    assert dead.state == "dead"


def test_too_many_that_wait_are_given_up_oldest_first(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_WAITING", 3)
    with receiving(500) as receiver:
        telling = office.telling(hook(receiver), named=(receiver.host,))
        for number in range(5):
            changed = analysis(missing(), path=Path(f"/wf/{number}.json"))
            store(telling, WorkflowAnalyzed(changed, 0.1))
        deliver(telling)

    rows = telling.reader.read(deliveries.listed)
    assert [row.state for row in rows] == ["dead"] * 2 + ["waiting"] * 3
    assert [row.id for row in rows if row.state == "dead"] == [2, 1]
