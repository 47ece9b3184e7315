"""The same fetches against the team's stand-in hubs, where they lie beside the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfywatchman.domain.errors import (
    LoginNeeded,
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    VerificationFailed,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import Expected, Measured
from comfywatchman.download.http import Limits
from tests.download.fetching import Fetching, checked
from tests.download.hubs import STANDIN, Hubs, standing_in

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not STANDIN.exists(), reason="the stand-in hubs are not here"),
]

HF = "hf:standin-org/same-name-a:unet/diffusion_pytorch_model.safetensors"
GATED = "hf:black-forest-labs/FLUX.1-dev:flux1-dev.safetensors"
EVEN = "civitai:782002:7820020:juggernautXL_juggXIByRundiffusion.safetensors"
EARLY = "civitai:910001:9100010:gated_early_bird_v2.safetensors"


@pytest.fixture(scope="module")
def running() -> Iterator[Hubs]:
    with standing_in() as hubs:
        yield hubs


@pytest.fixture
def hubs(running: Hubs) -> Hubs:
    running.call("reset")
    return running


@dataclass
class Trial:
    hubs: Hubs
    fetching: Fetching
    ref: str

    def fetch(self) -> Measured:
        file = self.hubs.file(self.ref)
        size, sha, name = file["size"], file["sha256"], file["name"]
        url = file.get("file_url", file["url"])
        fetched = self.fetching.fetch(url, size=size, sha=sha, filename=name)
        return checked(self.fetching.part, Expected(size, sha), fetched, name)

    def spoil(self, host: str, kind: str, **more: object) -> None:
        arguments = {"times": 1, **more}
        self.hubs.call("fault", host=host, kind=kind, file=self.ref, **arguments)


def trial(hubs: Hubs, tmp_path: Path, ref: str, token: str = "") -> Trial:
    hosts = tuple(hubs.host(name) for name in ("civitai", "hf", "cdn", "web"))
    fetching = Fetching(tmp_path / ".x.part", hosts)
    fetching.token = token or fetching.token
    hub = "hf" if ref.startswith("hf:") else "civitai" if ref.startswith("civitai:") else ""
    fetching.token_host = hubs.host(hub) if token and hub else None
    return Trial(hubs, fetching, ref)


@pytest.mark.parametrize(
    ("ref", "token"),
    [
        (HF, ""),
        (HF, "hf_standinTokenPlain"),
        (GATED, "hf_standinTokenGranted"),
        (EVEN, "civitai-standin-token"),
        (EARLY, "civitai-standin-buyer"),
    ],
)
def test_a_file_comes_whole_and_no_token_leaves_its_host(
    hubs: Hubs, tmp_path: Path, ref: str, token: str
) -> None:
    trial(hubs, tmp_path, ref, token).fetch()

    stats = hubs.call("stats")
    assert not stats["token_leaks"]
    assert stats["files"][ref]["refetched"] == 0


@pytest.mark.parametrize("ref", [HF, EVEN])
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_cut_transfer_is_resumed(hubs: Hubs, tmp_path: Path, ref: str, kind: str) -> None:
    once = trial(hubs, tmp_path, ref, "civitai-standin-token" if ref == EVEN else "")
    once.spoil("cdn", kind, after_bytes=50_000)

    with pytest.raises(SourceUnavailable):
        once.fetch()
    once.fetch()

    stats = hubs.call("stats")
    assert not stats["token_leaks"]
    if kind == "cut":
        assert stats["files"][ref]["partial"] == 1


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("no_range", {}),
        ("bad_content_range", {}),
        ("ignore_if_range", {}),
        ("no_etag", {}),
        ("weak_etag", {}),
    ],
)
def test_a_resume_that_the_storage_gets_wrong_still_ends_with_the_file(
    hubs: Hubs, tmp_path: Path, kind: str, more: dict[str, object]
) -> None:
    once = trial(hubs, tmp_path, HF)
    once.spoil("cdn", "cut", after_bytes=50_000)
    with pytest.raises(SourceUnavailable):
        once.fetch()
    once.spoil("cdn", kind, **more)

    once.fetch()


@pytest.mark.parametrize(
    ("host", "kind", "more", "error"),
    [
        ("cdn", "drop", {}, SourceUnavailable),
        ("cdn", "stall", {"after_bytes": 1000}, SourceUnavailable),
        ("cdn", "slow_start", {"seconds": 30}, SourceUnavailable),
        ("cdn", "corrupt", {}, VerificationFailed),
        ("cdn", "etag_change", {}, VerificationFailed),
        ("cdn", "wrong_length", {"delta": 7}, VerificationFailed),
        ("cdn", "html_page", {}, WrongAnswer),
        ("cdn", "expired_url", {}, SourceUnavailable),
        ("cdn", "server_error", {}, SourceUnavailable),
        ("cdn", "empty", {}, VerificationFailed),
        ("hf", "gated", {"code": 401}, LoginNeeded),
        ("hf", "gated", {"code": 403}, LoginNeeded),
        ("hf", "unauthorized", {}, LoginNeeded),
        ("hf", "not_found", {}, SourceMissing),
        ("hf", "rate_limited", {}, RateLimited),
        ("hf", "server_error", {"code": 502, "html": True}, SourceUnavailable),
        ("hf", "cloudflare", {"code": 403}, SourceUnavailable),
        ("hf", "redirect_loop", {"times": 20}, SourceUnavailable),
        ("hf", "redirect_to", {"location": "http://169.254.169.254/"}, WatchmanError),
    ],
)
def test_each_fault_of_the_hub_has_its_own_error(
    hubs: Hubs,
    tmp_path: Path,
    host: str,
    kind: str,
    more: dict[str, object],
    error: type[WatchmanError],
) -> None:
    once = trial(hubs, tmp_path, HF)
    once.fetching.read_timeout = 1
    once.fetching.limits = Limits(stall_seconds=1, least_bytes=1000)
    once.spoil(host, kind, **more)

    with pytest.raises(error):
        once.fetch()
    hubs.call("release")


@pytest.mark.parametrize(
    ("ref", "token", "error"),
    [
        (EVEN, "", LoginNeeded),
        (EVEN, "wrong", LoginNeeded),
        (EARLY, "civitai-standin-token", LoginNeeded),
        ("civitai:910010:9100100:archived_thing.safetensors", "civitai-standin-token",
         SourceMissing),
        ("civitai:910020:9100200:generationOnly_v1.safetensors", "civitai-standin-token",
         SourceMissing),
        ("civitai:910110:9101100:no_access_granted.safetensors", "civitai-standin-token",
         LoginNeeded),
        (GATED, "", LoginNeeded),
        (GATED, "hf_standinTokenPlain", LoginNeeded),
        ("web:/files/gdrive_like.safetensors", "", WrongAnswer),
        ("hf:standin-org/pickles:page_in_disguise.safetensors", "", VerificationFailed),
    ],
)  # fmt: skip
def test_each_trap_of_the_catalogue_is_told(
    hubs: Hubs, tmp_path: Path, ref: str, token: str, error: type[WatchmanError]
) -> None:
    with pytest.raises(WatchmanError) as caught:
        trial(hubs, tmp_path, ref, token).fetch()

    assert type(caught.value) is error
    assert token not in str(caught.value) or not token


def test_a_file_that_changes_between_two_tries_is_never_mixed(hubs: Hubs, tmp_path: Path) -> None:
    once = trial(hubs, tmp_path, HF)
    once.spoil("cdn", "cut", after_bytes=50_000)
    with pytest.raises(SourceUnavailable):
        once.fetch()
    hubs.call("mutate", ref=HF, seed="other")

    once.fetch()

    hubs.call("mutate", ref=HF, seed="diffusion_pytorch_model.safetensors")
