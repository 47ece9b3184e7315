"""``export script``: what is missing, as a list of errands for somebody else's downloader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from comfywatchman.daemon.parts import OFFICIAL, endpoints_for, hub_of
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.place import plan
from comfywatchman.report.scripts import Errand, Errands

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.domain.references import Analysis, Finding
    from comfywatchman.report.scripts.errand import Variable

_VARIABLES: dict[str, Variable] = {"huggingface": "HF_TOKEN", "civitai": "CIVITAI_API_KEY"}


def errands(settings: Settings, place: Place, analyses: Sequence[Analysis]) -> Errands:
    """Return what is to be fetched of what *analyses*, with their offers, lack."""
    each: dict[tuple[str, str], Errand] = {}
    left: dict[str, None] = {}
    for analysis in analyses:
        if analysis.content.trouble is not None:
            left[f"{analysis.path}: {analysis.content.trouble.cause}"] = None
        for finding in _lacking(analysis):
            reference = finding.reference
            key = (reference.folder or "?", reference.name)
            if key in each:
                continue
            made = _errand(settings, place, finding)
            if isinstance(made, Errand):
                each[key] = made
            else:
                left[f"{key[0]}/{key[1]}: {made}"] = None
    return Errands(place.layout.folders.models_root, tuple(each.values()), tuple(left))


def _lacking(analysis: Analysis) -> Iterator[Finding]:
    return (finding for finding in analysis.findings if finding.lacking)


def _errand(settings: Settings, place: Place, finding: Finding) -> Errand | str:
    """Return what a script can do about it, or why it can do nothing."""
    reference, offers = finding.reference, finding.candidates
    if finding.trouble is not None:
        return finding.trouble.cause
    if not offers or reference.folder is None:
        return f"it is {finding.state.value}"
    first = offers[0]
    try:
        proof = f"script {first.sha256 or first.url}"
        target = plan(place.layout.folders, reference.folder, reference.name, fingerprint=proof)
    except WatchmanError as error:
        return error.cause
    endpoints = endpoints_for(settings)
    urls = tuple(dict.fromkeys(endpoints.ask_at(offer.url) for offer in offers))
    return Errand(
        reference.folder,
        reference.name,
        urls,
        target.final,
        target.part,
        first.sha256,
        first.size,
        _variable(settings, urls[0]),
        first.needs,
    )


def _variable(settings: Settings, url: str) -> Variable | None:
    """Return which token its host takes: an official host's, or that of a hub of one's own."""
    hub = OFFICIAL.get(urlsplit(url).hostname or "") or hub_of(settings, url)
    return _VARIABLES.get(hub or "")
