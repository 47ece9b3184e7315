"""What the tests of Hugging Face's lists share: records, and a question put to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfywatchman.domain.candidates import Resolution, Wanted
from comfywatchman.resolve.hub_listing import HubListing
from comfywatchman.resolve.hub_search import HuggingFaceBackend
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.plain_ask import Replies

NAME = "some_detail_lora.safetensors"
ONE, OTHER = "1" * 64, "2" * 64
MODELS = "/api/models"
NOTHING: dict[str, object] = {MODELS: []}


def a_repo(name: str, *paths: str, **more: Any) -> dict[str, Any]:
    siblings = [{"rfilename": path} for path in paths]
    return {"id": name, "modelId": name, "private": False, "siblings": siblings, **more}


def a_leaf(path: str, sha256: str | None = ONE, size: int = 7, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "file", "oid": "a" * 40, "size": size, "path": path, **more}
    if sha256 is not None:
        row["lfs"] = {"oid": sha256, "size": size, "pointerSize": 130}
    return row


def of_account(account: str) -> str:
    return f"{MODELS}?author={account}&sort=downloads&full=true&limit=100"


def tree(repo: str, directory: str = "") -> str:
    return f"{MODELS}/{repo}/tree/main" + (f"/{directory}" if directory else "")


def given_out(repo: str, path: str, sha256: str = ONE) -> dict[str, object]:
    """The answer to the question whether a file can be had."""
    headers = {"Location": "https://cdn.example/x", "X-Linked-Etag": f'"{sha256}"'}
    return {f"/{repo}/resolve/main/{path}": (302, b"", headers)}


def on_the_hub(
    answers: Mapping[str, object], wanted: Wanted | None = None
) -> tuple[Offers, Replies, Resolution]:
    replies = Replies(NOTHING | dict(answers))
    asked_for = wanted or Wanted("loras", NAME)
    endpoints = Endpoints()
    backend = HuggingFaceBackend(
        HubListing(replies, endpoints), HuggingFace(replies, endpoints), endpoints
    )
    offers = backend.search(asked_for)
    resolution = choose(offers, asked_for, complete=offers.complete, troubles=offers.troubles)
    return offers, replies, resolution


def at(
    path: str, *leaves: dict[str, Any], account: str = "Kijai", **more: Any
) -> dict[str, object]:
    """An account's repository that has a file at *path*."""
    repo = f"{account}/repo"
    directory = path.rpartition("/")[0]
    listed = leaves or (a_leaf(path),)
    return {
        of_account(account): [a_repo(repo, "README.md", path, **more)],
        tree(repo, directory): list(listed),
    }
