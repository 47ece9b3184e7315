"""Which URLs are asked, and how they are shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from comfywatchman.domain.errors import HostNotAllowed, UrlRefused
from comfywatchman.net.addresses import is_public, literal
from comfywatchman.net.policy import NetPolicy, Origin

_ODD = re.compile(r"[\x00-\x1f\x7f\\]")
"""Characters that one parser skips and another keeps, so that two disagree about the host."""

_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+")
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet")

_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)([^\s\"'<>\\]+)")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}")


def origin_of(url: str) -> Origin:
    """Return where *url* leads.

    Raises:
        UrlRefused: two parsers disagree about it, or it carries credentials.
    """
    shown = redact(url)[:300]
    if _ODD.search(url):
        raise _refused(shown, "has control characters or backslashes in it")
    try:
        ours, theirs = urlsplit(url), parse_url(url)
        port = ours.port
    except (ValueError, LocationParseError) as error:
        raise _refused(shown, "cannot be read") from error
    scheme = ours.scheme.lower()
    if scheme not in {"http", "https"}:
        raise _refused(shown, "is neither http nor https")
    if ours.username is not None or ours.password is not None or theirs.auth is not None:
        raise _refused(shown, "carries a user name or a password")
    host = (ours.hostname or "").rstrip(".").lower()
    other = (theirs.host or "").strip("[]").rstrip(".").lower()
    if not host or host != other or port != theirs.port or not _HOST.fullmatch(host):
        raise _refused(shown, "has no host name that can be trusted")
    if port == 0:
        raise _refused(shown, "has a port at which nobody listens")
    return Origin(scheme, host, port or (443 if scheme == "https" else 80))


def check_url(url: str, policy: NetPolicy) -> None:
    """Refuse what must not be asked, before anything is sent.

    The address behind a name is checked at the connected socket, since only that cannot change
    any more.

    Raises:
        UrlRefused: scheme, credentials, or a private address however it is spelled.
        HostNotAllowed: the host is not among the allowed ones.
    """
    origin = origin_of(url)
    if policy.is_insecure(origin):
        return
    shown = redact(url)[:300]
    address = literal(origin.host)
    local = origin.host == "localhost" or f".{origin.host}".endswith(_LOCAL_NAMES)
    if local or (address is not None and not is_public(address)):
        raise UrlRefused(
            f"The address {shown} lies in a private network.",
            remedy=f"Add {origin.name} to download.insecure_hosts if it is yours.",
        )
    if origin.scheme != "https":
        raise UrlRefused(
            f"The address {shown} is not encrypted (http).",
            remedy=f"Use https, or add {origin.name} to download.insecure_hosts.",
        )
    if not policy.allows(origin):
        raise HostNotAllowed(
            f"{origin.name} is not among the hosts that files are fetched from.",
            remedy=f"Add {origin.host} to download.allowed_hosts if you trust it.",
        )


def check_redirect(before: str, after: str, policy: NetPolicy) -> None:
    """Refuse a redirect that leads to a less guarded place than it comes from.

    That the settings name a host inside is no reason for somebody outside to send us there.

    Raises:
        UrlRefused
    """
    here, there = origin_of(before), origin_of(after)
    if here.scheme == "https" and there.scheme != "https":
        what = "an address without encryption (http)"
    elif policy.is_insecure(there) and not policy.is_insecure(here):
        what = "a host of download.insecure_hosts"
    else:
        return
    raise UrlRefused(
        f"{here.name} redirects to {there.name}, {what}.",
        remedy="Name the address it leads to yourself, or look for another source.",
    )


def _refused(shown: str, why: str) -> UrlRefused:
    return UrlRefused(f"The address {shown!a} {why}.", remedy="Correct the address.")


def redact(text: str) -> str:
    """Return *text* with the queries, fragments and credentials of its URLs, and tokens, hidden."""
    return _TOKEN.sub("***", _URL.sub(_without_secrets, text))


def _without_secrets(found: re.Match[str]) -> str:
    scheme, rest = found[1], found[2]
    cut = min((at for at in map(rest.find, "?#") if at >= 0), default=len(rest))
    kept, mark = rest[:cut], rest[cut : cut + 1]
    authority, slash, path = kept.partition("/")
    if "@" in authority:
        authority = "***@" + authority.rpartition("@")[2]
    return f"{scheme}{authority}{slash}{path}" + (f"{mark}***" if mark else "")
