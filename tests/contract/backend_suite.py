"""What every search backend promises, ours and other people's.

A backend shows how to set itself up (`having`, `out_of_order`) and inherits the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from comfywatchman.domain.candidates import Grade, Wanted
from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.backend import SearchBackend
from comfywatchman.resolve.urls import canonical

NAME = "detail.safetensors"
FOLDER = "loras"


class BackendSuite(ABC):
    @abstractmethod
    def having(self, filename: str) -> SearchBackend:
        """A backend that has exactly one model, called *filename*, in the folder loras."""

    @abstractmethod
    def out_of_order(self) -> SearchBackend:
        """A backend whose service answers every request with an error."""

    def wanted(self, *sha256: str) -> Wanted:
        """The question; a backend that needs more to go by says so here."""
        return Wanted(FOLDER, NAME, sha256=sha256)

    def test_offers_the_model_it_has(self) -> None:
        offers = self.having(NAME).search(self.wanted())

        assert [offer.filename for offer in offers] == [NAME]

    def test_offers_nothing_when_it_has_something_else(self) -> None:
        assert list(self.having("unrelated.safetensors").search(self.wanted())) == []

    def test_an_outage_is_not_an_empty_answer(self) -> None:
        with pytest.raises(SourceUnavailable):
            self.out_of_order().search(self.wanted())

    def test_says_its_own_name_in_every_offer(self) -> None:
        backend = self.having(NAME)

        assert {offer.backend for offer in backend.search(self.wanted())} == {backend.name}
        assert backend.name == backend.name.lower().strip()

    def test_offers_a_canonical_address(self) -> None:
        for offer in self.having(NAME).search(self.wanted()):
            assert offer.url == canonical(offer.url)

    def test_every_offer_says_why(self) -> None:
        for offer in self.having(NAME).search(self.wanted()):
            assert offer.evidence
            assert all(sentence.endswith(".") for sentence in offer.evidence)

    def test_a_grade_above_e_comes_with_a_hash(self) -> None:
        for offer in self.having(NAME).search(self.wanted()):
            assert offer.grade is Grade.E or sha256_or_none(offer.sha256) == offer.sha256

    def test_other_bytes_than_the_wanted_are_not_offered(self) -> None:
        offers = self.having(NAME).search(self.wanted("0" * 64))

        assert list(offers) == []

    def test_the_wanted_bytes_are_proven_by_their_hash(self) -> None:
        backend = self.having(NAME)
        (first,) = backend.search(self.wanted())
        assert first.sha256 is not None

        (offer,) = backend.search(self.wanted(first.sha256))

        assert offer.grade is Grade.A

    def test_the_same_question_has_the_same_answer(self) -> None:
        backend = self.having(NAME)

        assert list(backend.search(self.wanted())) == list(backend.search(self.wanted()))
