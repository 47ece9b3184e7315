"""The room put together: who can say what a source publishes, and the backends by their names."""

from __future__ import annotations

from comfywatchman.resolve.asking import Ask
from comfywatchman.resolve.backend import SearchBackend
from comfywatchman.resolve.catalog import Places
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_facts import CivitaiPublisher
from comfywatchman.resolve.civitai_search import CivitaiBackend
from comfywatchman.resolve.github import GitHub, GitHubBackend
from comfywatchman.resolve.hub_listing import HubListing
from comfywatchman.resolve.hub_search import HuggingFaceBackend
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import CatalogBackend, WorkflowBackend
from comfywatchman.resolve.local_cache import CacheBackend, LocalHubCache
from comfywatchman.resolve.modelscope import HOSTS as MODELSCOPE_HOSTS
from comfywatchman.resolve.modelscope import ModelScope, ModelScopeBackend
from comfywatchman.resolve.published import ByHost, Publisher
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web

BACKENDS = ("workflow", "hfcache", "catalog", "civitai", "huggingface", "github", "modelscope")
"""Every backend of ours, in the order in which asking them costs least."""


def publisher_of(ask: Ask, endpoints: Endpoints) -> Publisher:
    """Return who knows what the file at any address is."""
    web = Web(ask, endpoints)
    civitai = CivitaiPublisher(Civitai(ask, endpoints))
    modelscope = ModelScope(ask, web)
    hosts: dict[str, Publisher] = {
        "civitai.com": civitai,
        "civitai.red": civitai,
        "github.com": GitHub(ask, endpoints, web),
        **dict.fromkeys(MODELSCOPE_HOSTS, modelscope),
    }
    return ByHost(HuggingFace(ask, endpoints), web, hosts)


def backends_of(
    ask: Ask, publisher: Publisher, endpoints: Endpoints, catalog: Places, cache: LocalHubCache
) -> dict[str, SearchBackend]:
    """Return every backend of ours by its name.

    *publisher* is `publisher_of` the same *ask*, or something that keeps its answers.
    """
    web = Web(ask, endpoints)
    return {
        "workflow": WorkflowBackend(publisher, endpoints),
        "hfcache": CacheBackend(cache, endpoints),
        "catalog": CatalogBackend(catalog, publisher),
        "civitai": CivitaiBackend(Civitai(ask, endpoints), endpoints),
        "huggingface": HuggingFaceBackend(HubListing(ask, endpoints), publisher, endpoints),
        "github": GitHubBackend(GitHub(ask, endpoints, web), endpoints),
        "modelscope": ModelScopeBackend(ModelScope(ask, web), endpoints),
    }
