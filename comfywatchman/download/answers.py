"""What the head of an answer promises about the bytes that follow, and whether to believe it.

Source: RFC 9110, sections 8.8, 13.1.5 and 14.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import VerificationFailed, WrongAnswer
from comfywatchman.domain.files import Expected, Mark
from comfywatchman.download.refusals import Login, page_instead, refusal
from comfywatchman.net.asking import Reply

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
"""Without the weak ones (W/), which promise no equal bytes."""
_AT_REST = timedelta(seconds=60)
"""A date of the last change this far back is a strong validator: RFC 9110, section 8.8.2.2."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, and what is known of it."""

    source: Candidate
    expected: Expected
    mark: Mark | None
    """What the bytes were fetched under that are there already."""
    login: Login = "without"
    """What became of the token of the host that is asked."""

    @property
    def condition(self) -> str | None:
        """What to send as If-Range: the validator, if it is this source's."""
        if self.mark is None or self.mark.url != self.source.url:
            return None
        return self.mark.validator

    @property
    def may_go_on(self) -> bool:
        """Whether bytes that are there may be gone on with.

        It is so where the validator says that the file is the same, or where the known SHA-256
        will say so in the end.
        """
        return self.condition is not None or self.expected.sha256 is not None


@dataclass(frozen=True, slots=True)
class Opening:
    """What an answer with bytes promises."""

    offset: int
    total: int | None
    validator: str | None
    ranges: bool
    """Whether the server says, or shows, that it gives parts of the file."""


def opening(reply: Reply, have: int, asked: Asked) -> Opening | None:
    """Read the head of the answer; ``None`` means that all must be asked for again.

    Raises:
        WatchmanError: the file is not in it.
    """
    if reply.status == 416 and have:
        return None
    if reply.status not in {200, 206}:
        raise refusal(reply, asked.source, asked.login)
    page = page_instead(reply, asked.source, asked.login)
    if page is not None:
        raise page
    if _is_coded(reply):
        raise WrongAnswer(
            f"{reply.host} sends the file compressed, although it was asked not to.",
            remedy="Look for another source of the file.",
        )
    if reply.status == 206:
        return _partial(reply, have, asked)
    total = _length(reply)
    _check_promise(reply, total, asked)
    ranges = reply.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
    return Opening(0, total, validator(reply), ranges)


def is_all(reply: Reply, have: int, expected: Expected) -> bool:
    """Whether the answer says that there is nothing behind the *have* bytes that are there."""
    if reply.status != 416 or not have:
        return False
    found = _UNSATISFIED.fullmatch(reply.headers.get("Content-Range", "").strip())
    total = int(found[1]) if found else expected.size
    return total == have and expected.size in {None, total} and expected.sha256 is None


def token_is_bad(reply: Reply) -> bool:
    """Whether Hugging Face refuses the token itself, on a file that may need none."""
    said = reply.headers.get("X-Error-Message", "")
    return reply.status == 401 and said.startswith("Invalid credentials")


def etag(reply: Reply) -> str | None:
    """Return the strong ETag, which promises equal bytes, or ``None``."""
    found = reply.headers.get("ETag", "").strip()
    return found if _STRONG_ETAG.fullmatch(found) else None


def validator(reply: Reply) -> str | None:
    """Return what a later request may say with If-Range: an ETag, or else an old enough date."""
    return etag(reply) or _date(reply)


def is_range(reply: Reply, begin: int, end: int, total: int, wanted: str) -> bool:
    """Whether the answer has exactly the bytes from *begin* up to *end* of the *wanted* ETag."""
    found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    if reply.status != 206 or found is None or etag(reply) != wanted:
        return False
    if _is_coded(reply):
        return False
    return (found[1], found[2], found[3]) == (str(begin), str(end - 1), str(total))


def _date(reply: Reply) -> str | None:
    text = reply.headers.get("Last-Modified", "").strip()
    try:
        changed = parsedate_to_datetime(text)
        told = parsedate_to_datetime(reply.headers.get("Date", ""))
        return text if told - changed >= _AT_REST else None
    except (ValueError, TypeError):  # no date, or one without a zone beside one with
        return None


def _partial(reply: Reply, have: int, asked: Asked) -> Opening | None:
    """Accept a 206 only where it goes on with our file at our offset."""
    found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    if found is None or not have or int(found[1]) != have or not _same_file(reply, asked):
        return None
    known = asked.mark.total if asked.mark is not None and asked.condition is not None else None
    total = int(found[3]) if found[3] != "*" else asked.expected.size
    if total is None or int(found[2]) != total - 1:
        return None
    if asked.expected.size not in {None, total} or known not in {None, total}:
        return None
    return Opening(have, total, validator(reply) or asked.condition, ranges=found[3] != "*")


def _same_file(reply: Reply, asked: Asked) -> bool:
    """Whether the answer is about the bytes that are there; the SHA-256 may say so later."""
    wanted = asked.condition
    if wanted is None:
        return asked.expected.sha256 is not None
    told = reply.headers.get("ETag" if wanted.startswith('"') else "Last-Modified", "").strip()
    return told == wanted or (not told and asked.expected.sha256 is not None)


def _length(reply: Reply) -> int | None:
    """Return the length that counts: beside chunks none does (RFC 9112, section 6.3)."""
    if _is_chunked(reply):
        return None
    told = {text.strip() for text in reply.headers.get("Content-Length", "").split(",")}
    text = told.pop() if len(told) == 1 else ""  # the same twice is one (section 8.6 of RFC 9110)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _is_chunked(reply: Reply) -> bool:
    return "chunked" in _codings(reply, "Transfer-Encoding")


def _is_coded(reply: Reply) -> bool:
    """Whether what comes is not the bytes of the file as they are, chunks apart."""
    codings = _codings(reply, "Content-Encoding") | _codings(reply, "Transfer-Encoding")
    return bool(codings - {"chunked", "identity", ""})


def _codings(reply: Reply, header: str) -> set[str]:
    return {coding.strip().lower() for coding in reply.headers.get(header, "").split(",")}


def _check_promise(reply: Reply, total: int | None, asked: Asked) -> None:
    wanted = asked.expected.size
    if total is not None and wanted not in {None, total}:
        raise VerificationFailed(
            f"{reply.host} offers {total} bytes, but {asked.source.filename} should have {wanted}.",
            remedy="The file was replaced there. Look at its page, or name another source.",
        )
    if total is None and wanted is None and not _is_chunked(reply):
        raise WrongAnswer(
            f"{reply.host} does not say how long {asked.source.filename} is.",
            remedy="Look for another source of the file.",
        )
