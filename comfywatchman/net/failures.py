"""What the libraries' exceptions mean, in words that hold no address and no token."""

from __future__ import annotations

import requests
import urllib3
from requests import exceptions

from comfywatchman.domain.errors import SourceUnavailable, UrlRefused, WatchmanError

NETWORK_ERRORS = (exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What asking can raise; `requests` lets some errors of the body through unchanged."""

_PROXY_ERRORS = (
    exceptions.ProxyError,
    urllib3.exceptions.ProxyError,
    # The scheme of the address itself was looked at before.
    exceptions.InvalidProxyURL,
    exceptions.InvalidSchema,
    exceptions.MissingSchema,
)

_LATER = "It is tried again later; check the network if it lasts."


def failure(error: BaseException, host: str) -> WatchmanError:
    """Return our error for one of `NETWORK_ERRORS`; the text of *error* is not taken over."""
    if isinstance(error, exceptions.InvalidURL) and not isinstance(error, _PROXY_ERRORS):
        return UrlRefused(f"The address at {host} cannot be asked.", remedy="Correct the address.")
    what, remedy = _what(error)
    return SourceUnavailable(f"{host}: {what}.", remedy=remedy)


def is_absence(error: WatchmanError) -> bool:
    """Whether *error*, made by `failure`, says that nothing listens where it was asked."""
    nobody = (urllib3.exceptions.NameResolutionError, urllib3.exceptions.NewConnectionError)
    return any(isinstance(link, nobody) for link in _chain(error))


def _what(error: BaseException) -> tuple[str, str]:
    chain = list(_chain(error))
    known: list[tuple[tuple[type[BaseException], ...], str, str]] = [
        (_PROXY_ERRORS, "the proxy refused or failed",
         "Check the proxy in the environment (https_proxy)."),
        ((exceptions.SSLError, urllib3.exceptions.SSLError), "the certificate is not trusted",
         "Check the clock, and SSL_CERT_FILE or REQUESTS_CA_BUNDLE where a company proxy signs."),
        ((urllib3.exceptions.NameResolutionError,), "the name cannot be resolved", _LATER),
        ((urllib3.exceptions.NewConnectionError,), "no connection could be made", _LATER),
        ((urllib3.exceptions.ConnectTimeoutError, requests.ConnectTimeout),
         "no connection within the time allowed", _LATER),
        ((requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError),
         "nothing came within the time allowed", _LATER),
        ((urllib3.exceptions.IncompleteRead,), "the connection ended early", _LATER),
        ((urllib3.exceptions.ProtocolError, ConnectionError), "the connection was cut", _LATER),
    ]  # fmt: skip
    for types, what, remedy in known:
        if any(isinstance(link, types) for link in chain):
            return what, remedy
    return f"asking failed ({type(error).__name__})", _LATER


def _chain(error: BaseException, depth: int = 0) -> list[BaseException]:
    """Return *error* and what it wraps: as cause, as context, as argument or as `reason`."""
    if depth > 5:
        return []
    inner = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    found = [error]
    for other in inner:
        if isinstance(other, BaseException):
            found += _chain(other, depth + 1)
    return found
