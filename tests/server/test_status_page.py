from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from comfywatchman.server.page import page
from tests.server.small_daemon import SmallDaemon, house


def _page() -> str:
    daemon = SmallDaemon()
    return page(
        daemon.status(),
        daemon.workflows(),
        daemon.downloads(),
        daemon.choices(),
        daemon.errors(5),
        troubles=daemon.models(None, 9, 0, troubles=True),
        waiting=daemon.jobs("waiting", 9),
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_shows_workflows_downloads_choices_and_errors() -> None:
    tags = _Tags()
    tags.feed(_page())

    for words in (
        "portrait.json",
        "25 %",
        "Two files have that name.",
        "1: https://civitai.com/models/1",
        "Offline: /gone",
        "It is cut off.",
        "2 models to measure",
        "Models in trouble",
        "is not complete.",
    ):
        assert words in tags.words


def test_the_page_has_no_script_and_takes_no_name_for_one() -> None:
    tags = _Tags()
    tags.feed(_page())

    assert "script" not in tags.tags
    assert "<script>alert(1)</script>" in tags.words
    assert not re.search(r"\son\w+=|javascript:", _page())


def test_the_page_is_allowed_its_own_style_and_nothing_else() -> None:
    with house() as at:
        answer = at.ask("GET", "/")

    policy = answer.headers["content-security-policy"]
    style = re.search(rb"<style>(.*?)</style>", answer.body, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert b'http-equiv="refresh"' in answer.body


def test_the_page_of_a_daemon_that_has_nothing_yet_says_so() -> None:
    assert "None yet." in page(SmallDaemon(is_ready=False).status(), [], [], [], [])
    assert "The first sweep goes on." in page(SmallDaemon(is_ready=False).status(), [], [], [], [])


def test_the_page_tells_secrets_what_to_select_and_what_waits() -> None:
    tags = _Tags()
    tags.feed(_page())

    assert "2 secrets in the file" in tags.words
    assert "vae/ae.safetensors: Select <script>" in tags.words
    assert tags.words.count("vae/ae.safetensors") == 1
    assert "tried again" in tags.words
    assert tags.words.count("fetch loras/x") == 1


def test_a_workflow_on_the_page_leads_to_its_report() -> None:
    known = SmallDaemon().workflows()[0].id
    with house() as at:
        answer = at.ask("GET", f"/workflows/{known}")
        nobody = at.ask("GET", "/workflows/ffffffffffffffff")

    assert f'href="/workflows/{known}"' in _page()
    assert (answer.status, nobody.status) == (200, 404)
    assert b"Models of workflows" in answer.body
    assert b"<script" not in answer.body
    assert "default-src 'none'" in answer.headers["content-security-policy"]
