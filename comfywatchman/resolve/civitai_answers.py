"""What Civitai answers, read into values; every answer is checked for being about the question.

The site has been seen to answer about something else than was asked: a parameter that it does not
know is ignored, and then the head of a whole feed comes back. So each lookup compares the
identifier in the answer with the one in the question.

Source: the answers of ``/api/v1`` as Civitai's server (2026-08) and its documents have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal, cast, get_args

import msgspec
from msgspec import Meta, field

from comfywatchman.domain.errors import WrongAnswer
from comfywatchman.resolve.asking import Answer, said
from comfywatchman.resolve.civitai_places import COM
from comfywatchman.resolve.reading import Json, converted, each, read_json

HOST = "Civitai"

EndpointType = Literal["models", "model-versions", "by-hash", "images"]

_Id = Annotated[int, Meta(ge=1, le=2**53)]
_Text = Annotated[str, Meta(max_length=10_000)]
_Short = Annotated[str, Meta(max_length=1_000)]

_REMEDY = "Nothing of the answer is used and it is not asked again; look at the page in a browser."


class FileMetadata(msgspec.Struct, frozen=True):
    format: _Short | None = None
    size: _Short | None = None
    fp: _Short | None = None
    quant_type: object = field(name="quantType", default=None)
    """In lists only, as a text; the answer about one version leaves it out."""


class CivitaiFile(msgspec.Struct, frozen=True):
    """One file of a version."""

    id: _Id
    name: _Short
    type: _Short = "Model"
    size_kb: float | None = field(name="sizeKB", default=None)
    """KiB, rounded in places."""
    primary: bool | None = None
    metadata: FileMetadata | None = None
    pickle_scan: _Short | None = field(name="pickleScanResult", default=None)
    virus_scan: _Short | None = field(name="virusScanResult", default=None)
    hashes: dict[str, str | None] | None = None

    @property
    def digests(self) -> dict[str, str]:
        """The published hashes by their kind, in lower case."""
        found = self.hashes or {}
        return {kind: digits.strip().lower() for kind, digits in found.items() if digits}

    @property
    def format(self) -> str | None:
        return self.metadata.format if self.metadata else None

    def chosen_by(self, key: str) -> str | None:
        """Return the property that a parameter of a download address chooses by."""
        if key == "type":
            return self.type
        if key == "quantType":
            quant = self.metadata.quant_type if self.metadata else None
            return quant if isinstance(quant, str) else None
        return getattr(self.metadata, key, None) if self.metadata else None


@dataclass(frozen=True, slots=True)
class CivitaiVersion:
    """One version of a model with its files."""

    id: int
    model_id: int | None
    name: str
    model_name: str
    model_type: str
    base_model: str | None
    mode: str | None
    """``Archived`` or ``TakenDown``, of the model."""
    availability: str | None
    usage_control: str | None
    early_access_until: str | None
    """As the site writes it, empty where it does not say how long; ``None`` where it is over."""
    paid_for_ever: bool
    files: tuple[CivitaiFile, ...]
    unreadable: int = 0
    """Files whose record could not be read."""
    front: str = COM
    """The site that answered."""
    told_by: str | None = None
    """The host that was asked instead of that site, where one was."""


@dataclass(frozen=True, slots=True)
class CivitaiModel:
    """A model with its published versions, newest first."""

    id: int
    name: str
    type: str
    mode: str | None
    versions: tuple[CivitaiVersion, ...]
    unreadable: int = 0
    cut: bool = False
    """It has more versions than the answer that we read."""

    @property
    def whole(self) -> bool:
        return not self.cut and not self.unreadable and not any(v.unreadable for v in self.versions)


@dataclass(frozen=True, slots=True)
class CivitaiPage:
    """One page of a search."""

    models: tuple[CivitaiModel, ...]
    next_cursor: str | None
    unreadable: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class CivitaiImage:
    """A picture and what it was made with."""

    id: int
    url: str
    versions: tuple[int, ...]
    """Model versions that it names."""
    resources: tuple[tuple[str, str, str], ...] = ()
    """(type, name, short hash) of models that its text names."""


# -- checking


def validate_civitai_response(
    data: object, requested_id: int | str, endpoint_type: EndpointType
) -> Mapping[str, object]:
    """Return the one record in the answer *data* that *requested_id* asked for.

    *data* is decoded JSON; the id is a number, or the hash for ``by-hash``.

    Raises:
        WrongAnswer: the answer is empty, about something else, or no record at all. It names
            both identifiers and is not worth asking again.
    """
    if endpoint_type not in get_args(EndpointType):
        raise ValueError(f"{endpoint_type!r} is no lookup")
    record = _first_item(data, requested_id) if endpoint_type == "images" else data
    if not isinstance(record, Mapping) or not record:
        raise _mismatch(endpoint_type, requested_id, None)
    if endpoint_type == "by-hash":
        found = _hashes_in(record)
        if str(requested_id).lower() not in found:
            raise _mismatch(endpoint_type, requested_id, ", ".join(found)[:200] or None)
    else:
        returned = record.get("id")
        if isinstance(returned, bool) or returned != _number(requested_id):
            raise _mismatch(endpoint_type, requested_id, returned)
    return cast("Mapping[str, object]", record)


def _first_item(data: object, requested_id: int | str) -> object:
    items = data.get("items") if isinstance(data, Mapping) else None
    if not isinstance(items, Sequence) or not items:
        raise _mismatch("images", requested_id, None)
    return items[0]


def _hashes_in(record: Mapping[str, object]) -> list[str]:
    files, _ = each(record.get("files"), CivitaiFile)
    return [digits for file in files for digits in file.digests.values()]


def _number(requested: int | str) -> int | None:
    text = str(requested)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else None


_WORDS: Mapping[str, str] = {
    "models": "model",
    "model-versions": "model version",
    "by-hash": "the file with the hash",
    "images": "image",
}


def _mismatch(endpoint_type: str, requested: int | str, returned: object) -> WrongAnswer:
    what = _WORDS[endpoint_type]
    shown = None if returned is None else said(returned, 80)
    answered = f"answered with {shown}" if shown else "answered with nothing"
    if isinstance(returned, str) and shown == str(requested):
        answered += " as text"
    return WrongAnswer(
        f"{HOST} was asked for {what} {said(requested, 80)} and {answered}.",
        remedy=_REMEDY,
        requested=requested,
        returned=returned if isinstance(returned, int) else shown,
    )


# -- reading


class _Parent(msgspec.Struct, frozen=True):
    name: _Text = ""
    type: _Short = ""
    mode: _Short | None = None


class _Paid(msgspec.Struct, frozen=True, rename="camel"):
    permanent: bool | None = None
    ends_at: _Short | None = None


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    id: _Id
    model_id: _Id | None = None
    name: _Text = ""
    base_model: _Short | None = None
    availability: _Short | None = None
    usage_control: _Short | None = None
    early_access_ends_at: _Short | None = None
    paid_access: _Paid | None = None
    files: list[object] | None = None
    model: _Parent | None = None


class _Model(msgspec.Struct, frozen=True, rename="camel"):
    id: _Id
    name: _Text = ""
    type: _Short = ""
    mode: _Short | None = None
    model_versions: list[object] | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    next_cursor: str | int | None = None


class _List(msgspec.Struct, frozen=True):
    items: list[object]
    metadata: _Metadata | None = None


class _Image(msgspec.Struct, frozen=True, rename="camel"):
    id: _Id
    url: _Text = ""
    model_version_ids: list[_Id] | None = None
    meta: dict[str, object] | None = None


class _Resource(msgspec.Struct, frozen=True):
    type: _Short | None = None
    name: _Text | None = None
    hash: _Short | None = None


def read_version(answer: Answer, requested: int | str, *, by_hash: bool = False) -> CivitaiVersion:
    """Read the answer to a lookup of a version by its id or by a hash.

    Raises:
        WrongAnswer: it is about another one, or cannot be read.
    """
    json = _whole(answer, "a version")
    kind: EndpointType = "by-hash" if by_hash else "model-versions"
    record = validate_civitai_response(json.data, requested, kind)
    version = converted(record, _Version, HOST, "a version")
    return _version(version, version.model or _Parent(), _date(answer))


def read_model(answer: Answer, requested: int) -> CivitaiModel:
    """Read the answer to a lookup of a model.

    Raises:
        WrongAnswer: it is about another one, or cannot be read.
    """
    json = read_json(answer, HOST)
    record = validate_civitai_response(json.data, requested, "models")
    model = _model(converted(record, _Model, HOST, "a model"), _date(answer))
    return replace(model, cut=json.cut)


def read_models(answer: Answer) -> CivitaiPage:
    """Read a page of a search; one model that cannot be read costs only itself.

    Raises:
        WrongAnswer: it is no page of models.
    """
    json = read_json(answer, HOST)
    page = converted(json.data, _List, HOST, "a search")
    records, unreadable = each(page.items, _Model)
    now = _date(answer)
    models = [_model(record, now) for record in records]
    if json.cut and models:
        models[-1] = replace(models[-1], cut=True)
    cursor = page.metadata.next_cursor if page.metadata else None
    return CivitaiPage(tuple(models), None if cursor is None else str(cursor), unreadable, json.cut)


def read_image(answer: Answer, requested: int) -> CivitaiImage:
    """Read the answer to a lookup of an image.

    Raises:
        WrongAnswer: it is empty, about another one, or cannot be read.
    """
    json = _whole(answer, "an image")
    record = validate_civitai_response(json.data, requested, "images")
    image = converted(record, _Image, HOST, "an image")
    meta = image.meta or {}
    inner = meta.get("meta")
    if isinstance(inner, dict):  # with some parameters it is wrapped once more
        meta = inner
    versions = list(image.model_version_ids or [])
    civitai, _ = each(meta.get("civitaiResources"), dict)
    for row in civitai:
        number = row.get("modelVersionId")
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            versions.append(number)
    named, _ = each(meta.get("resources"), _Resource)
    resources = tuple((row.type or "", row.name or "", row.hash or "") for row in named)
    return CivitaiImage(image.id, image.url, tuple(dict.fromkeys(versions)), resources)


def _whole(answer: Answer, what: str) -> Json:
    json = read_json(answer, HOST)
    if json.cut:
        raise WrongAnswer(
            f"{HOST} answered about {what} with more than {len(answer.body)} bytes.",
            remedy=_REMEDY,
        )
    return json


def _model(record: _Model, now: datetime | None) -> CivitaiModel:
    parent = _Parent(record.name, record.type, record.mode)
    versions, unreadable = each(record.model_versions, _Version)
    read = tuple(replace(_version(row, parent, now), model_id=record.id) for row in versions)
    return CivitaiModel(record.id, record.name, record.type, record.mode, read, unreadable)


def _version(record: _Version, parent: _Parent, now: datetime | None) -> CivitaiVersion:
    files, unreadable = each(record.files, CivitaiFile)
    return CivitaiVersion(
        id=record.id,
        model_id=record.model_id,
        name=record.name,
        model_name=parent.name,
        model_type=parent.type,
        base_model=record.base_model,
        mode=parent.mode,
        availability=record.availability,
        usage_control=record.usage_control,
        early_access_until=_closed_until(record, now),
        paid_for_ever=record.paid_access is not None and record.paid_access.permanent is True,
        files=tuple(files),
        unreadable=unreadable,
    )


def _closed_until(record: _Version, now: datetime | None) -> str | None:
    paid = record.paid_access or _Paid()
    until = record.early_access_ends_at or paid.ends_at
    if not until:
        return "" if record.availability == "EarlyAccess" else None
    try:
        ends = datetime.fromisoformat(until)
    except ValueError:
        return said(until, 40)
    ends = ends if ends.tzinfo is not None else ends.replace(tzinfo=UTC)
    return None if now is not None and ends <= now else ends.date().isoformat()


def _date(answer: Answer) -> datetime | None:
    """Return the time of the site, since ours may be wrong."""
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
