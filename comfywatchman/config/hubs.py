"""The settings of the model hubs: where they are, and who we are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from comfywatchman.config.keys import Says, Section
from comfywatchman.domain.secrets import Secret


class Civitai(Section, frozen=True):
    """Civitai."""

    endpoint: Annotated[
        str,
        Says(
            "Where the site is asked; URLs of civitai.com and civitai.red in workflows too.",
            kind="url",
        ),
    ] = "https://civitai.com"
    token: Annotated[
        Secret | None,
        Says(
            "API key. Better in CIVITAI_API_KEY, CIVITAI_API_TOKEN, a token_file, or "
            "`civitai_token` of the service manager's credentials.",
            kind="token",
            example="your-api-key",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Says(
            "File with the API key; nobody else may read it.",
            example="~/.config/comfywatchman/civitai-token",
        ),
    ] = None


class HuggingFace(Section, frozen=True):
    """Hugging Face."""

    endpoint: Annotated[
        str,
        Says(
            "Where the hub is asked (HF_ENDPOINT); URLs of huggingface.co in workflows too.",
            kind="url",
        ),
    ] = "https://huggingface.co"
    token: Annotated[
        Secret | None,
        Says(
            "Access token. Better in HF_TOKEN, a token_file, `hf_token` of the service "
            "manager's credentials, or where `hf auth login` puts it.",
            kind="token",
            example="your-access-token",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Says(
            "File with the access token; nobody else may read it.",
            example="~/.config/comfywatchman/hf-token",
        ),
    ] = None


class GitHub(Section, frozen=True):
    """GitHub, for the files of releases."""

    endpoint: Annotated[str, Says("Where its API is asked.", kind="url")] = "https://api.github.com"


class Hubs(Section, frozen=True):
    """Where the model hubs are, and who we are there."""

    civitai: Civitai = Civitai()
    huggingface: HuggingFace = HuggingFace()
    github: GitHub = GitHub()
