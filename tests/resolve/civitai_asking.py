"""What the tests of Civitai's backend share: a question, and the answers it is put to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfywatchman.domain.candidates import Candidate, Resolution, Wanted
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_search import CivitaiBackend
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.civitai_records import a_model, a_page, a_version
from tests.resolve.plain_ask import Replies

NAME = "detail.safetensors"
ONE, OTHER, THIRD = "1" * 64, "2" * 64, "3" * 64
SEARCH = "/api/v1/models"
DOWNLOAD = "https://civitai.com/api/download/models"


def searched(
    answers: Mapping[str, object], wanted: Wanted | None = None
) -> tuple[Offers, list[str], Resolution]:
    replies = Replies(answers)
    asked_for = wanted or Wanted("loras", NAME)
    offers = CivitaiBackend(Civitai(replies, Endpoints()), Endpoints()).search(asked_for)
    resolution = choose(offers, asked_for, complete=offers.complete, troubles=offers.troubles)
    return offers, replies.asked, resolution


def page_with(*files: dict[str, Any], **more: Any) -> dict[str, object]:
    return {SEARCH: a_page(a_model(7, "Detail", a_version(34, *files, **more)))}


def one(offers: Offers) -> Candidate:
    (candidate,) = offers
    return candidate
