"""Chat services through Apprise, which can post JSON to a server of ours as to any other."""

from __future__ import annotations

import time
from importlib.util import find_spec

import pytest

from comfywatchman.config.notify import Notify
from comfywatchman.daemon.notices import courier
from comfywatchman.daemon.notices.chat import Chat
from comfywatchman.daemon.notices.targets import Target, targets_of
from comfywatchman.domain.messages import WorkflowAnalyzed
from comfywatchman.domain.secrets import Secret
from comfywatchman.state import deliveries
from comfywatchman.state.deliveries import Delivery
from tests.notices.conftest import Office
from tests.notices.receiver import receiving
from tests.notices.test_webhooks import BLOCKED, READY, store
from tests.report.every_event import TROUBLE, analysis, missing

needs_apprise = pytest.mark.skipif(find_spec("apprise") is None, reason="the extra notify")

UNREADABLE = WorkflowAnalyzed(analysis(missing(), trouble=TROUBLE), 0.1)


def chat_target(url: str) -> Target:
    (target,) = targets_of(Notify(urls=(Secret(url),)))
    return target


def waiting_rows(office: Office, url: str) -> list[Delivery]:
    telling = office.telling(urls=(url,))
    store(telling, BLOCKED)
    store(telling, UNREADABLE)
    store(telling, READY)
    return telling.reader.read(lambda c: deliveries.due(c, chat_target(url).key, time.time(), 9))


@needs_apprise
def test_what_happens_within_seconds_is_one_message(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "GATHER_SECONDS", 0.2)
    with receiving() as receiver:
        telling = office.telling(urls=(f"json://{receiver.host}/x",), named=(receiver.host,))
        store(telling, UNREADABLE)
        store(telling, READY)
        telling.courier.round()
        assert receiver.posts == []
        time.sleep(0.25)
        telling.courier.round()

    (post,) = receiver.posts
    assert "workflow.unreadable. The source did not answer." in post.told["message"]
    assert "workflow.ready" in post.told["message"]
    assert telling.heard.counted == ["delivered"] * 2


@needs_apprise
def test_a_private_address_is_not_told_unless_it_is_named(office: Office) -> None:
    with receiving() as receiver:
        url = f"json://{receiver.host}/canary"
        tried = Chat((), {}).tell(chat_target(url), waiting_rows(office, url))

    assert receiver.posts == []
    assert tried.final
    assert tried.trouble is not None
    assert "notify.insecure_hosts" in tried.trouble.remedy
    assert "canary" not in str(tried.trouble)


@needs_apprise
def test_an_address_that_apprise_does_not_know_is_told_without_it(office: Office) -> None:
    url = "carrier-pigeon://canary"
    tried = Chat((), {}).tell(chat_target(url), waiting_rows(office, url))

    assert tried.trouble is not None
    assert "no address that Apprise knows" in tried.trouble.cause
    assert "canary" not in str(tried.trouble)


def test_a_chat_is_told_what_needs_a_person_and_not_every_step(office: Office) -> None:
    rows = waiting_rows(office, "json://example.com/")

    assert [row.event for row in rows] == ["workflow.unreadable", "workflow.ready"]


def test_without_the_extra_it_is_said_how_to_install_it(office: Office, tmp_path: object) -> None:
    url = "json://example.com/"
    rows = waiting_rows(office, url)
    # A package of that name that cannot be imported is as good as none.
    from pathlib import Path

    broken = Path(str(tmp_path)) / "broken"
    broken.mkdir()
    (broken / "apprise.py").write_text("raise ImportError")
    tried = Chat((), {"PYTHONPATH": str(broken)}).tell(chat_target(url), rows)

    assert tried.trouble is not None
    assert tried.trouble.code == "extra-missing"
    assert "pip install apprise" in tried.trouble.remedy
