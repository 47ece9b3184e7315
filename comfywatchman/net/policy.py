"""What may be asked, and with what: made once from the settings, read by everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.domain.secrets import Secret
from comfywatchman.net.addresses import literal
from comfywatchman.net.manners import Manners

_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what a token belongs to."""

    scheme: str
    host: str
    """Lowercase, without brackets and without a trailing dot."""
    port: int

    @property
    def name(self) -> str:
        """``host`` or ``host:port`` for people; the port only where it is not the usual one."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == _DEFAULT_PORTS[self.scheme] else f"{shown}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostToken:
    """A token and the one host that may see it."""

    host: str
    """``host`` (at the usual port of the scheme) or ``host:port``."""
    token: Secret


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxies as the environment named them at the start."""

    by_scheme: Mapping[str, str] = field(default_factory=dict, repr=False)
    """``http`` and ``https`` to a URL, which may hold a password."""
    direct: tuple[str, ...] = ()
    """Hosts and suffixes that are asked directly; ``*`` for all."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Proxies:
        """Read the variables of *environ* that curl and requests read."""

        def value(name: str) -> str:
            return environ.get(name) or environ.get(name.upper()) or ""

        by_scheme = {
            scheme: url
            for scheme in ("http", "https")
            if (url := value(f"{scheme}_proxy") or value("all_proxy"))
        }
        direct = (entry.strip().lower().lstrip("*.") or "*" for entry in _split(value("no_proxy")))
        return cls(by_scheme, tuple(direct))

    def for_origin(self, origin: Origin) -> str | None:
        """Return the proxy through which *origin* is asked, or ``None``."""
        if any(entry == "*" or matches(entry, origin) for entry in self.direct):
            return None
        return self.by_scheme.get(origin.scheme)


@dataclass(frozen=True, slots=True)
class NetPolicy:
    """What may be asked, and how."""

    allowed_hosts: tuple[str, ...] = ()
    """Each with its subdomains; ``*`` for every public host."""
    insecure_hosts: tuple[str, ...] = ()
    """``host`` or ``host:port``: allowed, over plain http and at private addresses too."""
    tokens: tuple[HostToken, ...] = ()
    user_agent: str = "comfywatchman"
    """Without the words of browsers: Civitai answers those with pages instead of errors."""
    connect_timeout: float = 15.0
    """Seconds."""
    read_timeout: float = 60.0
    """Seconds without a byte; storage may take tens of seconds to the first one."""
    proxies: Proxies = field(default_factory=Proxies)
    ca_bundle: Path | None = None
    """``None``: the bundle that comes with the libraries."""
    manners: Manners = field(default_factory=Manners, compare=False, repr=False)
    """The one budget of each host, shared by all who ask under this policy."""
    offline: bool = False
    """Nothing is asked."""

    def allows(self, origin: Origin) -> bool:
        return self.is_insecure(origin) or any(
            suffix == "*" or matches(suffix, origin) for suffix in self.allowed_hosts
        )

    def is_insecure(self, origin: Origin) -> bool:
        return any(_is_exactly(entry, origin) for entry in self.insecure_hosts)

    def token_for(self, origin: Origin) -> Secret | None:
        """Return the token made for exactly this host and port; never over plain http outside."""
        if origin.scheme != "https" and not self.is_insecure(origin):
            return None
        usual = _DEFAULT_PORTS[origin.scheme]
        for entry in self.tokens:
            host, port = _host_and_port(entry.host)
            if host == origin.host and (port or usual) == origin.port:
                return entry.token
        return None

    def proxy_for(self, origin: Origin) -> str | None:
        """Return the proxy for *origin*; private places are always asked directly."""
        if self.is_insecure(origin) or literal(origin.host) is not None:
            return None
        return self.proxies.for_origin(origin)


def ca_bundle_of(environ: Mapping[str, str]) -> Path | None:
    """Return the certificates that the environment names, in the order requests looks."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if environ.get(name):
            return Path(environ[name])
    return None


def matches(suffix: str, origin: Origin) -> bool:
    """Say whether the host of *origin* is *suffix*, with its port if it has one, or below it."""
    host, port = _host_and_port(suffix)
    if port is not None and port != origin.port:
        return False
    return bool(host) and (origin.host == host or origin.host.endswith(f".{host}"))


def _is_exactly(entry: str, origin: Origin) -> bool:
    host, port = _host_and_port(entry)
    return host == origin.host and port in {None, origin.port}


def _host_and_port(entry: str) -> tuple[str, int | None]:
    text = entry.strip().lower()
    host, colon, port = text.rpartition(":")
    bare_v6 = ":" in host and not host.endswith("]")
    if not colon or not port.isdigit() or bare_v6:
        host, port = text, ""
    host = host.strip("[]").removeprefix("*").removeprefix(".").rstrip(".")
    return host, int(port) if port else None


def _split(text: str) -> list[str]:
    return [entry for entry in text.replace(" ", ",").split(",") if entry]
