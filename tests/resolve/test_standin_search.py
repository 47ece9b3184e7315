"""The whole room against the team's stand-in hubs: every trap, every name, every fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.demo.templates import Templates
from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.resolve.backend import ask
from comfywatchman.resolve.catalog import Catalog
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.github import GitHub
from comfywatchman.resolve.hub_listing import HubListing
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.web import Web
from scripts.hub_traps import (
    BUYER,
    CIVITAI_TOKEN,
    HUB_TOKEN,
    REVOKED,
    STANDIN,
    TRAPS,
    Room,
    Trap,
    stand_in,
    tried,
)
from scripts.resolve_trial import names, scored

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not STANDIN.is_dir(), reason="the stand-in lies beside the team's checkout"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with stand_in(tmp_path_factory.mktemp("hashes") / "hashes.json") as hubs:
        yield hubs


@pytest.fixture
def hubs(running: Any) -> Any:
    running.reset()
    return running


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name.replace(" ", "-"))
def test_every_trap_ends_in_its_own_named_outcome(hubs: Any, trap: Trap) -> None:
    verdict = tried(trap, hubs)

    assert (verdict.ends, verdict.then) == (trap.ends, trap.then)
    assert trap.says in verdict.says
    assert trap.offered in {None, verdict.offered}
    assert hubs.stats()["token_leaks"] == []


def test_no_wrong_file_is_chosen_by_a_name_alone(hubs: Any) -> None:
    every = names(hubs)

    score = scored(hubs, every)

    assert score.wrong in ([], ["loras/wrong_hash_on_record.safetensors"])
    assert score.endings["chosen D"] >= 80
    assert score.questions < 5 * len(every)


def test_who_has_bought_early_access_can_fetch_what_was_chosen_by_hand(hubs: Any) -> None:
    room = Room(hubs, tokens=(BUYER,))

    (candidate,) = room.resolve(Wanted("loras", "gated_early_bird_v2.safetensors")).candidates

    assert candidate.needs == "early-access"
    assert room.fetch(candidate) == "verified"


# -- the official templates


def test_every_official_template_is_resolved_without_a_search_by_name(tmp_path: Path) -> None:
    import comfyui_workflow_templates_json as package

    folder = Path(package.__file__).parent / "templates"
    questions = {
        (model.folder, model.name, model.url)
        for template in Templates.installed()
        for model in template.models()
    }
    with stand_in(tmp_path / "hashes.json", folder) as hubs:
        room = Room(hubs, tokens=(HUB_TOKEN,), catalog=Catalog.read())

        endings = {
            (folder, name, url): room.resolve(Wanted(folder, name, (url,)))
            for folder, name, url in sorted(questions)
        }
        asked = hubs.log()

    assert [key for key, resolution in endings.items() if not resolution.chosen] == []
    assert [row["target"] for row in asked if row["target"].startswith("/api/")] == []
    assert [row for row in asked if row["host"] == "civitai"] == []
    targets = [row["target"] for row in asked]
    assert len(targets) == len(set(targets)), "a question was asked twice"


# -- every fault on every lookup

_URL = "https://huggingface.co/Comfy-Org/lotus/resolve/main/lotus-depth-d-v1-1.safetensors"
_ASSET = "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/RealESRGAN_x4plus.pth"
_HASH = "0" * 63 + "1"  # of the file with a wrong hash on record

LOOKUPS: dict[str, tuple[str, Callable[[Room], object]]] = {
    "civitai-version": ("civitai", lambda room: civitai(room).version(128078)),
    "civitai-hash": ("civitai", lambda room: civitai(room).by_hash(_HASH)),
    "civitai-model": ("civitai", lambda room: civitai(room).model(101055)),
    "civitai-search": ("civitai", lambda room: civitai(room).models("SD XL")),
    "civitai-image": ("civitai", lambda room: civitai(room).image(3000)),
    "hub-file": ("hf", lambda room: room.publisher.published(_URL)),
    "hub-account": ("hf", lambda room: listing(room).of_account("Kijai")),
    "hub-search": ("hf", lambda room: listing(room).called("flux")),
    "hub-tree": ("hf", lambda room: listing(room).files("Comfy-Org/lotus", "", deep=True)),
    "release": ("web", lambda room: github(room).published(_ASSET)),
}

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "server_error": ({}, "source-unavailable"),
    "server_error-json": ({"html": False, "retry_after": 9}, "source-unavailable"),
    "server_error-502": ({"code": 502}, "source-unavailable"),
    "cloudflare-403": ({"code": 403}, "source-unavailable source-missing"),
    "cloudflare-429": ({"code": 429}, "rate-limited"),
    "cloudflare-503": ({"code": 503}, "source-unavailable"),
    "cloudflare-524": ({"code": 524}, "source-unavailable"),
    "rate_limited": ({"retry_after": 9}, "rate-limited"),
    "drop": ({}, "source-unavailable"),
    "slow_start": ({"seconds": 60}, "source-unavailable"),
    "html_page": ({}, "wrong-answer"),
    "empty": ({}, "wrong-answer answered"),  # of a HEAD an empty body is no news
    "unauthorized": ({}, "login-needed source-missing"),
    "forbidden": ({}, "login-needed source-missing answered"),  # the file is known, and closed
    "gated-401": ({"code": 401}, "login-needed source-missing answered"),
    "gated-403": ({"code": 403}, "login-needed source-missing answered"),
    "early_access": ({}, "login-needed source-missing source-unavailable"),
    "not_found": ({}, "source-missing"),
    "expired_url": ({}, "login-needed source-missing source-unavailable wrong-answer"),
    "redirect_to": (
        {"location": "http://127.0.0.1:1/elsewhere"},
        "wrong-answer source-unavailable answered",  # the hub redirects to its storage too
    ),
    "redirect_loop": ({}, "source-unavailable"),
    "status-204": ({"code": 204}, "wrong-answer"),
    "status-json": (
        {"code": 200, "body": "[" * 99_999, "content_type": "application/json"},
        "wrong-answer answered",
    ),
    "status-huge": (
        {"code": 200, "body": "[" + '{"id": 1},' * 430_000, "content_type": "application/json"},
        "wrong-answer answered",
    ),
    "status-types": (
        {"code": 200, "body": '{"id": "x", "items": 5}', "content_type": "application/json"},
        "wrong-answer answered",
    ),
}


def civitai(room: Room) -> Civitai:
    return Civitai(room.ask, room.endpoints)


def listing(room: Room) -> HubListing:
    return HubListing(room.ask, room.endpoints)


def github(room: Room) -> GitHub:
    return GitHub(room.ask, room.endpoints, Web(room.ask, room.endpoints))


def outcome(look: Callable[[Room], object], room: Room) -> tuple[str, str]:
    try:
        return "answered", repr(look(room))
    except WatchmanError as error:
        return error.code, str(error)


@pytest.mark.parametrize("name", LOOKUPS)
def test_every_lookup_works_where_nothing_is_wrong(hubs: Any, name: str) -> None:
    _, look = LOOKUPS[name]

    assert outcome(look, Room(hubs, tokens=(CIVITAI_TOKEN, HUB_TOKEN)))[0] == "answered"
    assert hubs.stats()["token_leaks"] == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", LOOKUPS)
def test_every_fault_on_every_lookup_is_a_typed_outcome(
    hubs: Any, name: str, fault: str, tmp_path: Path
) -> None:
    host, look = LOOKUPS[name]
    more, allowed = FAULTS[fault]
    hubs.fault(host=host, kind=fault.partition("-")[0], **more)
    patience = 0.3 if fault == "slow_start" else 5.0
    tokens = (CIVITAI_TOKEN, HUB_TOKEN)
    room = Room(hubs, tokens=tokens, read_timeout=patience, cache=tmp_path / "answers.sqlite3")
    started = time.monotonic()

    code, said = outcome(look, room)

    assert code in allowed.split()
    assert time.monotonic() - started < 10
    assert len(hubs.log()) <= 12, "asked again and again"
    assert hubs.stats()["token_leaks"] == []
    assert not any(token in said for token in tokens)
    room.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(token.encode() in kept for token in tokens)
    hubs.release()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_whole_resolution_ends_typed_whatever_every_hub_does(hubs: Any, fault: str) -> None:
    more, _ = FAULTS[fault]
    hubs.fault(host="*", kind=fault.partition("-")[0], **more)
    patience = 0.1 if fault == "slow_start" else 5.0
    room = Room(hubs, tokens=(CIVITAI_TOKEN, HUB_TOKEN), read_timeout=patience)
    url = "https://civitai.com/api/download/models/62833"
    wanted = Wanted("loras", "add_detail.safetensors", (url, _URL), ("1" * 64,))
    told: list[Any] = []

    offers = ask(room.backends, wanted, told.append)
    resolution = choose(offers, wanted, complete=offers.complete, troubles=offers.troubles)

    # Where a hub says nothing about a file, the wanted hash will prove its bytes or refuse them.
    assert all(chosen.sha256 == "1" * 64 for chosen in resolution.chosen)
    assert resolution.chosen or resolution.why is not None
    assert len(hubs.log()) < 120
    assert hubs.stats()["token_leaks"] == []
    everything = repr((offers, resolution, told))
    assert not any(token in everything for token in (CIVITAI_TOKEN, HUB_TOKEN))
    room.close()
    hubs.release()


# -- tokens


def test_each_token_is_seen_by_its_own_host_only(hubs: Any) -> None:
    room = Room(hubs, tokens=(CIVITAI_TOKEN, HUB_TOKEN))
    for name in ("add_detail.safetensors", "qwen_image_vae.safetensors"):
        room.resolve(Wanted("loras", name))
    room.resolve(Wanted("upscale_models", "RealESRGAN_x4plus.pth", (_ASSET,)))

    for row in hubs.log():
        sent = dict(row["headers"]).get("Authorization", "")
        expected = {"civitai": f"Bearer {CIVITAI_TOKEN}", "hf": f"Bearer {HUB_TOKEN}"}
        assert sent == expected.get(row["host"], "")
        assert not any(token in row["target"] for token in (CIVITAI_TOKEN, HUB_TOKEN))


@pytest.mark.parametrize("name", ["add_detail.safetensors", "wan_2.1_vae.safetensors"])
def test_a_revoked_token_does_not_hide_what_is_public(hubs: Any, name: str) -> None:
    folder = "vae" if "vae" in name else "loras"
    with_bad = Room(hubs, tokens=("civitai-revoked", REVOKED)).resolve(Wanted(folder, name))
    without = Room(hubs).resolve(Wanted(folder, name))

    assert with_bad.chosen
    assert [c.url for c in with_bad.chosen] == [c.url for c in without.chosen]


def test_we_call_ourselves_by_a_plain_name(hubs: Any) -> None:
    """The site answers browsers with pages instead of errors."""
    room = Room(hubs)
    room.resolve(Wanted("loras", "add_detail.safetensors"))

    agents = {dict(row["headers"]).get("User-Agent", "") for row in hubs.log()}
    assert agents == {"comfywatchman"}
    assert not any(
        browser in agent.lower()
        for agent in agents
        for browser in ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
    )


def test_an_upload_that_changes_is_seen_when_it_is_asked_again(hubs: Any) -> None:
    wanted = Wanted("loras", "add_detail.safetensors")
    before = Room(hubs).resolve(wanted).chosen[0].sha256
    ref = next(f["ref"] for f in hubs.files() if f["ref"].startswith("civitai:62833:"))
    seed = hubs.find(ref).content.spec["seed"]

    hubs.mutate(ref, seed="another upload")
    after = Room(hubs).resolve(wanted).chosen[0].sha256
    hubs.mutate(ref, seed=seed)

    assert after != before
