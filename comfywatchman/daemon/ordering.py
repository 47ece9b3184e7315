"""``download``: one model that a person names, from its address to the job that brings it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.daemon.explaining import wanted_of
from comfywatchman.daemon.lookup import Lookup, lookup
from comfywatchman.daemon.others import NOBODY, Others
from comfywatchman.daemon.parts import token_hosts
from comfywatchman.domain.candidates import ASKED, Candidate, Grade, Wanted
from comfywatchman.domain.errors import (
    ChoiceNeeded,
    NothingFound,
    SourceMissing,
    Trouble,
    UnknownFolder,
    UnsafeName,
    WatchmanError,
)
from comfywatchman.domain.files import MODEL_SUFFIXES, Folders
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.download.others import named_handlers, other_handlers
from comfywatchman.place import plan
from comfywatchman.resolve.judging import Claim, judged
from comfywatchman.resolve.kinds import Belongs, of_path
from comfywatchman.resolve.published import Published
from comfywatchman.resolve.urls import Endpoints, HubFile, is_huggingface

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for; what is ``None`` follows from what the source says."""

    ref: str
    """An address, ``hf://…``, ``urn:air:…``, a hash, or the name of a file."""
    folder: str | None = None
    name: str | None = None
    sha256: str | None = None
    """64 lowercase hex digits that the bytes must have."""


def planned(settings: Settings, folders: Folders, order: Order) -> FetchModel:
    """Ask the source what the model is, and decide where it goes; nothing is fetched.

    Raises:
        ChoiceNeeded: the address stands for several files.
        UnknownFolder: nobody says which folder of ComfyUI the file is for.
        NothingFound, WatchmanError: the source does not have it, or cannot be asked.
    """
    job, facts = sourced(settings, order)
    job = replace(job, folder=job.folder or _folder(facts, folders))
    plan(folders, job.folder, job.name, fingerprint="")
    return job


def sourced(
    settings: Settings, order: Order, others: Others = NOBODY
) -> tuple[FetchModel, Published | None]:
    """Ask the source what the model is; the folder stays empty where the order names none.

    Raises:
        ChoiceNeeded: the address stands for several files.
        NothingFound, WatchmanError: the source does not have it, or cannot be asked.
    """
    with lookup(settings, os.environ, others=others) as looking:
        first = (*others.handlers, *named_handlers(settings.download.handlers))
        if any(handler.supports_url(order.ref) for handler in first):
            return _of_a_handler(order), None
        job, facts = _planned(looking, order)
    for source in job.sources:
        _check_obstacle(source, token_hosts(settings))
    return job, facts


def _planned(looking: Lookup, order: Order) -> tuple[FetchModel, Published | None]:
    """Return what is to be fetched, its folder empty where the order names none."""
    wanted = wanted_of(order.ref, order.folder or "")
    if _is_of_a_plug_in(order.ref):
        return _of_a_handler(order), None
    if wanted is None:
        raise NothingFound(
            f"{order.ref[:200]!a} is no address, no hash and no name of a model file.",
            remedy="`comfywatchman search` takes words; give the address that it finds.",
        )
    if wanted.urls:
        return _at_address(looking, order, wanted.urls[0])
    if order.sha256 is not None:
        wanted = replace(wanted, sha256=(order.sha256,))
    return _looked_for(looking, order, wanted)


def _of_a_handler(order: Order) -> FetchModel:
    """Return what somebody's handler fetches: nobody can be asked about it."""
    name = _named(order.name)
    source = Candidate(ASKED, order.ref, name, sha256=order.sha256)
    return FetchModel(order.folder or "", name, (source,))


def address_of(endpoints: Endpoints, ref: str) -> str:
    """Return the one form of the address *ref* that is asked and kept.

    Raises:
        UrlRefused: nothing here can fetch from it.
    """
    return ref if _is_of_a_plug_in(ref) else endpoints.canonical(ref)


def _is_of_a_plug_in(ref: str) -> bool:
    """Whether somebody's handler fetches it: a scheme that we know nothing of."""
    known = ref.lower().startswith(("http://", "https://", "hf://", "urn:"))
    return not known and "://" in ref and any(h.supports_url(ref) for h in other_handlers())


def _at_address(looking: Lookup, order: Order, ref: str) -> tuple[FetchModel, Published]:
    url = looking.endpoints.canonical(ref)
    facts = looking.publisher().published(url)
    one = _the_one(order, [facts, *facts.others])
    if one.trouble is not None and not one.filename:
        raise _Refused(one.trouble)
    name = _named(order.name or one.filename)
    hashes = (order.sha256,) if order.sha256 else ()
    wanted = Wanted(order.folder or "", name, urls=(one.url,), sha256=hashes)
    claim = Claim(ASKED, Grade.B, "A person gave this address.")
    return FetchModel(order.folder or "", name, (judged(one, wanted, claim),)), one


def _the_one(order: Order, files: Sequence[Published]) -> Published:
    """Return the file that is meant among those that an address stands for.

    Raises:
        ChoiceNeeded: several may be.
        SourceMissing: none is.
    """
    kept = [one for one in files if one.page == files[0].page]  # of a model, the newest version
    kept = [one for one in kept if _is_model(one)] or kept
    if order.sha256 is not None:
        kept = [one for one in files if one.sha256 in {None, order.sha256}]
        kept = [one for one in kept if one.sha256 is not None] or kept
    if len(kept) > 1 and order.name is not None:
        kept = [one for one in kept if one.filename == order.name] or kept
    if len(kept) > 1 and order.folder is not None:
        kept = [one for one in kept if one.belongs.fits(order.folder) is not False]
    if len(kept) == 1:
        return kept[0]
    if not kept:
        raise _none_of(order, files)
    listed = "; ".join(f"{one.filename} at {one.url}" for one in kept[:_SHOWN])
    or_name = ", or its --name" if len({one.filename for one in kept}) == len(kept) else ""
    raise ChoiceNeeded(
        f"The address stands for {len(kept)} files: {listed}.",
        remedy=f"Give the address of one of them{or_name}.",
    )


def _none_of(order: Order, files: Sequence[Published]) -> SourceMissing:
    """Say what the source has in place of what is asked for."""
    listed = "; ".join(
        f"{one.filename} with SHA-256 {one.sha256 or 'not published'}" for one in files[:_SHOWN]
    )
    wanted = f"SHA-256 {order.sha256}" if order.sha256 else f"a file for {order.folder}"
    return SourceMissing(
        f"{order.ref[:200]!a} does not have {wanted}; it has {listed}.",
        remedy="Compare it with what you expect, or name another source.",
    )


def _is_model(file: Published) -> bool:
    return PurePosixPath(file.filename).suffix.lower() in MODEL_SUFFIXES


def _looked_for(
    looking: Lookup, order: Order, wanted: Wanted
) -> tuple[FetchModel, Published | None]:
    """Find a file by its hash or its name, as for a workflow that asks for it."""
    offers = looking.offers(wanted)
    resolution = looking.chosen(wanted, offers)
    if not resolution.chosen:
        why = resolution.why
        assert why is not None  # noqa: S101 - where nothing is chosen, it says why
        raise _refusal(why, resolution.candidates)
    first = resolution.chosen[0]
    facts = None if order.folder else looking.publisher().published(first.url)
    name = _named(order.name or first.filename)
    return FetchModel(order.folder or "", name, resolution.chosen), facts


def _refusal(why: Trouble, candidates: Sequence[Candidate]) -> WatchmanError:
    if not candidates:
        return NothingFound(why.cause, remedy=why.remedy)
    listed = "; ".join(f"{one.filename} at {one.url}" for one in candidates[:_SHOWN])
    return ChoiceNeeded(
        f"{why.cause} There are: {listed}.", remedy="Give the address of one of them."
    )


def _named(name: str | None) -> str:
    if name:
        return name
    raise UnsafeName(
        "The source does not say how the file is called.", remedy="Say it with --name."
    )


def _folder(facts: Published | None, folders: Folders) -> str:
    """Return the one folder that the source's words are for.

    Raises:
        UnknownFolder: they are for none, or for several.
    """
    said = sorted({*folders.table} & (_belongs(facts).surely if facts is not None else set()))
    if len(said) == 1:
        return said[0]
    raise UnknownFolder(
        "The source does not say which folder of ComfyUI the file is for.",
        remedy="Say it with --folder: checkpoints, loras, vae, diffusion_models, …",
    )


def _belongs(facts: Published) -> Belongs:
    """Return where the file belongs by the source's types, or by its place in a repository."""
    file = HubFile.from_url(facts.url) if is_huggingface(facts.url) else None
    if facts.belongs.surely or file is None:
        return facts.belongs
    return of_path(file.repo, file.path)


def _check_obstacle(source: Candidate, tokens: frozenset[str]) -> None:
    """Refuse what would only fail later: the source says already that it does not give it out.

    Raises:
        NothingFound: with the source's reason.
    """
    trouble = source.trouble
    if trouble is None or (source.needs is not None and source.host in tokens):
        return
    raise _Refused(trouble)


class _Refused(WatchmanError):
    """What the source says, with the code of its reason."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.cause, remedy=trouble.remedy)
        self._trouble = trouble

    def trouble(self) -> Trouble:
        return self._trouble
