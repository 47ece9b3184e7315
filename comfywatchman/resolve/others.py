"""Backends that other people bring: an installed package's, or one from a file of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path

from comfywatchman.disk.plugin import made_by
from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import SettingsInvalid, UrlRefused, WatchmanError, WrongAnswer
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.asking import said
from comfywatchman.resolve.backend import KNOWN_PLACES, SearchBackend
from comfywatchman.resolve.guarding import Guarded
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.simple import SearchBackend as SimpleBackend
from comfywatchman.resolve.simple import Simple
from comfywatchman.resolve.urls import canonical

GROUP = "comfywatchman.backends"
"""Each entry point names something that, called without arguments, gives a `SearchBackend`, of this
room or of the Python API (`resolve.simple`)."""
FACTORY = "backend"
"""What such a function is called in a file."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A backend whose mistakes end nothing but its own answer."""

    backend: SearchBackend
    name: str

    def search(self, wanted: Wanted) -> Sequence[Candidate]:
        """See `SearchBackend.search`."""
        try:
            answer = self.backend.search(wanted)
            offers = [_checked(offer, self.name) for offer in answer]
        except WatchmanError:
            raise
        except Exception as error:
            raise WrongAnswer(
                f"The backend {self.name} failed: {type(error).__name__}: {said(error)}.",
                remedy="It is somebody else's: tell them, or take it out of search_backends.",
            ) from error
        if isinstance(answer, Offers):
            return Offers(tuple(offers), answer.troubles, answer.complete, answer.retry_after)
        return offers


def other_backend(name: str) -> SearchBackend:
    """Return the backend of a package that calls it *name*, or that of the file *name*.

    Raises:
        SettingsInvalid: there is none, or it cannot be made.
    """
    try:
        found = _of_file(Path(name)) if name.endswith(".py") else _of_package(name)
        own = str(found.name)
    except SettingsInvalid:
        raise
    except Exception as error:
        raise _invalid(name, f"{type(error).__name__}: {said(error)}") from error
    return guarded(found, name, own)


def guarded(backend: SearchBackend | SimpleBackend, called: str, own: str) -> SearchBackend:
    """Return somebody's *backend*, of either kind, as one whose mistakes end only its own answer.

    Args:
        backend: as it was made, or handed to us.
        called: how messages call it.
        own: its name.

    Raises:
        SettingsInvalid: that name is none.
    """
    if own in KNOWN_PLACES or not own.isidentifier() or own != own.lower():
        raise _invalid(called, f"its name {said(own, 40)!a} is ours, or no word in lower case")
    ours = Simple(backend) if isinstance(backend, SimpleBackend) else backend
    return Guarded(Foreign(ours, own))


def settings_name(name: str, written: Sequence[str]) -> str:
    """Return how ``search_backends`` has the backend *name*: that of a file by its path."""
    for each in written:
        if each.endswith(".py") and each != name and other_backend(each).name == name:
            return each
    return name


def _of_package(name: str) -> SearchBackend | SimpleBackend:
    for point in entry_points(group=GROUP, name=name):
        found: SearchBackend | SimpleBackend = point.load()()
        return found
    raise _invalid(name, f"no installed package has an entry point of that name in {GROUP}")


def _of_file(path: Path) -> SearchBackend | SimpleBackend:
    if not path.expanduser().is_file():
        raise _invalid(str(path), "there is no such file")
    found: SearchBackend | SimpleBackend = made_by(path, FACTORY, "backend")
    return found


def _checked(offer: object, backend: str) -> Candidate:
    """Return *offer* if it is one; what it says of a hash and an address is looked at.

    Raises:
        WrongAnswer: it is none.
    """
    if not isinstance(offer, Candidate) or not _is_sound(offer):
        raise WrongAnswer(
            f"The backend {backend} offers something that is no candidate: {said(offer)}.",
            remedy="It is somebody else's: tell them, or take it out of search_backends.",
        )
    # Whatever it was graded: without a hash nothing is proven.
    return offer if offer.sha256 is not None else replace(offer, grade=Grade.E)


def _is_sound(offer: Candidate) -> bool:
    if offer.sha256 is not None and sha256_or_none(offer.sha256) != offer.sha256:
        return False
    if offer.url.partition("://")[0] not in {"http", "https"}:
        return True  # some handler's own
    try:
        return offer.url == canonical(offer.url)
    except UrlRefused:
        return False


def _invalid(name: str, why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"search_backends: {name} cannot be used: {why}.",
        remedy="Correct it, or take it out of search_backends.",
    )
