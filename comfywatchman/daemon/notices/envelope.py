"""What a webhook gets: the JSON around an event, and the headers that prove whose it is."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from comfywatchman.domain.notices import Change
from comfywatchman.report.record import plain, timestamp
from comfywatchman.report.redaction import Redaction

SCHEMA_VERSION = 1
"""Of the envelope; raised when a field goes or means something else."""

_MOST_BYTES = 64 * 1024


def body_of(
    change: Change,
    *,
    delivery: str,
    before: str | None,
    at: float,
    version: str,
    host: str,
    redaction: Redaction,
) -> bytes:
    """Return the JSON that tells of *change*; *at* is Unix seconds."""
    envelope = {
        "schema_version": SCHEMA_VERSION,
        "id": delivery,
        "event": change.event,
        "timestamp": timestamp(datetime.fromtimestamp(at, UTC)),
        "level": change.level,
        "program": {"name": "comfywatchman", "version": version, "host": host},
        "subject": change.subject,
        "state": change.state,
        "before": before,
        "data": dict(change.data),
    }
    written = _dumped(plain(envelope, redaction))
    if len(written) > _MOST_BYTES:
        written = _dumped(plain({**envelope, "data": {}, "shortened": True}, redaction))
    return written


def _dumped(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def headers_of(delivery: str, body: bytes, key: bytes | None, at: float) -> dict[str, str]:
    """Return the headers of one try, named and signed as the Standard Webhooks specification says.

    The signature is HMAC-SHA256 over ``ID.TIME.BODY``: a receiver that knows *key* can tell that
    nobody else has sent it, and when. Without *key* there is no signature.
    """
    seconds = str(int(at))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": seconds,
    }
    if key is not None:
        headers["webhook-signature"] = signature(delivery, seconds, body, key)
    return headers


def signature(delivery: str, seconds: str, body: bytes, key: bytes) -> str:
    signed = f"{delivery}.{seconds}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def key_of(text: str) -> bytes:
    """Return the bytes of a key: those behind ``whsec_`` as Base64, anything else as it is.

    Raises:
        ValueError: what follows ``whsec_`` is no Base64.
    """
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is no Base64") from None
