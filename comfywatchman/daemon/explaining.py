"""``explain`` and ``search``: every step that was tried for a file, and what a person can do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from comfywatchman.daemon.lookup import Lookup, lookup
from comfywatchman.daemon.parts import mirror_of, token_hosts
from comfywatchman.daemon.survey import gathered, survey, told_by_all
from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import LoginNeeded, Trouble, WatchmanError
from comfywatchman.domain.files import MODEL_SUFFIXES, ShortHash
from comfywatchman.domain.references import Hint
from comfywatchman.pipeline.resolving import still_serves
from comfywatchman.pipeline.views import with_answers
from comfywatchman.report.redaction import redacted
from comfywatchman.report.render import CandidateRow, ReferenceRow, candidate_row, workflow_row
from comfywatchman.report.render.words import next_step
from comfywatchman.report.visible import encodable
from comfywatchman.resolve.browsing import BROWSED, browsed
from comfywatchman.resolve.civitai_places import CivitaiPlace
from comfywatchman.resolve.hashes import hash_of
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.urls import filename_of, host_of
from comfywatchman.state import choices, store

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.domain.messages import SearchAsked
    from comfywatchman.domain.references import Analysis, Finding
    from comfywatchman.pipeline.questions import Question
    from comfywatchman.resolve.backend import SearchBackend

_MOST_QUESTIONS = 12
"""Named for one backend; a list of pages is cut."""


class QuestionRow(Struct, frozen=True, kw_only=True):
    """One question to a server."""

    method: str
    url: str
    how: str
    """asked, known (answered before), failed, or not-asked (offline, or left alone for now)."""
    status: int | None = None


class StepRow(Struct, frozen=True, kw_only=True):
    """One place where a file was looked for."""

    where: str
    """``disk``, ``daemon``, ``choice`` (what a person chose), or the name of a backend."""
    result: str
    detail: str
    error: Trouble | None = None
    questions: tuple[QuestionRow, ...] = ()


class ExplainedRow(Struct, frozen=True, kw_only=True):
    """One reference: who wants it, what was tried, and what to do next."""

    reference: ReferenceRow
    workflow: str
    steps: tuple[StepRow, ...]
    candidates: tuple[CandidateRow, ...]
    chosen: str | None
    """The address that is fetched from unattended."""
    error: Trouble | None
    """Why none is."""
    next: str


class Explanation(Struct, frozen=True, kw_only=True):
    references: tuple[ExplainedRow, ...]
    errors: tuple[Trouble, ...] = ()
    """Why a file could not be read."""


class Found(Struct, frozen=True, kw_only=True):
    """What `search` came to."""

    query: str
    candidates: tuple[CandidateRow, ...]
    steps: tuple[StepRow, ...]
    errors: tuple[Trouble, ...]


@dataclass(slots=True)
class _Trace:
    """The questions since they were last taken away, and the steps that they belong to."""

    questions: list[Question] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)

    def asked(self, event: SearchAsked) -> None:
        row = StepRow(
            where=event.backend,
            result=event.result,
            detail=_RESULTS.get(event.result, event.result),
            error=_told(event.trouble),
            questions=tuple(
                QuestionRow(
                    method=q.method, url=redacted(encodable(q.url)), how=q.how, status=q.status
                )
                for q in self.questions[:_MOST_QUESTIONS]
            ),
        )
        self.questions.clear()
        self.steps.append(row)

    def taken(self) -> list[StepRow]:
        steps, self.steps = self.steps, []
        return steps


def _told(trouble: Trouble | None) -> Trouble | None:
    """Return *trouble* as it may be shown."""
    if trouble is None:
        return None
    cause, remedy = (redacted(encodable(text)) for text in (trouble.cause, trouble.remedy))
    return Trouble(trouble.code, cause, remedy)


_RESULTS = {
    "answered": "It offers something.",
    "empty": "It has nothing.",
    "unavailable": "It could not be asked.",
    "mismatch": "It answered about something else; nothing of that answer is used.",
}


def explain(settings: Settings, path: str, reference: str | None) -> Explanation:
    """Look for each reference of the workflows at *path*, and tell every step.

    Raises:
        ComfyUINotFound, SettingsInvalid
    """
    place, analyses = survey(settings, [path])
    trace = _Trace()
    rows: list[ExplainedRow] = []
    with lookup(settings, os.environ, trace.questions.append) as looking:
        for analysis in analyses:
            stored = _stored(settings, analysis)
            wanted = told_by_all(settings, analysis, gathered([analysis]))
            answers, questions = _answers(settings, wanted), _questions(settings)
            for finding, told in zip(analysis.findings, stored.findings, strict=True):
                if reference is None or _is_meant(finding, reference):
                    explained = _Explained(
                        looking, trace, analysis, place, told, answers, questions
                    )
                    key = (finding.reference.folder or "", finding.reference.name)
                    want = wanted.get(key) if finding in analysis.fetchable else None
                    rows.append(explained.row(finding, want))
    unread = (analysis.content.trouble for analysis in analyses)
    errors = tuple(trouble for trouble in unread if trouble is not None)
    return Explanation(references=tuple(rows), errors=errors)


def _stored(settings: Settings, analysis: Analysis) -> Analysis:
    """Return the analysis with what the daemon came to, where there is a state."""
    reader = store.open_reader(settings.state.directory)
    if reader is None:
        return analysis
    try:
        return reader.read(lambda c: with_answers(c, analysis))
    finally:
        reader.close()


def _answers(
    settings: Settings, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Candidate]:
    """Return what a person chose before, where there is a state."""
    reader = store.open_reader(settings.state.directory)
    if reader is None:
        return {}
    try:
        found = {
            key: reader.read(partial(choices.answer, folder=key[0], name=key[1])) for key in keys
        }
    finally:
        reader.close()
    return {key: answer for key, answer in found.items() if answer is not None}


def _questions(settings: Settings) -> dict[tuple[str, str], tuple[Candidate, ...]]:
    """Return the candidates of the questions that wait for a person, as they are numbered."""
    reader = store.open_reader(settings.state.directory)
    if reader is None:
        return {}
    try:
        asked = reader.read(choices.open_choices)
    finally:
        reader.close()
    return {(each.folder, each.name): each.candidates for each in asked}


def _as_asked(offers: Sequence[Candidate], asked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return *offers* in the order in which `choose` numbers them; what is new comes last."""
    now = {offer.url: offer for offer in offers}
    first = [
        replace(now.get(each.url, each), trouble=each.trouble or now.get(each.url, each).trouble)
        for each in asked
    ]
    known = {each.url for each in first}
    return (*first, *(offer for offer in offers if offer.url not in known))


def _is_meant(finding: Finding, text: str) -> bool:
    reference = finding.reference
    names = {reference.name, reference.name.rpartition("/")[2]}
    return text in names | {f"{reference.folder}/{name}" for name in names}


@dataclass(frozen=True, slots=True)
class _Explained:
    looking: Lookup
    trace: _Trace
    analysis: Analysis
    place: Place
    told: Finding
    """With what the daemon came to."""
    answers: Mapping[tuple[str, str], Candidate]
    """What a person chose, by folder and name."""
    questions: Mapping[tuple[str, str], tuple[Candidate, ...]]
    """What waits for a person's choice."""

    def row(self, finding: Finding, wanted: Wanted | None) -> ExplainedRow:
        steps = [self._disk(finding), *self._daemon()]
        offers: tuple[Candidate, ...] = ()
        chosen, why = None, finding.trouble
        if wanted is not None:
            answer = self.looking.offers(wanted, self.trace.asked)
            resolution = self.looking.chosen(wanted, answer)
            offers, why = resolution.candidates, resolution.why
            chosen = resolution.chosen[0].url if resolution.chosen else None
            asked_about = self.questions.get((wanted.folder, wanted.name))
            if chosen is None and asked_about is not None:
                offers = _as_asked(offers, asked_about)
            answer_before = self.answers.get((wanted.folder, wanted.name))
            if answer_before is not None and still_serves(answer_before, wanted):
                chosen, why = answer_before.url, None
                offers = resolution.candidates or (answer_before,)
                steps.append(_answered_before(answer_before))
            asked = self.trace.taken()
            steps += asked
            steps += _left_out(self.looking.backends, {step.where for step in asked})
        at = self.analysis.findings.index(finding)
        best = tuple(offer for offer in offers if chosen in {None, offer.url})
        hint = self.told.hint if _was_removed(self.told) else finding.hint
        shown = replace(finding, candidates=best, trouble=why, hint=hint)
        findings = (*self.analysis.findings[:at], shown, *self.analysis.findings[at + 1 :])
        workflow = workflow_row(replace(self.analysis, findings=findings), True)
        reference = workflow.references[at]
        return ExplainedRow(
            reference=reference,
            workflow=workflow.path,
            steps=tuple(steps),
            candidates=tuple(candidate_row(offer) for offer in offers),
            chosen=chosen,
            error=_told(why),
            next=self._next(reference, why, offers, chosen, next_step(reference, workflow)),
        )

    def _next(
        self,
        row: ReferenceRow,
        why: Trouble | None,
        offers: Sequence[Candidate],
        chosen: str | None,
        otherwise: str,
    ) -> str:
        """Say what a person can do, with the link that it takes."""
        if not row.lacking:
            return "Nothing to do."
        before = self.told.trouble
        if chosen is not None and before is not None and before.code == LoginNeeded.code:
            return f"{redacted(encodable(before.remedy))} Then: {otherwise}"  # it was tried
        if chosen is not None or why is None:
            return " ".join((otherwise, *self._key_missing(chosen)))
        link = next((o.page or o.url for o in offers if o.needs or o.trouble), None)
        if link is None and offers:
            link = offers[0].page or offers[0].url
        told = why.remedy
        if link is not None and link not in told and "http" not in told:
            told = f"{told} The page: {link}"
        return " ".join((told, *self._mirror_without_token(offers)))

    def _key_missing(self, chosen: str | None) -> Iterator[str]:
        on_civitai = chosen is not None and CivitaiPlace.from_url(chosen) is not None
        if on_civitai and host_of(chosen or "") not in token_hosts(self.looking.settings):
            yield (
                "Civitai wants a key for nearly every download: make one at "
                "https://civitai.com/user/account and set CIVITAI_API_KEY."
            )

    def _mirror_without_token(self, offers: Sequence[Candidate]) -> Iterator[str]:
        for host in dict.fromkeys(host_of(o.url) for o in offers if o.needs is not None):
            mirror = mirror_of(self.looking.settings, host)
            if mirror is not None:
                yield f"{mirror} is asked instead of {host}, and is not shown your token."

    def _disk(self, finding: Finding) -> StepRow:
        reference = finding.reference
        folders = self.place.layout.folders
        folder = reference.folder
        where = folders.folder(folder).roots if folder is not None else ()
        looked = ", ".join(str(root) for root in where) or "nowhere: its folder is not known"
        here = f"; it is at {finding.path}" if finding.path is not None else ""
        detail = f"Looked in {looked}{here}."
        return StepRow(where="disk", result=finding.state.value, detail=detail)

    def _daemon(self) -> Iterator[StepRow]:
        if self.told.trouble is not None and self.told.lacking:
            detail = self.told.trouble.cause
            yield StepRow(where="daemon", result="told", detail=detail, error=self.told.trouble)
        elif self.told.hint is not None and _was_removed(self.told):
            yield StepRow(where="daemon", result="told", detail=self.told.hint.cause)


def _was_removed(finding: Finding) -> bool:
    return finding.hint is not None and finding.hint.code == Hint.TAKEN_AWAY


def _left_out(backends: Sequence[SearchBackend], asked: set[str]) -> Iterator[StepRow]:
    for backend in backends:
        if backend.name not in asked:
            detail = "Left out: what is known is proven better than a search could."
            yield StepRow(where=backend.name, result="left-out", detail=detail)


def _answered_before(answer: Candidate) -> StepRow:
    detail = f"You chose {redacted(encodable(answer.url))}; that is fetched when it is wanted."
    return StepRow(where="choice", result="answered", detail=detail)


# -- search


def search(settings: Settings, query: str, folder: str | None) -> Found:
    """Look for *query*: a file name, words, an address, ``urn:air:…``, or a hash.

    Raises:
        SettingsInvalid: a catalog or a backend of the settings cannot be used.
    """
    trace = _Trace()
    with lookup(settings, os.environ, trace.questions.append) as looking:
        wanted = wanted_of(query, folder or "")
        if wanted is not None:
            offers = looking.offers(wanted, trace.asked)
        else:
            offers = _browsed(looking, query.strip(), folder or "")
    return Found(
        query=query,
        candidates=tuple(candidate_row(offer) for offer in sorted(offers, key=lambda o: o.grade)),
        steps=tuple(trace.taken()),
        errors=tuple(filter(None, map(_told, offers.troubles))),
    )


def _browsed(looking: Lookup, words: str, folder: str) -> Offers:
    hubs = [name for name in BROWSED if name in looking.settings.search_backends]
    try:
        return browsed(words, folder, looking.ask, looking.endpoints, hubs)
    except WatchmanError as error:
        return Offers().with_error(error)


def wanted_of(query: str, folder: str) -> Wanted | None:
    """Return what *query* asks for; ``None`` for words that are no name of a file.

    Raises:
        UrlRefused: an address that cannot be read.
    """
    text = query.strip()
    if text.lower().startswith(("http://", "https://", "hf://", "urn:air:")):
        return Wanted(folder, filename_of(text) or text, urls=(text,), by_person=True)
    found = _hash(text)
    if found is not None and found.kind == "SHA256":
        return Wanted(folder, text, sha256=(found.digits,), by_person=True)
    if found is not None:
        return Wanted(folder, text, short_hashes=(found,), by_person=True)
    suffix = os.path.splitext(text)[1].lower()  # noqa: PTH122 - a name and no path
    return Wanted(folder, text) if suffix in MODEL_SUFFIXES else None


def _hash(text: str) -> ShortHash | None:
    try:
        found = hash_of(text)
    except WatchmanError:
        return None
    # Eight and ten letters may be a word; a hash has a digit in it, nearly always.
    return found if any(char.isdigit() for char in text) else None
