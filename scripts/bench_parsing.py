"""How fast workflows are read, and with how much memory: the figures of ``bench.py analyze``.

The time is that of all official templates, opened, read, analyzed and compared with an empty
inventory in one process, against opening them and ``json.loads`` alone in the same run; then with
what `analyze` and the daemon do besides, which no plain reading does: the SHA-256, and the search
for faults and secrets. It is the processor's, since the machine may have other work. The memory is
that of the daemon's way: a file handed to the child process, whose peak and that of its parent are
told.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from comfywatchman.analyze.compare import compare  # noqa: E402 - the path comes first
from comfywatchman.analyze.formats import read_in_memory  # noqa: E402 - the path comes first
from comfywatchman.analyze.limits import Limits  # noqa: E402 - the path comes first
from comfywatchman.parsing.reading import read_answer  # noqa: E402 - the path comes first
from comfywatchman.parsing.tables import shipped_tables  # noqa: E402 - the path comes first
from tests.analyze.comparing import FOLDERS, Shelf  # noqa: E402 - the path comes first

ROUNDS = 9
LARGE = 50_000_000
"""Bytes of each large file."""

_READ_ONE = """
import json, pathlib, sys, time
from comfywatchman.parsing.parser import Parser

def peak(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

with Parser() as parser:
    parser.read_bytes(b"{}", "first")
    child = parser.child_pid
    began = time.perf_counter()
    content = parser.read(pathlib.Path(sys.argv[1])).content
    seconds = time.perf_counter() - began
    alive = parser.child_pid == child
    print(json.dumps({
        "seconds": seconds,
        "child": peak(child) if alive else None,
        "parent": peak("self"),
        "format": content.format,
        "references": len(content.references),
        "trouble": content.trouble and content.trouble.code,
    }))
"""


# -- time


def template_paths() -> list[Path]:
    """Return the official workflows."""
    import comfyui_workflow_templates_json

    paths = sorted(Path(comfyui_workflow_templates_json.__file__).parent.rglob("*.json"))
    return [path for path in paths if _is_workflow(json.loads(path.read_bytes()))]


def _is_workflow(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("nodes"), list)


def whole_reading() -> Callable[[Path], None]:
    """Return what is done for one file: opened, hashed, read, judged and compared."""
    tables, limits, nothing = shipped_tables(), Limits(), Shelf(())

    def read(path: Path) -> None:
        with path.open("rb") as file:
            content = read_answer(file, path.name, tables, limits).content
        if content is not None:
            compare(content, FOLDERS, nothing, separator="/")

    return read


def analysis_alone() -> Callable[[Path], None]:
    """Return what tells the models of one file: opened, read and compared."""
    tables, limits, nothing = shipped_tables(), Limits(), Shelf(())

    def read(path: Path) -> None:
        content = read_in_memory(path.read_bytes(), path.name, tables, limits)
        compare(content, FOLDERS, nothing, separator="/")

    return read


def plain_reading(path: Path) -> None:
    json.loads(path.read_bytes())


def raced(paths: list[Path], ways: list[Callable[[Path], None]], rounds: int) -> list[list[float]]:
    """Return the processor's seconds for each way and round; they take turns, some files each."""
    took: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        seconds = [0.0] * len(ways)
        for start in range(8):
            for number, way in enumerate(ways):
                began = time.process_time()
                for path in paths[start::8]:
                    way(path)
                seconds[number] += time.process_time() - began
        for number, each in enumerate(seconds):
            took[number].append(each)
    return took


def speed(rounds: int = ROUNDS) -> None:
    paths = template_paths()
    ways = {
        "analyzed": analysis_alone(),
        "with findings, as `analyze` does": whole_reading(),
    }
    plain, *ours = raced(paths, [plain_reading, *ways.values()], rounds)
    size = sum(path.stat().st_size for path in paths)
    print(f"{len(paths)} templates, {size / 1e6:.1f} MB, median of {rounds} rounds, each")
    print("opened, read, and compared with an inventory; the last one hashed as well")
    print(f"  {'json.loads alone':<36} {statistics.median(plain):.3f} s")
    for name, took in zip(ways, ours, strict=True):
        ratios = [mine / alone for mine, alone in zip(took, plain, strict=True)]
        print(
            f"  {name:<36} {statistics.median(took):.3f} s: ratio {statistics.median(ratios):.2f},"
            f" {min(ratios):.2f} to {max(ratios):.2f} (wanted: 1.5)"
        )


# -- memory


def made(kind: str, size: int) -> Iterator[bytes]:
    """Yield the pieces of a valid workflow of about *size* bytes."""
    match kind:
        case "many nodes":
            yield from _many_nodes(size)
        case "many samplers":
            yield from _samplers(size)
        case "small nodes":
            yield from _small_nodes(size)
        case "a prompt of samplers":
            yield from _prompt_of_samplers(size)
        case "a history":
            yield from _history(size)
        case "one long text":
            yield from _one_text("A rainy street. ", size)
        case "one long text, not Latin":
            yield from _one_text("\U0001f327 雨の街。 ", size)
        case _:
            yield from _deep(size)


KINDS = (
    "many nodes",
    "many samplers",
    "small nodes",
    "a prompt of samplers",
    "a history",
    "one long text",
    "one long text, not Latin",
    "deep",
)


def _many_nodes(size: int) -> Iterator[bytes]:
    """Yield loaders, samplers and prompts with long lists of values, and links between them."""
    yield b'{"version":0.4,"nodes":['
    written = number = 0
    while written < 0.96 * size:
        node = json.dumps(_node(number)).encode()
        yield (b"," if number else b"") + node
        written += len(node)
        number += 1
    links = [[at, at, 0, at + 1, 0, "MODEL"] for at in range(1, number - 1)]
    yield b'],"links":' + json.dumps(links).encode() + b"}"


def _node(number: int) -> dict[str, object]:
    kind, values = (
        ("UNETLoader", [f"models/number-{number}.safetensors", "default"]),
        ("KSampler", [number, "fixed", 20, 8.0, "euler", "normal", 1.0]),
        ("CLIPTextEncode", [f"a street in the rain, number {number}, " * 20]),
        ("Sequence", [1.5, True, "x", number] * 150),
    )[number % 4]
    return {
        "id": number,
        "type": kind,
        "pos": [number, 20.5],
        "size": {"0": 315, "1": 262},
        "mode": 0,
        "inputs": [{"name": "model", "type": "MODEL", "link": number if number > 1 else None}],
        "outputs": [{"name": "MODEL", "type": "MODEL", "links": [number + 1]}],
        "properties": {"Node name for S&R": kind, "cnr_id": "comfy-core", "ver": "0.3.50"},
        "widgets_values": values,
    }


def _samplers(size: int) -> Iterator[bytes]:
    """Yield nodes of one type, all with links and values, as the editor saves them."""
    number = size // 330
    loader = {"id": 0, "type": "VAELoader", "widgets_values": ["v.safetensors"]}
    yield b'{"version":0.4,"nodes":[' + json.dumps(loader).encode()
    for at in range(1, number):
        yield (
            b',{"id":%d,"type":"KSampler","mode":0,"inputs":[{"name":"model","type":"MODEL",'
            b'"link":%d}],"outputs":[{"name":"LATENT","type":"LATENT","links":[%d]}],'
            b'"properties":{"Node name for S&R":"KSampler"},'
            b'"widgets_values":[%d,"fixed",20,8,"euler","normal",1]}' % (at, at, at + 1, at * 7919)
        )
    links = (b'[%d,%d,0,%d,0,"MODEL"]' % (at, at - 1, at) for at in range(1, number))
    yield b'],"links":[' + b",".join(links) + b"]}"


def _small_nodes(size: int) -> Iterator[bytes]:
    """Yield as many nodes as can be, each with something of its own."""
    loader = {"id": 0, "type": "VAELoader", "widgets_values": ["v.safetensors"]}
    yield b'{"version":0.4,"links":[],"nodes":[' + json.dumps(loader).encode()
    for at in range(1, size // 125):
        yield (
            b',{"id":%d,"type":"KSampler","title":"api_key","widgets_values":[1,"x",{"a":[%d]}],'
            b'"properties":{"token_x":"y%d"}}' % (at, at, at)
        )
    yield b"]}"


def _prompt_of_samplers(size: int) -> Iterator[bytes]:
    yield b'{"0":{"inputs":{"vae_name":"v.safetensors"},"class_type":"VAELoader"}'
    for at in range(1, size // 265):
        yield (
            b',"%d":{"inputs":{"seed":%d,"steps":20,"cfg":8.0,"sampler_name":"euler","scheduler":'
            b'"normal","denoise":1.0,"model":["%d",0],"positive":["%d",0],"negative":["%d",0],'
            b'"latent_image":["%d",0]},"class_type":"KSampler","_meta":{"title":"KSampler"}}'
            % (at, at * 7919, at, at, at, at)
        )
    yield b"}"


def _history(size: int) -> Iterator[bytes]:
    """Yield runs as the server tells them, each with a prompt of some kilobytes."""
    run = b"".join(_prompt_of_samplers(20_000))
    yield b'{"0":{"prompt":[0,"0",' + run + b',{},["1"]]}'
    for at in range(1, size // len(run)):
        yield b',"%d":{"prompt":[%d,"%d",%b,{},["1"]]}' % (at, at, at, run)
    yield b"}"


def _one_text(piece: str, size: int) -> Iterator[bytes]:
    loader = json.dumps({"id": 1, "type": "VAELoader", "widgets_values": ["v.safetensors"]})
    yield b'{"version":0.4,"links":[],"nodes":[' + loader.encode()
    yield b',{"id":2,"type":"Note","widgets_values":["'
    block = piece.encode() * 4096
    for _ in range(size // len(block)):
        yield block
    yield b'"]}]}'


def _deep(size: int) -> Iterator[bytes]:
    yield b'{"version":0.4,"links":[],"nodes":[{"id":1,"type":"VAELoader","widgets_values":'
    yield b'["v.safetensors"]},{"id":2,"type":"X","widgets_values":[0'
    nest = b"," + b'{"a":[' * 200 + b'"b"' + b"]}" * 200
    for _ in range(size // len(nest)):
        yield nest
    yield b"]}]}"


def read_apart(path: Path) -> dict[str, float]:
    """Return what reading one file took, with a parser in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _READ_ONE, str(path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def memory(size: int = LARGE) -> None:
    print(
        f"workflows of {size / 1e6:.0f} MB, each read by the child process (wanted: 256 MB in all)"
    )
    with tempfile.TemporaryDirectory() as directory:
        for kind in KINDS:
            path = Path(directory) / "large.json"
            with path.open("wb") as file:
                file.writelines(made(kind, size))
            told = read_apart(path)
            child, parent = told["child"] or 0, told["parent"]
            trouble = f", {told['trouble']}" if told["trouble"] else ""
            print(
                f"  {kind:25} {told['seconds']:.2f} s, child {child / 1e6:.0f} MB,"
                f" parent {parent / 1e6:.0f} MB, together {(child + parent) / 1e6:.0f} MB;"
                f" {told['references']} references{trouble}"
            )


def analyze() -> None:
    speed()
    memory()


if __name__ == "__main__":
    analyze()
