"""What a source says about a file before its first byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from comfywatchman.domain.errors import Trouble
from comfywatchman.resolve.kinds import UNKNOWN, Belongs
from comfywatchman.resolve.urls import host_of, is_huggingface


@dataclass(frozen=True, slots=True)
class Published:
    """The facts that one source publishes about one file; ``None`` means: it does not say."""

    url: str
    """Canonical: as it was asked for, or the address of exactly this file where one stands for
    several."""
    filename: str
    """Empty where the source does not say."""
    size: int | None = None
    sha256: str | None = None
    commit: str | None = None
    """The revision of the repository that answered: 40 hex digits."""
    needs: str | None = None
    """login, licence, early-access or payment, where the source wants that first."""
    page: str | None = None
    """Where a person can read about the file."""
    trouble: Trouble | None = None
    """Why the file cannot be had now: the reason behind *needs*, or that nobody is given it."""
    refused: bool = False
    """The source refused the token that is set, and wants one."""
    moved_to: str | None = None
    """The path that answered, where the source sent us to another one on its own host."""
    size_about: int | None = None
    """Bytes, where the source rounds."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Further hashes by their kind (AutoV1, AutoV3, …), lowercase."""
    belongs: Belongs = UNKNOWN
    notes: tuple[str, ...] = ()
    """Sentences for a person."""
    exact: bool = True
    """False where the address is that of a page which has newer and older files."""
    asked: bool = True
    """False where the facts are those of a catalog, and nobody asked the source."""
    told_by: str | None = None
    """The host that says so, where another one was asked than that of the address: a mirror."""
    unseen: str | None = None
    """Why there may be another file of this name that was not looked at, as a sentence: then the
    name alone chooses nothing."""
    others: tuple[Published, ...] = ()
    """Further files that the same address stands for; each without others of its own."""

    @property
    def teller(self) -> str:
        """Who says it, for a sentence."""
        host = host_of(self.url)
        return host if self.told_by is None else f"{self.told_by}, asked instead of {host},"

    @property
    def hashes(self) -> Mapping[str, str]:
        """Every hash that is known, by its kind."""
        if self.sha256 is None:
            return self.digests
        return {**self.digests, "SHA256": self.sha256, "AutoV2": self.sha256[:10]}


_MOST_OTHERS = 100
"""Files of one address that are remembered; a page with thousands is read again."""


class Publisher(Protocol):
    """Somebody who can say what a source publishes."""

    def published(self, url: str) -> Published:
        """Return what the source of the canonical *url* says about the file.

        Raises:
            SourceUnavailable, RateLimited: it could not be asked; ask again later.
            SourceMissing: it says that it has no such file.
            WrongAnswer: it answered with a page or with nonsense.
            UrlRefused, HostNotAllowed: an address that is not asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class ByHost:
    """Sends each address to whoever knows how its host answers."""

    huggingface: Publisher
    web: Publisher
    hosts: Mapping[str, Publisher] = field(default_factory=dict)
    """Further hosts that have a way of their own."""

    def published(self, url: str) -> Published:
        if is_huggingface(url):
            return self.huggingface.published(url)
        return self.hosts.get(host_of(url), self.web).published(url)


class Remembering:
    """Asks each question once in *lifetime_seconds*.

    Owned by the thread that asks. Only facts are remembered: an outage is asked again, and so is
    a file that needs a login, since the person may have just accepted the licence.
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        clock: Callable[[], float],
        lifetime_seconds: float = 600.0,
        limit: int = 4096,
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._lifetime = lifetime_seconds
        self._limit = limit
        self._facts: dict[str, tuple[float, Published]] = {}

    def published(self, url: str) -> Published:
        now = self._clock()
        known = self._facts.get(url)
        if known is not None and now - known[0] < self._lifetime:
            return known[1]
        facts = self._publisher.published(url)
        if facts.trouble is None and len(facts.others) <= _MOST_OTHERS:
            while len(self._facts) >= self._limit:
                del self._facts[next(iter(self._facts))]
            self._facts.pop(url, None)  # a new entry goes to the end: the oldest leave first
            self._facts[url] = (now, facts)
        return facts
