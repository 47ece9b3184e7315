"""What a plain web server publishes about one file."""

from __future__ import annotations

import base64
import binascii
import re
from email.message import Message

from comfywatchman.domain.errors import (
    LoginNeeded,
    SourceMissing,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.asking import Answer, Ask, is_page, size_or_none, unable
from comfywatchman.resolve.published import Published
from comfywatchman.resolve.urls import Endpoints, filename_of, host_of

_PLAIN = {"Accept-Encoding": "identity"}
_HEAD_REFUSED = {400, 403, 404, 405, 501}
"""Signed storage signs the verb, and small servers do not know HEAD: a GET may still do."""
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")
_DIGEST = re.compile(r"sha-256=:?([A-Za-z0-9+/=]+):?(?:;|,|$)", re.IGNORECASE)


class Web:
    """Asks by HEAD, and by a GET of the first byte where HEAD is refused."""

    def __init__(self, ask: Ask, endpoints: Endpoints) -> None:
        self._ask = ask
        self._endpoints = endpoints

    def published(self, url: str) -> Published:
        """See `Publisher.published`."""
        asked = self._endpoints.ask_at(url)
        answer = self._ask("HEAD", asked, headers=_PLAIN, follow="all")
        if answer.status in _HEAD_REFUSED:
            answer = self._ask("GET", asked, headers=_PLAIN | {"Range": "bytes=0-0"}, follow="all")
        if answer.status not in {200, 206}:
            return _without_file(answer, url)
        if is_page(answer):
            raise WrongAnswer(
                f"{host_of(url)} answered with a page instead of a file.",
                remedy=f"Open {url} in a browser: it may want a login or a click.",
            )
        return Published(
            url=url,
            filename=_name_of(answer) or filename_of(url),
            size=_size(answer),
            sha256=published_sha256(answer),
            page=url,
        )


def _without_file(answer: Answer, url: str) -> Published:
    """Tell a file that wants a login from one that is not there.

    Raises:
        WatchmanError: there is no such file, or not now.
    """
    host = host_of(url)
    later = unable(answer, host)
    if later is not None:
        raise later
    if answer.status in {401, 402, 403}:
        trouble = LoginNeeded(
            f"{host} does not give out the file without a login (status {answer.status}).",
            remedy=f"Open {url} in a browser and see what it asks for.",
        ).trouble()
        needs = "payment" if answer.status == 402 else "login"
        return Published(url, filename_of(url), needs=needs, page=url, trouble=trouble)
    raise _refusal(answer, url)


def _refusal(answer: Answer, url: str) -> WatchmanError:
    if answer.status in {404, 410, 451}:
        return SourceMissing(
            f"{host_of(url)} has no such file (status {answer.status}): {url}",
            remedy="Look for the file elsewhere and give its address.",
        )
    return WrongAnswer(
        f"{host_of(url)} answered {url} with status {answer.status}.",
        remedy="Open it in a browser and look.",
    )


def published_sha256(answer: Answer) -> str | None:
    """Return the SHA-256 that the headers give for the whole file.

    Sources: RFC 9530 (Repr-Digest, Content-Digest), RFC 3230 (Digest), and the headers of
    artifact stores, of S3 and of Hugging Face mirrors.
    """
    headers = answer.headers
    digests = [headers.get("Repr-Digest"), headers.get("Digest")]
    if answer.status == 200:  # of a part, Content-Digest speaks about the part alone
        digests.append(headers.get("Content-Digest"))
    for digest in digests:
        found = _DIGEST.search(digest or "")
        if found is not None and (sha256 := _from_base64(found[1])):
            return sha256
    for name in ("X-Checksum-Sha256", "X-Linked-Etag"):
        if sha256 := sha256_or_none(headers.get(name, "").strip('"')):
            return sha256
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() != "FULL_OBJECT":
        return None  # a checksum of the checksums of parts
    return _from_base64(headers.get("x-amz-checksum-sha256", ""))


def _from_base64(text: str) -> str | None:
    try:
        return sha256_or_none(base64.b64decode(text, validate=True).hex())
    except binascii.Error:
        return None


def _size(answer: Answer) -> int | None:
    if answer.status == 206:
        total = _TOTAL.fullmatch(answer.headers.get("Content-Range", "").strip())
        return size_or_none(total[1]) if total else None
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return None
    return size_or_none(answer.headers.get("Content-Length"))


def _name_of(answer: Answer) -> str | None:
    """Return the filename of Content-Disposition without any directory; ``None`` if none."""
    header = answer.headers.get("Content-Disposition")
    if not header:
        return None
    message = Message()
    message["Content-Disposition"] = header
    name = (message.get_filename() or "").replace("\\", "/").rsplit("/", 1)[-1]
    return name if name and name not in {".", ".."} else None
