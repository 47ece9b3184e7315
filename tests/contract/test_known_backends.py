from __future__ import annotations

from collections.abc import Iterator

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.domain.candidates import Wanted
from comfywatchman.resolve.catalog import Catalog, CatalogEntry, CatalogSource
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import CatalogBackend, WorkflowBackend
from comfywatchman.resolve.published import Publisher
from comfywatchman.resolve.urls import Endpoints
from tests.contract.backend_suite import FOLDER, NAME, BackendSuite
from tests.resolve.plain_ask import PlainAsk

REPO = "https://huggingface.co/owner/repo/resolve/main"


class OnTheHub(BackendSuite):
    @pytest.fixture(autouse=True)
    def start(self) -> Iterator[None]:
        with Hub() as self.hub:
            yield

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(huggingface=self.hub.url)

    @property
    def publisher(self) -> Publisher:
        return HuggingFace(PlainAsk(), self.endpoints)

    def break_it(self) -> None:
        self.hub.fault("status", where="hub", times=99)


class TestWorkflowBackend(OnTheHub):
    def having(self, filename: str) -> WorkflowBackend:
        self.hub.add(f"{REPO}/{filename}")
        return WorkflowBackend(self.publisher, self.endpoints)

    def out_of_order(self) -> WorkflowBackend:
        backend = self.having(NAME)
        self.break_it()
        return backend

    def wanted(self, *sha256: str) -> Wanted:
        return Wanted(FOLDER, NAME, (f"{REPO}/{NAME}?download=true",), sha256)


class TestCatalogBackend(OnTheHub):
    def having(self, filename: str) -> CatalogBackend:
        url = f"{REPO}/{filename}"
        self.hub.add(url)
        entry = CatalogEntry(FOLDER, filename, (CatalogSource(url),))
        return CatalogBackend(Catalog([entry]), self.publisher)

    def out_of_order(self) -> CatalogBackend:
        backend = self.having(NAME)
        self.break_it()
        return backend
