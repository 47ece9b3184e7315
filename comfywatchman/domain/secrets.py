"""Tokens and other secrets, in a type that does not print."""

from __future__ import annotations

import re
from typing import NoReturn

QUERIES = frozenset(
    {
        *("token", "access_token", "auth_token", "hf_token", "auth", "api_key", "apikey"),
        *("password", "secret", "signature", "sig", "key-pair-id"),
    }
)
"""Names in the query of an address that carry a person's secret: workflows of others have them."""

SIGNATURES = ("x-amz-", "x-goog-")
"""What names of a signed address begin with, which is valid for its owner and for an hour."""

_LOGIN = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#]*@")


def is_secret_query(name: str) -> bool:
    """Say whether what a query gives under *name* is nobody's to keep."""
    return name.lower() in QUERIES or name.lower().startswith(SIGNATURES)


def without_secrets(url: str) -> str:
    """Return *url* without a login, and without what its query has of secrets and signatures."""
    url = _LOGIN.sub(r"\1", url)
    address, mark, rest = url.partition("?")
    if not mark:
        return url
    query, hash_mark, fragment = rest.partition("#")
    kept = [pair for pair in query.split("&") if not is_secret_query(pair.partition("=")[0])]
    return address + (f"?{'&'.join(kept)}" if kept else "") + hash_mark + fragment


class Secret:
    """A text that nobody but its addressee may see.

    Printing, formatting and logging show ``***``; encoders and pickle refuse it, because it is
    deliberately no dataclass. `reveal` gives the text, and is called at the last moment.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")
