"""What must not be told: tokens, passwords and signatures, whatever text they hide in.

Source of the patterns: what was seen in debug lines of urllib3, in the text of requests'
exceptions and in the signed links of the hubs' storage.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_KEY = re.compile(
    r"(authorization|api[-_ ]?key|token|password|passwd|secret|cookie|credential)s?$", re.IGNORECASE
)

_QUERY = (
    r"token|key|api[-_]?key|access[-_]token|auth|password|secret|sig|signature|policy"
    r"|key-pair-id|x-amz-[a-z-]+|x-goog-[a-z-]+"
)

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"(?i)([?&;](?:{_QUERY})=)[^&;\s\"'<>#\\]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1{HIDDEN}"),
    (re.compile(r"\bhf_[A-Za-z0-9]{8,}"), HIDDEN),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^/?#\s@\"']+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            r"(?i)((?:authorization|api[-_]?key|token|password|secret|cookie)[\"']?\s*[:=]\s*)"
            r"([\"'])[^\"']+\2"
        ),
        rf"\1\2{HIDDEN}\2",
    ),
    (
        # A header line: everything after the colon is the secret, "Bearer" or not.
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(:\s*)[^\r\n\"',}]+"
        ),
        rf"\1\2{HIDDEN}",
    ),
)


def tells_a_secret(key: str) -> bool:
    """Whether a field of this name holds a secret; ``token_file`` holds only a path."""
    return _KEY.search(key) is not None


class Redaction:
    """Hides what looks like a secret, and the secrets that are known by their value.

    A Civitai key looks like any other word, so that only its value gives it away.
    """

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        # A value of a few letters would blank out half of every line.
        self._known = tuple(sorted((s for s in known if len(s) >= 6), key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return *text* with `HIDDEN` in place of each secret."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text


_BY_PATTERN = Redaction()


def redacted(text: str) -> str:
    """Return *text* without what looks like a secret."""
    return _BY_PATTERN.text(text)
