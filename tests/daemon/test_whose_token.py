"""Which host sees which token."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.config.load import load
from comfywatchman.daemon.parts import endpoints_for, mirror_of, policy_for, token_hosts
from comfywatchman.net.policy import NetPolicy
from comfywatchman.net.urls import origin_of

TOKENS = {"HF_TOKEN": "hf_ofTheTests", "CIVITAI_API_KEY": "civitai-of-the-tests"}


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """Return a settings file that says nothing."""
    path = tmp_path / "config.toml"
    path.touch(0o600)
    return path


def policy(nothing: Path, **more: object) -> NetPolicy:
    given = {key.replace("__", "."): value for key, value in more.items()}
    return policy_for(load(given, TOKENS, nothing).settings, {})


def shown(policy: NetPolicy, url: str) -> str | None:
    token = policy.token_for(origin_of(url))
    return None if token is None else token.reveal()


@pytest.mark.parametrize("host", ["civitai.com", "civitai.red"])
def test_both_fronts_of_civitai_take_the_one_key(nothing: Path, host: str) -> None:
    assert (
        shown(policy(nothing), f"https://{host}/api/download/models/1") == TOKENS["CIVITAI_API_KEY"]
    )
    assert host in token_hosts(load({}, TOKENS, nothing).settings)


def test_an_official_host_as_endpoint_is_no_mirror(nothing: Path) -> None:
    settings = load({"hubs.civitai.endpoint": "https://civitai.red"}, TOKENS, nothing).settings

    assert endpoints_for(settings).has_two_fronts
    assert (
        endpoints_for(settings)
        .canonical("https://civitai.red/models/7")
        .startswith("https://civitai.red/")
    )
    for host in ("civitai.com", "civitai.red"):
        assert shown(policy_for(settings, {}), f"https://{host}/x") is not None


@pytest.mark.parametrize(
    "mirror",
    ["https://hf-mirror.com", "http://hf-mirror.com", "https://8.8.8.8", "http://8.8.8.8:8080"],
)
def test_a_public_mirror_sees_no_token_and_plain_http_does_not_make_it_ones_own(
    nothing: Path, mirror: str
) -> None:
    made = policy(nothing, hubs__huggingface__endpoint=mirror)

    assert shown(made, f"{mirror}/a/b/resolve/main/c") is None
    assert not made.is_insecure(origin_of(f"{mirror}/x"))


@pytest.mark.parametrize(
    "own", ["http://127.0.0.1:8080", "http://localhost:81", "http://192.168.1.7", "https://[::1]:9"]
)
def test_a_hub_of_ones_own_in_a_private_network_sees_it(nothing: Path, own: str) -> None:
    made = policy(nothing, hubs__huggingface__endpoint=own)

    assert shown(made, f"{own}/a/b/resolve/main/c") == TOKENS["HF_TOKEN"]


def test_that_a_mirror_may_be_asked_over_plain_http_gives_it_no_token(nothing: Path) -> None:
    made = policy(
        nothing,
        hubs__huggingface__endpoint="http://hub.intra.example",
        download__insecure_hosts=["hub.intra.example"],
    )

    assert made.is_insecure(origin_of("http://hub.intra.example/a"))
    assert shown(made, "http://hub.intra.example/a") is None


def test_a_login_is_an_obstacle_where_a_public_mirror_is_asked_without_the_token(
    nothing: Path,
) -> None:
    mirrored = {"hubs.huggingface.endpoint": "https://hf-mirror.example"}
    settings = load(mirrored, TOKENS, nothing).settings
    own = load({"hubs.huggingface.endpoint": "https://10.0.0.7"}, TOKENS, nothing).settings

    assert "huggingface.co" not in token_hosts(settings)
    assert mirror_of(settings, "huggingface.co") == "hf-mirror.example"
    assert mirror_of(settings, "civitai.com") is None
    assert "huggingface.co" in token_hosts(own)
    assert mirror_of(own, "huggingface.co") is None
