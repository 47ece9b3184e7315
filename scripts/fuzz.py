"""Reads damaged and invented workflow files, and tells what breaks the reader or keeps it busy.

    python scripts/fuzz.py [CASES] [--seed N] [--keep DIRECTORY]

Seeds are official templates, the media of the tests and, where it is there, ``../shared/corpus``.
Most cases are read in this process, under a time limit, compared with an inventory, stored as the
daemon stores them and told in every format; one in ten is read by the child process, as the daemon
does it. What is measured is processor time, since the machine may have other work.
Ends with status 1 if anything crashed, hung, took over a second or more memory than it may.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import FrameType

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from comfywatchman.analyze.compare import compare  # noqa: E402 - the path comes first
from comfywatchman.analyze.formats import Limits, read_workflow  # noqa: E402 - the path comes first
from comfywatchman.analyze.loaders import Tables  # noqa: E402 - the path comes first
from comfywatchman.domain.references import Analysis, WorkflowContent  # noqa: E402 - the path comes first
from comfywatchman.parsing.parser import Parser  # noqa: E402 - the path comes first
from comfywatchman.parsing.tables import shipped_tables  # noqa: E402 - the path comes first
from comfywatchman.parsing.wire import Answer  # noqa: E402 - the path comes first
from comfywatchman.report import render  # noqa: E402 - the path comes first
from comfywatchman.state.coding import dumps, loads  # noqa: E402 - the path comes first
from scripts.mutants import mutant  # noqa: E402 - the path comes first
from tests.analyze.comparing import EXTRA, FOLDERS, MODELS, ONE, Shelf, file  # noqa: E402 - the path comes first

MEDIA = ROOT / "tests/analyze/media"
CORPUS = ROOT / "../shared/corpus"
LARGEST_SEED = 400_000
"""Bytes: larger ones are slow to change and find no more."""

SLOW_SECONDS = 1.0
STUCK_SECONDS = 20.0
_ONE_BY_CHILD = 10
_ONE_FIRST = 40
"""Of the seeds, one in so many is read before the memory is measured."""

_MOST_TOLD = 50
"""Failures that are printed; all of them are kept."""


@dataclass
class Outcome:
    """What a run came to."""

    cases: int = 0
    by_child: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    crashes: list[tuple[str, bytes]] = field(default_factory=list)
    """What was raised, and the file that did it."""
    slow: list[tuple[float, bytes]] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds of the processor; of the child in hundredths."""
    child_peak: int = 0
    """The most memory in bytes that a child had; 0 where the system does not tell."""
    grown: int = 0
    """Bytes by which the largest memory of this process went up, making the files included, since
    it had read a few sound ones: the modules that it needs are no growth."""

    @property
    def sound(self) -> bool:
        return not self.crashes and not self.slow


def seeds() -> list[bytes]:
    """Return the files that are changed, small ones only."""
    found = [path for path in sorted(MEDIA.iterdir()) if path.suffix != ".md"]
    found += sorted(_templates())[::8]
    if CORPUS.is_dir():
        found += [path for path in sorted(CORPUS.rglob("*")) if path.is_file()]
    return [path.read_bytes() for path in found if path.stat().st_size <= LARGEST_SEED]


def _templates() -> Iterator[Path]:
    import comfyui_workflow_templates_json

    yield from Path(comfyui_workflow_templates_json.__file__).parent.rglob("*.json")


# -- reading them


def run(
    cases: int,
    seed: int,
    files: Sequence[bytes],
    *,
    by_child: bool = True,
    limits: Limits | None = None,
) -> Outcome:
    """Read *cases* files made from *files*; the same *seed* makes the same ones."""
    chosen = random.Random(seed)
    outcome = Outcome()
    tables = shipped_tables()
    for data in files[::_ONE_FIRST]:
        _read_here(Outcome(), data, tables, limits or Limits())
    before = _peak()
    with Parser() as parser:
        for number in range(cases):
            data = mutant(chosen, files)
            if by_child and number % _ONE_BY_CHILD == 0:
                _read_by_child(outcome, parser, data)
            else:
                _read_here(outcome, data, tables, limits or Limits())
            outcome.cases += 1
    outcome.grown = _peak() - before
    return outcome


def _read_here(outcome: Outcome, data: bytes, tables: Tables, limits: Limits) -> None:
    began = time.process_time()
    try:
        with _limited():
            content = read_workflow(BytesIO(data), "case", tables, limits, findings=True)
            msgspec.msgpack.encode(Answer(content))  # as the child sends it
            tell(content)
        _noted(outcome, content, data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        outcome.crashes.append((f"{type(error).__name__}: {error}", data))
    _timed(outcome, time.process_time() - began, data)


HERE = Shelf(
    [
        file(MODELS / "loras/sub/a.safetensors", sha256=ONE),
        file(EXTRA / "A.safetensors", size=9),
        file(MODELS / "checkpoints/a.safetensors", whole=False),
    ]
)
"""A few files under names that the cases have."""


def tell(content: WorkflowContent) -> None:
    """Do what is done with what a file says: compare it, store it, report it."""
    analysis = Analysis(Path("case"), "", content, compare(content, FOLDERS, HERE, separator="/"))
    loads(dumps(analysis), Analysis)
    report = render.report_of([analysis], with_candidates=False)
    for way in (render.to_json, render.to_text, render.to_markdown, render.to_html):
        way(report)


def _read_by_child(outcome: Outcome, parser: Parser, data: bytes) -> None:
    parser.prepare()
    child = parser.child_pid
    assert child is not None
    began = child_seconds(child)
    content = parser.read_bytes(data, "case").content
    outcome.by_child += 1
    _noted(outcome, content, data)
    if parser.child_pid == child:
        _timed(outcome, child_seconds(child) - began, data)
        outcome.child_peak = max(outcome.child_peak, child_peak(child))


def child_seconds(process: int) -> float:
    """Return the processor time that a process has used; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def child_peak(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _noted(outcome: Outcome, content: WorkflowContent, data: bytes) -> None:
    answer = content.trouble.code if content.trouble else content.format
    outcome.answers[answer] += 1
    if answer == "parser-failed":
        outcome.crashes.append((answer, data))


def _timed(outcome: Outcome, seconds: float, data: bytes) -> None:
    outcome.slowest = max(outcome.slowest, seconds)
    if seconds > SLOW_SECONDS:
        outcome.slow.append((seconds, data))


@contextmanager
def _limited() -> Iterator[None]:
    """Raise `TimeoutError` in what takes far too long; in the main thread of a POSIX system."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer after {STUCK_SECONDS} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _peak() -> int:
    """Return the most memory that this process ever had, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> int:
    arguments = argparse.ArgumentParser(description="Read damaged workflow files.")
    arguments.add_argument("cases", type=int, nargs="?", default=10_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--keep", type=Path, help="put the files that fail here")
    given = arguments.parse_args()
    files = seeds()
    began = time.perf_counter()
    outcome = run(given.cases, given.seed, files)
    seconds = time.perf_counter() - began
    print(
        f"{outcome.cases} files from {len(files)} seeds in {seconds:.0f} s,"
        f" {outcome.by_child} of them by the child; slowest {outcome.slowest:.2f} s of the"
        f" processor, memory up by {outcome.grown / 1e6:.0f} MB, the child's at most"
        f" {outcome.child_peak / 1e6:.0f} MB"
    )
    print("answers:", ", ".join(f"{name} {count}" for name, count in outcome.answers.most_common()))
    failed = [*outcome.crashes, *((f"{took:.1f} s", data) for took, data in outcome.slow)]
    for number, (what, data) in enumerate(failed):
        if number < _MOST_TOLD:
            print(f"FAILED: {what} ({len(data)} bytes)")
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / f"case-{number}").write_bytes(data)
    print("FAILED" if failed else "nothing failed", f"({len(failed)})")
    return 0 if outcome.sound else 1


if __name__ == "__main__":
    sys.exit(main())
