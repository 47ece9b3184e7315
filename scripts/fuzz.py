"""Reads damaged and invented workflow files, and tells what breaks the reader or keeps it busy.

    python scripts/fuzz.py [CASES] [--seed N] [--keep DIRECTORY]

Seeds are official templates, the media of the tests and, where it is there, ``../shared/corpus``.
Most cases are read in this process, under a time limit; one in ten by the child process, as
the daemon does it. What is measured is processor time, since the machine may have other work.
Ends with status 1 if anything crashed, hung, took over a second or more memory than it may.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from comfywatchman.analyze.formats import Limits, read_workflow  # noqa: E402 - the path comes first
from comfywatchman.analyze.loaders import Tables  # noqa: E402 - the path comes first
from comfywatchman.domain.references import WorkflowContent  # noqa: E402 - the path comes first
from comfywatchman.parsing.parser import Parser  # noqa: E402 - the path comes first
from comfywatchman.parsing.tables import shipped_tables  # noqa: E402 - the path comes first
from comfywatchman.parsing.wire import Answer  # noqa: E402 - the path comes first

MEDIA = ROOT / "tests/analyze/media"
CORPUS = ROOT / "../shared/corpus"
LARGEST_SEED = 400_000
"""Bytes: larger ones are slow to change and find no more."""

LARGEST_CASE = 2_000_000
"""Bytes: that a huge file takes its time is another question, which the bench asks."""

SLOW_SECONDS = 1.0
STUCK_SECONDS = 20.0
_ONE_BY_CHILD = 10


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
    """Bytes by which the largest memory of this process went up, making the files included."""

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


# -- changing files


def mutant(chosen: random.Random, files: Sequence[bytes]) -> bytes:
    """Return a damaged or invented file."""
    seed = chosen.choice(files)
    if seed[:1] in {b"{", b"["} and chosen.random() < 0.7:
        changed = _changed_json(chosen, seed)
        if changed is not None and len(changed) < LARGEST_CASE:
            return changed
    data = bytearray(seed)
    for _ in range(chosen.choice((1, 1, 2, 4, 16))):
        chosen.choice(_DAMAGES)(chosen, data)
    if chosen.random() < 0.05:
        other = chosen.choice(files)
        data += other[chosen.randrange(len(other) or 1) :]
    return bytes(data)


def _spot(chosen: random.Random, data: bytearray, longest: int) -> slice:
    """Return a stretch; half of them near the beginning, where headers are."""
    end = len(data) if chosen.random() < 0.5 else min(len(data), 256)
    start = chosen.randrange(end) if end else 0
    return slice(start, start + chosen.randrange(1, longest + 1))


def _flip(chosen: random.Random, data: bytearray) -> None:
    if data:
        data[_spot(chosen, data, 1).start] ^= 1 << chosen.randrange(8)


def _overwrite(chosen: random.Random, data: bytearray) -> None:
    spot = _spot(chosen, data, 1)
    width = chosen.choice((1, 2, 4, 8))
    number = chosen.choice((0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), 127, len(data)))
    number &= (1 << 8 * width) - 1
    data[spot.start : spot.start + width] = number.to_bytes(width, chosen.choice(("big", "little")))


def _cut(chosen: random.Random, data: bytearray) -> None:
    del data[_spot(chosen, data, 64)]


def _break_off(chosen: random.Random, data: bytearray) -> None:
    del data[_spot(chosen, data, 1).start :]


def _repeat(chosen: random.Random, data: bytearray) -> None:
    spot = _spot(chosen, data, 256)
    data[spot.start : spot.start] = data[spot] * chosen.choice((1, 2, 50))


def _noise(chosen: random.Random, data: bytearray) -> None:
    data[_spot(chosen, data, 8)] = chosen.randbytes(chosen.randrange(1, 16))


_DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _overwrite, _overwrite, _cut, _break_off, _repeat, _noise,
)  # fmt: skip


def _changed_json(chosen: random.Random, seed: bytes) -> bytes | None:
    try:
        value = json.loads(seed)
    except ValueError:
        return None
    places = list(_places(value))
    for _ in range(chosen.choice((1, 2, 5, 20))):
        if places:
            holder, key = chosen.choice(places)
            if _is_there(holder, key):
                _change(chosen, holder, key, value, places)
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # a part was put into itself
        return None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    stack = [value]
    while stack:
        here = stack.pop()
        keys: Any = here if isinstance(here, dict) else range(len(here))
        for key in keys:
            yield here, key
            if isinstance(here[key], dict | list):
                stack.append(here[key])


def _is_there(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _change(
    chosen: random.Random, holder: Any, key: Any, root: Any, places: Sequence[tuple[Any, Any]]
) -> None:
    match chosen.randrange(7):
        case 0:
            holder.pop(key)
        case 6 if isinstance(root, dict):
            _tangle(chosen, root)
        case 1:
            other, where = chosen.choice(places)
            holder[key] = copy.deepcopy(other[where]) if _is_there(other, where) else None
        case 2 if isinstance(root, dict):
            definitions = root.get("definitions")
            holder[key] = _any_id(definitions) or _odd(chosen)
        case 3 if isinstance(holder, list):
            holder.extend(holder[: chosen.choice((1, 50))])
        case _:
            holder[key] = _odd(chosen)


def _tangle(chosen: random.Random, root: dict[str, Any]) -> None:
    """Put subgraphs into each other and into many places, and links into circles."""
    nodes = root.get("nodes")
    definitions = root.get("definitions")
    inside = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    if not isinstance(nodes, list) or not isinstance(inside, list) or not inside:
        root["definitions"] = {"subgraphs": [
            {"id": f"d{at}", "nodes": [{"id": n, "type": f"d{chosen.randrange(8)}"}
                                       for n in range(chosen.choice((1, 2, 5)))]}
            for at in range(8)
        ]}  # fmt: skip
        if isinstance(nodes, list):
            nodes.append({"id": "tangle", "type": "d0"})
        return
    known = [each["id"] for each in inside if isinstance(each, dict) and "id" in each]
    for each in [*inside, root]:
        held = each.get("nodes") if isinstance(each, dict) else None
        if isinstance(held, list) and known:
            held.extend({"id": -at, "type": chosen.choice(known)} for at in range(1, 4))


def _any_id(definitions: Any) -> Any:
    try:
        return definitions["subgraphs"][0]["id"]
    except (TypeError, KeyError, IndexError):
        return None


def _odd(chosen: random.Random) -> Any:
    nested: Any = 1
    for _ in range(chosen.choice((1, 30, 190))):
        nested = [nested] if chosen.random() < 0.5 else {"nodes": nested}
    return chosen.choice(
        (None, True, -1, 0, 1e308, -1e308, float("nan"), float("inf"), 1 << 80, "", "\ud800", "4",
         [], {}, nested, "x" * 5000, "embedding:" * 300, "<lora:" * 300, "a.safetensors",
         "C:\\x.pt", "../../x.ckpt", [[]] * 3000,
         {"type": "LoraLoader", "widgets_values": ["a.pt"] * 3000},
         "https://u:p@h/?token=" + "a" * 40, "[](http://" * 300, -10, -20, [["-1", "x"]] * 200),
    )  # fmt: skip


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
        _noted(outcome, content, data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        outcome.crashes.append((f"{type(error).__name__}: {error}", data))
    _timed(outcome, time.process_time() - began, data)


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
        print(f"FAILED: {what} ({len(data)} bytes)")
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / f"case-{number}").write_bytes(data)
    return 0 if outcome.sound else 1


if __name__ == "__main__":
    sys.exit(main())
