"""Tells chat, mail and push services, by Apprise in a child process that ends again.

The library takes 20 MB that the daemon would keep, and speaks to its services in its own ways: in a
process of its own it can be held to time and to whom it connects. The address, a secret, goes to
it by a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

import msgspec

from comfywatchman.daemon.notices.posting import Tried
from comfywatchman.daemon.notices.targets import Target
from comfywatchman.domain.errors import NoticeFailed, Trouble
from comfywatchman.state.deliveries import Delivery

ANSWER_SECONDS = 40.0
"""How long a service may take, the start of the child included."""

NAMED_AT_MOST = 10
"""Notices that one message tells one by one."""

_LEVELS = {"info": "info", "warning": "warning", "error": "failure"}

_MISSING = "missing"
_PROBLEMS: Mapping[str, tuple[str, str]] = {
    _MISSING: (
        "needs the package apprise, which is not installed",
        "Install it: pip install apprise.",
    ),
    "address": (
        "is no address that Apprise knows",
        "Write it as Apprise does, such as ntfy://TOPIC or mailto://….",
    ),
    "private": (
        "leads to a private address",
        "Add its host to notify.insecure_hosts if it is yours.",
    ),
    "refused": ("did not take the message", "It is tried again later; check its address."),
}


class Chat:
    """For one thread; another one may hang up."""

    def __init__(self, insecure_hosts: Sequence[str], environ: Mapping[str, str]) -> None:
        self._insecure = tuple(insecure_hosts)
        kept = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PYTHONPATH")
        proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
        names = {*kept, *proxies, *(name.upper() for name in proxies)}
        self._environ = {name: value for name, value in environ.items() if name in names}
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = False

    def tell(self, target: Target, rows: Sequence[Delivery]) -> Tried:
        """Tell of all *rows* in one message."""
        title, text, level = message_of(rows)
        asked = {
            "url": target.url.reveal(),
            "title": title,
            "body": text,
            "type": level,
            "insecure_hosts": self._insecure,
        }
        said = self._ask_child(json.dumps(asked).encode())
        if said is None:
            slow = NoticeFailed(
                f"{target.name} did not answer in {ANSWER_SECONDS:.0f} s.",
                remedy="It is tried again later.",
            )
            return Tried(slow.trouble())
        if said == "sent":
            return Tried()
        words, remedy = _PROBLEMS.get(said, ("failed", "Report it."))
        code = "extra-missing" if said == _MISSING else NoticeFailed.code
        found = Trouble(code, f"{target.name}: {words}.", remedy)
        if said in {_MISSING, "address", "private"}:
            found = Trouble(
                code, f"notify.urls, the one that begins with {target.name}: {words}.", remedy
            )
        return Tried(found, final=said in {"address", "private"})

    def hang_up(self) -> None:
        """End what is under way; nobody is told any more."""
        with self._lock:
            self._ended = True
            if self._child is not None:
                with contextlib.suppress(OSError):
                    self._child.kill()

    def _ask_child(self, asked: bytes) -> str | None:
        """Return the child's word; ``None`` where it took too long or died."""
        with self._lock:
            if self._ended:
                return None
            # Its errors may quote the address.
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "comfywatchman.daemon.notices.chat_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environ,
                cwd=os.sep,
            )
        child = self._child
        try:
            told, _ = child.communicate(asked, timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return None
        finally:
            with self._lock:
                self._child = None
        return told.decode("utf-8", "replace").strip() if child.returncode == 0 else None


def message_of(rows: Sequence[Delivery]) -> tuple[str, str, str]:
    """Return title, text and Apprise's word for the level of a message about *rows*."""
    told = [msgspec.json.decode(row.body) for row in rows]
    lines = [sentence(each) for each in told[:NAMED_AT_MOST]]
    if len(told) > NAMED_AT_MOST:
        lines.append(f"and {len(told) - NAMED_AT_MOST} more: comfywatchman status")
    host = told[0]["program"]["host"]
    title = f"comfywatchman on {host}"
    worst = max((each["level"] for each in told), key=list(_LEVELS).index)
    return title, "\n".join(lines), _LEVELS[worst]


def sentence(told: Mapping[str, object]) -> str:
    """Say in a line what an envelope tells."""
    data = told["data"]
    words = f"{told['subject']}: {told['event']}"
    if not isinstance(data, dict):
        return words
    error = data.get("error")
    if isinstance(error, dict):
        return " ".join(filter(None, (f"{words}.", error.get("cause"), error.get("remedy"))))
    lacking = data.get("models")
    if isinstance(lacking, list) and lacking:
        words += f", lacks {', '.join(map(str, lacking))}"
    return words
