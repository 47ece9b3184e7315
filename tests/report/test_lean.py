from __future__ import annotations

import subprocess
import sys


def test_the_log_of_a_daemon_does_not_bring_rich_along() -> None:
    program = (
        "from comfywatchman.report.lean import keep_rich_out; keep_rich_out()\n"
        "import sys, comfywatchman.report.log\n"
        "assert not any(name.startswith('rich.') for name in sys.modules)\n"
        "assert sys.modules['rich'] is None\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_what_guesses_encodings_does_not_come_along_and_nothing_warns_of_it() -> None:
    program = (
        "from comfywatchman.report.lean import keep_guessing_out; keep_guessing_out()\n"
        "import sys, comfywatchman.net.asking\n"
        "assert not any(name.startswith('charset_normalizer.') for name in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, capture_output=True
    )
    assert done.stderr == b""


def test_values_stay_frozen_and_are_shown_as_ever_where_they_share_the_methods() -> None:
    program = """
from comfywatchman.report.lean import share_methods; share_methods()
from dataclasses import FrozenInstanceError, dataclass, field
from comfywatchman.domain.files import Stamp
class More(Stamp): pass
@dataclass
class Ring: size: int; secret: str = field(repr=False); next: object = None
@dataclass(frozen=True)
class Named: name: str = ""
for value, name in ((Stamp(1, 2, 3, 4, 5), "size"), (More(1, 2, 3, 4, 5), "size"), (Named(), "x")):
    for change in (lambda: setattr(value, name, 0), lambda: delattr(value, name)):
        try: change()
        except FrozenInstanceError: continue
        raise SystemExit(f"{value} was changed")
more = More(1, 2, 3, 4, 5)
more.further = 1
del more.further
ring = Ring(1, "x")
ring.next = ring
assert repr(ring) == "Ring(size=1, next=...)", ring
assert repr(more) == "More(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)", more
"""

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
