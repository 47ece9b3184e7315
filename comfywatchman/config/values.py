"""Values as people write them in settings: sizes, addresses, hosts."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from comfywatchman.domain.hours import Hours

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{unit}b": 1000**power for power, unit in enumerate("kmgt", start=1)},
    **{f"{unit}ib": 1024**power for power, unit in enumerate("kmgt", start=1)},
    # One letter alone is what `du` and `df` print: powers of 1024.
    **{unit: 1024**power for power, unit in enumerate("kmgt", start=1)},
}

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
_HOST = re.compile(r"(?!-)[a-z0-9-]+(?:\.[a-z0-9-]+)*")


def parse_size(text: str) -> int:
    """Return the bytes that *text* means: ``20MB`` is 20,000,000, ``5GiB`` (or ``5G``) 5 * 2**30.

    Raises:
        ValueError: it is no number with a known unit.
    """
    found = _SIZE.fullmatch(text.strip().lower().removesuffix("/s"))
    if found is None or found[2] not in _UNITS:
        raise ValueError("expected a size such as 5GiB, 20MB or a number of bytes")
    return int(float(found[1]) * _UNITS[found[2]])


def format_size(size: int) -> str:
    """Return *size* so that `parse_size` gives it back, in the largest unit that fits exactly."""
    for unit, factor in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def listen_address(text: str) -> tuple[str, int] | None:
    """Return host and port of ``HOST:PORT``; ``None`` for the empty text, which means off.

    An IPv6 address stands in brackets. Port 0 lets the system choose.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    good = colon and host and port.isascii() and port.isdigit() and int(port) <= 65535
    if not good or (":" in host) != bracketed:
        raise ValueError('expected HOST:PORT, or "" for off')
    return host, int(port)


def check_listen(text: str) -> str:
    listen_address(text)
    return text


def check_hours(text: str) -> str:
    """Return ``22:00-07:00`` as it is always written.

    Raises:
        ValueError: these are no hours.
    """
    return str(Hours.read(text))


def check_url(text: str) -> str:
    """Return *text* without a closing slash if it is an http(s) address and nothing more.

    Raises:
        ValueError: it is not; the message does not repeat it, because it may hold a password.
    """
    parts = _split(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address holds a user name or password, which does not belong there")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected an address that begins with http:// or https://")
    if parts.query or parts.fragment:
        raise ValueError("expected an address without ? and #")
    return text.rstrip("/")


def check_secret_url(text: str) -> str:
    """Return *text* if it is an http(s) address; path and query may be secrets.

    Raises:
        ValueError: it is not; the message does not repeat it.
    """
    parts = _split(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address holds a user name or password, which does not belong there")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected an address that begins with http:// or https://")
    if not text.isprintable() or " " in text or "\\" in text or parts.fragment:
        raise ValueError("expected an address without blanks, backslashes and #")
    return text


def check_url_or_off(text: str) -> str:
    """As `check_url`; the empty text means that nobody is asked."""
    return check_url(text) if text.strip() else ""


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # a property that raises for a port that is no number
    except ValueError:
        raise ValueError("expected an address that begins with http:// or https://") from None
    return parts


def check_host(text: str) -> str:
    """Return the host name in lowercase; a leading ``*.`` or dot is dropped, for it is implied.

    Raises:
        ValueError: it is no host name or IP address, or more than that.
    """
    host = text.strip().lower().removeprefix("*").removeprefix(".").removesuffix(".")
    if _HOST.fullmatch(host) is None and not _is_address(host.strip("[]")):
        raise ValueError("expected a host name without scheme, port or path")
    return host


def check_host_and_port(text: str) -> str:
    """As `check_host`; a port may follow."""
    host, colon, port = text.strip().rpartition(":")
    if colon and port.isascii() and port.isdigit() and int(port) <= 65535:
        return f"{check_host(host)}:{int(port)}"
    return check_host(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_token(text: str) -> str:
    """Return *text* without surrounding blanks if it can stand in a header.

    Raises:
        ValueError: it cannot; the message does not repeat it.
    """
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("expected a token on one line, without blanks")
    return token


def without_password(url: str) -> str:
    """Return *url* with ``***`` for a password in it; query parameters may hold one as well."""
    hidden = re.sub(r"(://[^:/@\s]*:)[^@/\s]*@", r"\1***@", url)
    return re.sub(r"(?i)([?&](?:password|passwd|sslpassword|token)=)[^&]*", r"\1***", hidden)
