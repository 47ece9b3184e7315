"""One address for one file: the canonical form, and where an official host is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from comfywatchman.domain.errors import UrlRefused
from comfywatchman.domain.secrets import is_secret_query
from comfywatchman.resolve.air import PREFIX as AIR_PREFIX
from comfywatchman.resolve.air import Air
from comfywatchman.resolve.civitai_places import COM as CIVITAI
from comfywatchman.resolve.civitai_places import download_url, page_url

HUGGINGFACE = "https://huggingface.co"
GITHUB_API = "https://api.github.com"

_HUGGINGFACE_HOSTS = {
    "huggingface.co",
    "www.huggingface.co",
    "hf.co",
    "www.hf.co",
    "hf-mirror.com",
    "www.hf-mirror.com",
}
_CIVITAI_HOSTS = {
    "civitai.com": "civitai.com",
    "www.civitai.com": "civitai.com",
    "civitai.green": "civitai.com",
    "civitai.blue": "civitai.com",
    "civitai.red": "civitai.red",
    "www.civitai.red": "civitai.red",
}
"""Some mature models exist on .red only, so the two fronts stay apart."""

_REPO_KINDS = {"datasets", "spaces"}
_FILE_MARKS = {"resolve", "blob", "raw"}

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a repository of Hugging Face."""

    repo: str
    """``owner/name``, or ``datasets/owner/name`` and ``spaces/owner/name``."""
    revision: str
    path: str

    @property
    def url(self) -> str:
        revision = quote(self.revision, safe="")
        return f"{HUGGINGFACE}/{quote(self.repo)}/resolve/{revision}/{quote(self.path)}"

    @property
    def page(self) -> str:
        return f"{HUGGINGFACE}/{quote(self.repo)}"

    @property
    def filename(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @classmethod
    def from_url(cls, url: str) -> Self | None:
        """Read an address of Hugging Face or of a mirror; ``None`` where it names no file."""
        parts = _split(url)
        if parts.hostname not in _HUGGINGFACE_HOSTS:
            return None
        return cls._from_path(parts.path)

    @classmethod
    def _from_path(cls, path: str) -> Self | None:
        segments = [unquote(segment) for segment in path.split("/") if segment]
        prefix = 1 if segments[:1] and segments[0] in _REPO_KINDS else 0
        for at in (prefix + 2, prefix + 1):  # the oldest repositories have no owner
            if len(segments) > at + 2 and segments[at] in _FILE_MARKS:
                break
        else:
            return None
        rest = segments[at + 1 :]
        # refs/pr/1 is one revision, however it was written
        long = len(rest) > 3 and rest[0] == "refs" and rest[1] in {"pr", "convert"}
        cut = 3 if long else 1
        if {".", ".."} & set(segments):
            return None
        return cls("/".join(segments[:at]), "/".join(rest[:cut]), "/".join(rest[cut:]))


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the official hosts are asked: themselves, a mirror, or a hub of one's own."""

    huggingface: str = HUGGINGFACE
    civitai: str = CIVITAI
    github_api: str = GITHUB_API

    @property
    def has_two_fronts(self) -> bool:
        """Whether both sites of Civitai can be asked: an endpoint of one's own stands for both."""
        parts = urlsplit(self.civitai)
        return parts.scheme == "https" and parts.netloc.lower() in _CIVITAI_HOSTS

    def canonical(self, url: str) -> str:
        """Return `canonical` of *url*; a model at a configured endpoint is the official host's.

        Raises:
            UrlRefused: see `canonical`.
        """
        text = url.strip()
        own = [(self.huggingface, HUGGINGFACE)]
        if not self.has_two_fronts:
            own.append((self.civitai, CIVITAI))
        for endpoint, official in own:
            base = endpoint.rstrip("/") + "/"
            if text.lower().startswith(base.lower()):
                moved = canonical(f"{official}/{text[len(base) :]}")
                if _is_model_address(moved):
                    return moved
        return canonical(text)

    def ask_at(self, url: str) -> str:
        """Return the address to request for the canonical *url*."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host in _HUGGINGFACE_HOSTS:
            return _moved(parts, self.huggingface)
        if host in _CIVITAI_HOSTS and not self.has_two_fronts:
            return _moved(parts, self.civitai)
        if url.startswith(GITHUB_API + "/"):
            return _moved(parts, self.github_api)
        return url

    def stand_in(self, url: str) -> str | None:
        """Return the host that is asked instead of that of the canonical *url*, if one is."""
        asked = urlsplit(self.ask_at(url)).netloc.lower()
        return None if asked == urlsplit(url).netloc.lower() else asked


def canonical(url: str) -> str:
    """Return the one form of *url* that reports, comparisons and the database use.

    Fragments go, and so do secrets and expired signatures in the query. A page of a file on
    Hugging Face becomes the file (``/blob/`` and ``/raw/`` to ``/resolve/``), its other hosts
    become huggingface.co. ``hf://owner/repo/path`` and ``urn:air:…`` become addresses.

    Raises:
        UrlRefused: no http(s) address, or one that carries a login.
    """
    parts = _split(_address(url))
    host = parts.hostname or ""
    if host in _HUGGINGFACE_HOSTS:
        file = HubFile.from_url(parts.geturl())
        return file.url if file else HUGGINGFACE + _quoted_path(parts.path)
    query = _kept_query(parts.query)
    if host in _CIVITAI_HOSTS:
        return f"https://{_CIVITAI_HOSTS[host]}{_quoted_path(parts.path)}{query}"
    path = parts.path
    if host == "github.com":
        path = _github_file(path)
    return f"{parts.scheme}://{_authority(parts)}{_quoted_path(path)}{query}"


def _address(text: str) -> str:
    """Turn the other ways to name a file of a hub into its address."""
    lowered = text.strip()[:8].lower()
    if lowered == AIR_PREFIX:
        air = Air.read(text)
        if air.file is not None and air.version is not None:
            return download_url(CIVITAI, air.version, air.file)
        return page_url(CIVITAI, air.model, air.version)
    if lowered.startswith("hf://"):
        return _hub_address(text.strip()[5:])
    return text


def _hub_address(path: str) -> str:
    """Read ``[datasets/]owner/repo[@revision]/path``, as huggingface_hub writes it."""
    segments = [quote(segment, safe="@%") for segment in path.split("/") if segment]
    at = 2 + (1 if segments[:1] and segments[0] in _REPO_KINDS else 0)
    if len(segments) <= at:
        return "/".join([HUGGINGFACE, *segments])
    name, _, revision = segments[at - 1].partition("@")
    place = [*segments[: at - 1], name, "resolve", revision or "main", *segments[at:]]
    return "/".join([HUGGINGFACE, *place])


def is_huggingface(url: str) -> bool:
    """Say whether the canonical *url* is Hugging Face's."""
    return url.startswith(HUGGINGFACE + "/")


def host_of(url: str) -> str:
    """Return the host of *url* for messages, labels and settings; empty where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def filename_of(url: str) -> str:
    """Return the last segment of the path, decoded."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def _is_model_address(official: str) -> bool:
    """Say whether it has the shape of a model there; a mirror may have other files as well."""
    if is_huggingface(official):
        return HubFile.from_url(official) is not None
    return official.startswith((f"{CIVITAI}/api/", f"{CIVITAI}/model"))


def _split(url: str) -> SplitResult:
    text = url.strip()
    if len(text) > _LONGEST or any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        raise _refused(f"An address with control characters or {len(text)} characters long.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _refused(f"An address that cannot be read ({error}).") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise _refused(f"An address with the scheme {parts.scheme[:20]!r}.")
    if parts.username is not None or parts.password is not None:
        raise _refused(f"An address at {parts.hostname} that carries a login.")
    if not parts.hostname or port == 0:
        raise _refused("An address without a host.")
    return parts


def _refused(cause: str) -> UrlRefused:
    return UrlRefused(cause, remedy="Give an http or https address of the file itself.")


def _authority(parts: SplitResult) -> str:
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    if parts.port is None or parts.port == _DEFAULT_PORTS[parts.scheme]:
        return shown
    return f"{shown}:{parts.port}"


def _quoted_path(path: str) -> str:
    """Escape what must not stand in an address and leave what is escaped already."""
    return quote(path, safe="/%:@!$&'()*+,;=-._~") or "/"


def _kept_query(query: str) -> str:
    pairs = [
        (name, value)
        for name, value in parse_qsl(query, keep_blank_values=True)
        if not is_secret_query(name)
    ]
    return f"?{urlencode(pairs)}" if pairs else ""


def _github_file(path: str) -> str:
    """Turn the page of a file (``/owner/repo/blob/rev/path``) into the file."""
    segments = path.split("/")
    if len(segments) > 5 and segments[3] == "blob":
        segments[3] = "raw"
    return "/".join(segments)


def _moved(parts: SplitResult, endpoint: str) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return f"{endpoint.rstrip('/')}{parts.path}{query}"
