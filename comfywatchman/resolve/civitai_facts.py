"""What Civitai publishes about a file, and what stands between it and us."""

from __future__ import annotations

from dataclasses import replace

from comfywatchman.domain.errors import (
    LoginNeeded,
    NotGivenOut,
    SourceMissing,
    Trouble,
    UnsafeFile,
    WrongAnswer,
)
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.asking import said
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_answers import HOST, CivitaiFile, CivitaiModel, CivitaiVersion
from comfywatchman.resolve.civitai_places import CivitaiPlace, download_url, page_url
from comfywatchman.resolve.kinds import of_civitai
from comfywatchman.resolve.published import Published


class CivitaiPublisher:
    """Says what the addresses of the site stand for: a file, or the files of a version or a model.

    Without a file's id the site chooses by the preferences of the account, so that two people get
    different files from one address. Every file gets its own address here.
    """

    def __init__(self, civitai: Civitai) -> None:
        self._civitai = civitai

    def published(self, url: str) -> Published:
        """See `Publisher.published`."""
        place = CivitaiPlace.from_url(url)
        if place is None:
            raise WrongAnswer(
                f"{url} is a page of {HOST} and names no model.",
                remedy="Give the address of the model's page, or of the download.",
            )
        if place.version is not None:
            version = self._version(place, place.version)
            return _together(_of_version(version, place), place)
        assert place.model is not None  # noqa: S101 - a place has one of the two
        return _together(_of_model(self._civitai.model(place.model, place.front)), place)

    def _version(self, place: CivitaiPlace, version_id: int) -> CivitaiVersion:
        try:
            version = self._civitai.version(version_id, place.front)
        except SourceMissing as missing:
            if place.model is None:
                raise
            raise self._why_missing(place.model, version_id, place.front, missing) from None
        if place.model is not None and version.model_id not in {None, place.model}:
            raise WrongAnswer(
                f"The address names model {place.model}, and its version {version_id} is of model "
                f"{version.model_id}.",
                remedy="Open both pages and correct the address.",
                requested=place.model,
                returned=version.model_id,
            )
        return version

    def _why_missing(
        self, model_id: int, version_id: int, front: str, missing: SourceMissing
    ) -> SourceMissing:
        """Tell a version that was withdrawn from a model that is gone."""
        try:
            model = self._civitai.model(model_id, front)
        except SourceMissing:
            return missing
        page = page_url(front, model_id, None)
        return SourceMissing(
            f"{HOST} has the model {said(model.name, 80)}, but no published version {version_id}.",
            remedy=f"Its creator has withdrawn it; look at {page} for another version.",
        )


def _of_version(version: CivitaiVersion, place: CivitaiPlace) -> list[Published]:
    if place.file is not None:
        files = [file for file in version.files if file.id == place.file]
        if version.files and not files:
            raise SourceMissing(
                f"{HOST} has no file {place.file} in version {version.id}.",
                remedy=f"Look at {page_url(version.front, version.model_id, version.id)}.",
            )
    else:
        files = _chosen(version, place)
    unseen = None
    if version.unreadable and place.file is None:
        unseen = "Not all files of this version could be read: another may have the same filename."
    found = [replace(published_of(version, file), unseen=unseen) for file in files]
    return found or [without_files(version)]


def _chosen(version: CivitaiVersion, place: CivitaiPlace) -> list[CivitaiFile]:
    """Return the files that the address can mean, by the properties it asks for."""
    files = list(version.files)
    for key, value in place.choice:
        wanted = value.lower()
        kept = [file for file in files if (file.chosen_by(key) or "").lower() == wanted]
        files = kept or files
    return files


def _of_model(model: CivitaiModel) -> list[Published]:
    """Return the files of every version, newest first."""
    unseen = not_whole(model)
    files: list[Published] = []
    for version in model.versions:
        found = [published_of(version, file) for file in version.files]
        files += found or [without_files(version)]
    if not files:
        raise SourceMissing(
            f"{HOST} has the model {said(model.name, 80)}, and no published version of it.",
            remedy="Its creator has withdrawn it; look for another source.",
        )
    return files if unseen is None else [replace(facts, unseen=unseen) for facts in files]


def not_whole(model: CivitaiModel) -> str | None:
    """Say that a file of the same name may be in what was not read of a model, if so."""
    if model.whole:
        return None
    return "Not all of its versions could be read: another may have the same filename."


def _together(files: list[Published], place: CivitaiPlace) -> Published:
    first, *others = files
    exact = place.version is not None
    return _with(first, exact, tuple(_with(other, exact) for other in others))


def _with(facts: Published, exact: bool, others: tuple[Published, ...] = ()) -> Published:
    return replace(facts, exact=exact, others=others)


def published_of(version: CivitaiVersion, file: CivitaiFile) -> Published:
    """Return what is published about one file of a version."""
    needs, trouble = obstacle(version, file)
    digests = file.digests
    return Published(
        url=download_url(version.front, version.id, file.id),
        filename=file.name,
        sha256=sha256_or_none(digests.pop("SHA256", None)),
        needs=needs,
        page=page_url(version.front, version.model_id, version.id),
        trouble=trouble,
        size_about=_bytes(file.size_kb),
        digests={kind: text for kind, text in digests.items() if kind != "AutoV2"},
        belongs=of_civitai(version.model_type, file.type, file.format),
        notes=tuple(_notes(version, file)),
        told_by=version.told_by,
    )


def without_files(version: CivitaiVersion) -> Published:
    """Return what is left to say about a version whose files the site does not list."""
    needs, trouble = obstacle(version, None)
    return Published(
        url=download_url(version.front, version.id, None),
        filename="",
        needs=needs,
        page=page_url(version.front, version.model_id, version.id),
        trouble=trouble
        or NotGivenOut(
            f"{HOST} lists no file of {_title(version)}.",
            remedy=f"Look at {page_url(version.front, version.model_id, version.id)}.",
        ).trouble(),
        notes=(f"It is {_title(version)}.",),
    )


def obstacle(
    version: CivitaiVersion, file: CivitaiFile | None
) -> tuple[str | None, Trouble | None]:
    """Return what is needed to get the file, and why; the worst reason where there are several."""
    page = page_url(version.front, version.model_id, version.id)
    if file is not None and "Danger" in {file.pickle_scan, file.virus_scan}:
        return None, UnsafeFile(
            f"{HOST}'s own scan found harmful code in {said(file.name)}.",
            remedy="Look for a version in safetensors; who is sure all the same can choose it.",
        ).trouble()
    why = _withdrawn(version)
    if why is not None:
        return None, NotGivenOut(
            f"{HOST} does not give out {_title(version)}: {why}.",
            remedy=f"Look for the same file elsewhere; its page is {page}.",
        ).trouble()
    if version.paid_for_ever:
        return "payment", LoginNeeded(
            f"{HOST} sells {_title(version)}.", remedy=f"Buy it at {page}, or use another version."
        ).trouble()
    if version.early_access_until is not None:
        until = version.early_access_until
        when = f"until {until}" if until else "for some time"
        return "early-access", LoginNeeded(
            f"{HOST} has {_title(version)} in early access {when}.",
            remedy=f"Buy it at {page}, or wait; who has bought it can choose it.",
        ).trouble()
    return None, None


def _withdrawn(version: CivitaiVersion) -> str | None:
    """Say why nobody gets a version, whatever account they have."""
    if version.mode == "Archived":
        return "the model was archived"
    if version.mode == "TakenDown":
        return "the model was taken down"
    if version.availability == "Private":
        return "it is private"
    usage = version.usage_control
    if usage not in {None, "Download"}:
        return f"its creator has disabled downloads (usage {said(usage, 40)})"
    return None


def _notes(version: CivitaiVersion, file: CivitaiFile) -> list[str]:
    notes = [f"It is {_title(version)}, {said(of_civitai(version.model_type, file.type).why)}."]
    described = _described(file)
    if described:
        notes.append(f"{HOST} says that it is {described}.")
    size = _bytes(file.size_kb)
    if size is not None:
        notes.append(f"{HOST} says that it has about {_rounded(size)}.")
    pending = {"Pending", "Error"} & {file.pickle_scan, file.virus_scan}
    if pending:
        notes.append(f"{HOST} has not finished its scan of it.")
    return notes


def _described(file: CivitaiFile) -> str:
    """Return what tells one file of a version from another of the same name."""
    told = file.metadata
    if told is None:
        return ""
    words = [told.format, told.size, told.fp, told.quant_type]
    return ", ".join(said(word, 40) for word in words if word and isinstance(word, str))


def _rounded(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.{0 if size >= 10 * factor else 1}f} {unit}"
    return f"{size} bytes"


def _title(version: CivitaiVersion) -> str:
    model = said(version.model_name, 80) or f"model {version.model_id}"
    return f"{model}, version {said(version.name, 60) or version.id}"


def _bytes(kibibytes: float | None) -> int | None:
    if kibibytes is None or not 0 < kibibytes < 2**40:
        return None
    return round(kibibytes * 1024)
