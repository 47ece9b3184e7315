"""Prints how many of the node types that packs register are found by reading their source.

    python scripts/node_packs.py DIRECTORY [--map extension-node-map.json]
        [--server object_info.json [--models models.json]] [--wrong]

DIRECTORY holds packs, as ``custom_nodes`` does. What is read is compared with the node map of
ComfyUI-Manager, where a pack is in it by its git remote or by ``OWNER+NAME`` as its directory, and
with what a ComfyUI that had the same packs answered to ``/object_info``: there the truth is what
was imported. With the lists of ``/models/…`` as well (one object, by folder) it prints how the
lines that would be learned for node types of the shipped loader table agree with that table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfywatchman.analyze.lessons import lessons, read_served
from comfywatchman.analyze.loaders import Rule, read_tables
from comfywatchman.comfyui.packs import identify, is_enabled, list_packs
from comfywatchman.comfyui.source.registered import Registered, registered
from comfywatchman.comfyui.standing import OF_PACKS
from comfywatchman.parsing.tables import shipped_tables


@dataclass(frozen=True)
class Read:
    """A pack, and what reading it told."""

    path: Path
    found: Registered
    seconds: float


def main() -> None:
    arguments = argparse.ArgumentParser(description="Score the reading of node packs.")
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("--map", type=Path, help="the node map")
    arguments.add_argument("--server", type=Path, help="an answer to /object_info")
    arguments.add_argument("--models", type=Path, help="the answers to /models/…, by folder")
    arguments.add_argument("--wrong", action="store_true", help="list what differs")
    given = arguments.parse_args()
    packs = [read(path) for path in list_packs([given.directory]).packs if is_enabled(path)]
    slowest = max(packs, key=lambda each: each.seconds)
    print(
        f"{len(packs)} packs with {sum(len(each.found.types) for each in packs)} node types, "
        f"read in {sum(each.seconds for each in packs):.1f} s of a processor, "
        f"the slowest ({slowest.path.name}) in {slowest.seconds:.1f} s; "
        f"{sum(not each.found.complete for each in packs)} may have more than was found"
    )
    say: Callable[[str], None] = print if given.wrong else lambda _line: None
    if given.map is not None:
        against_map(packs, json.loads(given.map.read_bytes()), say)
    if given.server is not None:
        against_server(packs, given.server.read_bytes(), say)
    if given.server is not None and given.models is not None:
        learned(given.server.read_bytes(), json.loads(given.models.read_bytes()), say)


def read(path: Path) -> Read:
    began = time.process_time()
    found = registered(str(path))
    return Read(path, found, time.process_time() - began)


def against_map(packs: list[Read], told: dict[str, Any], say: Callable[[str], None]) -> None:
    """Compare with the map, which lists what a program of its own found in the same sources."""
    by_name = {
        "/".join(address.rstrip("/").removesuffix(".git").lower().split("/")[-2:]): set(entry[0])
        for address, entry in told.items()
    }
    listed = there = right = compared = 0
    for pack in packs:
        name = identify(pack.path).repository or pack.path.name.replace("+", "/", 1).lower()
        types = by_name.get(name)
        if types is None:
            continue
        written = "\0".join(sources(pack.path))
        present = {each for each in types if each in written}
        compared += 1
        listed, there = listed + len(types), there + len(present)
        right += len(present & pack.found.types)
        for each in sorted(present - pack.found.types):
            say(f"  in the map alone: {pack.path.name}: {each}")
    print(
        f"node map: {listed} types of {compared} packs, of which the sources here have {there}; "
        f"found {right}, {share(right, there)}"
    )


def sources(path: Path) -> Iterator[str]:
    files = path.rglob("*.py") if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            yield file.read_text("utf-8", "replace")


def against_server(packs: list[Read], object_info: bytes, say: Callable[[str], None]) -> None:
    """Compare with what was imported; further types may want something that was not there."""
    by_pack: dict[str, set[str]] = {}
    for served, _ in read_served(object_info):
        if served.module.startswith(OF_PACKS):
            by_pack.setdefault(served.module.removeprefix(OF_PACKS), set()).add(served.type)
    found = {pack.path.name: pack.found.types for pack in packs}
    right = more = 0
    for name, types in by_pack.items():
        read_here = found.get(name, frozenset())
        right, more = right + len(types & read_here), more + len(read_here - types)
        for each in sorted(types - read_here):
            say(f"  offered and not found: {name}: {each}")
        for each in sorted(read_here - types):
            say(f"  found and not offered: {name}: {each}")
    offered = sum(map(len, by_pack.values()))
    print(
        f"server: {offered} types of {len(by_pack)} packs, found {right}, {share(right, offered)}; "
        f"{more} of these packs not offered"
    )


def learned(object_info: bytes, folders: dict[str, list[str]], say: Callable[[str], None]) -> None:
    """Compare the lines that would be learned with the shipped ones for the same node types."""
    shipped = shipped_tables()
    both = same = other = 0
    for served, lines in lessons(object_info, folders, lambda _type: False):
        rules = shipped.rules_of(served.type)
        for line in lines if rules else ():
            (own,) = read_tables("", "", [line]).rules_of(served.type) or ()
            both += 1
            same += any(agrees(own, rule) for rule in rules or ())
            if not any(agrees(own, rule) for rule in rules or ()):
                say(f"  learned otherwise: {line}")
        other += 0 if rules else len(lines)
    print(
        f"lessons: {both} lines for node types of the shipped table, {same} as it has them; "
        f"{other} for other node types"
    )


def agrees(own: Rule, shipped: Rule) -> bool:
    """Whether the shipped line means the same widget and the first folder of the learned one."""
    return own.spot == shipped.spot and own.folders[0] in shipped.folders


def share(part: int, whole: int) -> str:
    return f"{part / max(1, whole):.1%}"


if __name__ == "__main__":
    main()
