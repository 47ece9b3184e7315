"""The text of the units and of the agent.

Quoting after systemd.syntax(7) and systemd.service(5), section "Command lines".
"""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from pathlib import Path
from string import Template

from comfywatchman.daemon.service import LABEL
from comfywatchman.daemon.service.command import Started
from comfywatchman.daemon.service.doing import marked

UNIT = "comfywatchman.service"
TEMPLATE = "comfywatchman@.service"

_TEXTS = Path(__file__).parents[2] / "data" / "service"

SHIPPED_USER = (
    "/usr/bin/env PATH=%h/.local/bin:/usr/local/bin:/usr/bin:/bin "
    "comfywatchman run --log-format json"
)
"""In the file that is copied by hand, which knows nothing of where the command lies."""
SHIPPED_SYSTEM = (
    "/usr/bin/env PATH=/usr/local/bin:/usr/bin:/bin comfywatchman run --log-format json"
)
SHIPPED_WRITABLE = """\
# Where models are placed; with "-" it may be absent.
ReadWritePaths=-/home/%i/ComfyUI"""


def user_unit(started: Started) -> str:
    return marked(filled("user.service", command_line(started.arguments)))


def system_unit(started: Started) -> str:
    # A name that no line can hold is left out: what goes there is told as not writable.
    places = [path for path in started.writable if str(path).isprintable()]
    writable = "\n".join(f"ReadWritePaths={_writable(path)}" for path in places)
    return marked(filled("system.service", command_line(started.arguments), writable))


def shipped() -> dict[str, str]:
    """Return the files that are copied by hand, by their path in the repository."""
    by_hand = (
        "# To be copied by hand; `comfywatchman service install` writes it with the right paths.\n"
    )
    command = ("/usr/local/bin/comfywatchman", "run", "--log-format", "json")
    plist = agent(Started(command), Path("/Users/you/Library/Logs/comfywatchman.log"))
    head, _, body = plist.partition("<!-- ")
    said = "<!-- To be copied to ~/Library/LaunchAgents/, with the paths of command and log. -->"
    return {
        f"systemd/{UNIT}": by_hand + filled("user.service", SHIPPED_USER),
        f"systemd/{TEMPLATE}": by_hand + filled("system.service", SHIPPED_SYSTEM, SHIPPED_WRITABLE),
        f"launchd/{LABEL}.plist": head + said + body.partition("-->")[2],
    }


def is_current(text: str, *, system: bool) -> bool:
    """Whether a unit is as this version would write it, wherever the program and the models lie."""
    now = filled("system.service" if system else "user.service", "", "")
    return _skeleton(text) == _skeleton(now)


def _skeleton(text: str) -> list[str]:
    of_this_machine = ("ExecStart=", "ReadWritePaths=")
    lines = text.splitlines()
    head = 1 if lines and "sha256=" in lines[0] else 0
    return [line for line in lines[head:] if line and not line.startswith(of_this_machine)]


def filled(name: str, command: str, writable: str = "") -> str:
    text = (_TEXTS / name).read_text("utf-8")
    return Template(text).substitute(command=command, writable=writable)


def agent(started: Started, log: Path) -> str:
    """Return the property list of the agent, with *log* for what it writes to standard error."""
    values = {
        "Label": LABEL,
        "ProgramArguments": list(started.arguments),
        "RunAtLoad": True,
        # Not `true`: wrong settings, or a clean stop, would be started again for ever.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,
        "ExitTimeOut": 30,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "LowPriorityBackgroundIO": True,
        "Nice": 10,
        "Umask": 0o022,
        "SoftResourceLimits": {"NumberOfFiles": 8192},
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
    }
    head, kind, body = plistlib.dumps(values, sort_keys=False).decode().split("\n", 2)
    return "\n".join((head, kind, marked(body, before="<!-- ", after=" -->")))


def command_line(arguments: Sequence[str]) -> str:
    """Return the value of ``ExecStart=`` that starts exactly *arguments*."""
    program, *rest = arguments
    # Variables are replaced in arguments, and not in the program's path.
    return " ".join([_quoted(program), *(_quoted(each).replace("$", "$$") for each in rest)])


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@$%")
_NAMED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _quoted(text: str) -> str:
    """Return *text* as one word; specifiers (``%h``) are none of ours."""
    escaped = text.replace("%", "%%")
    if text and set(text) <= _PLAIN:
        return escaped
    return '"' + "".join(_NAMED.get(each) or _printable(each) for each in escaped) + '"'


def _printable(character: str) -> str:
    if character.isprintable() and not "\ud800" <= character <= "\udfff":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _writable(path: Path) -> str:
    """Return a path for ``ReadWritePaths=``, which knows quotes and no escape but of two signs."""
    text = str(path).replace("%", "%%")
    if set(text) <= _PLAIN:
        return f"-{text}"
    return '"-' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
