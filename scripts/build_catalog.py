"""Builds comfywatchman/data/catalog.json from the installed official templates.

    python scripts/build_catalog.py            write the file
    python scripts/build_catalog.py --check    say whether the committed file is up to date

Every entry of ``properties.models`` whose name is one of its node's own widget values counts, in
subgraphs too, and on bypassed nodes as well: what one template switches off another person
switches on. One entry a line, in a stable order, so that a refresh is a readable diff.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from comfywatchman.domain.files import folder_name, sha256_or_none
from comfywatchman.resolve.catalog import (
    FORMAT,
    BuiltFrom,
    CatalogEntry,
    CatalogSource,
    entries_of,
)
from comfywatchman.resolve.urls import canonical, filename_of

PACKAGE = "comfyui-workflow-templates-json"
MODULE = "comfyui_workflow_templates_json"
CATALOG = Path(__file__).parents[1] / "comfywatchman" / "data" / "catalog.json"

Key = tuple[str, str]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Build the catalog from the official templates.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    options = parser.parse_args(arguments)
    text = written(list(workflows()))
    entries = entries_of(text, "the new catalog")
    if not options.check:
        CATALOG.write_bytes(text)
        print(f"{CATALOG.name}: {len(entries)} entries from {PACKAGE} {version(PACKAGE)}")
        return 0
    fresh = CATALOG.is_file() and CATALOG.read_bytes() == text
    state = "up to date with" if fresh else "not what would be built from"
    print(f"{CATALOG.name} is {state} {PACKAGE} {version(PACKAGE)}", file=sys.stderr)
    return 0 if fresh else 1


def workflows() -> Iterator[dict[str, Any]]:
    """Yield each template; the package has index files beside them, which are none."""
    templates = files(MODULE) / "templates"
    for file in sorted(templates.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            content = json.loads(file.read_bytes())
            if isinstance(content, dict) and isinstance(content.get("nodes"), list):
                yield content


def written(contents: list[dict[str, Any]]) -> bytes:
    """Return the catalog of *contents* as it is written to the file."""
    used: Counter[tuple[Key, str]] = Counter()
    hashes: dict[tuple[Key, str], str] = {}
    for content in contents:
        for declared in _declared(content):
            key = folder_name(declared["directory"]), declared["name"]
            url = canonical(declared["url"])
            used[key, url] += 1
            sha256 = sha256_or_none(declared.get("hash"))
            if sha256 is not None:
                hashes[key, url] = sha256
    entries = [
        CatalogEntry(*key, tuple(_sources(key, used, hashes)))
        for key in sorted({key for key, _ in used})
    ]
    return _text(entries, BuiltFrom(PACKAGE, version(PACKAGE), len(contents)))


def _declared(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    graphs = [content, *content.get("definitions", {}).get("subgraphs", [])]
    for graph in graphs:
        for node in graph.get("nodes", []):
            values = node.get("widgets_values") or []
            for model in node.get("properties", {}).get("models") or []:
                if model["name"] in values:
                    yield model


def _sources(
    key: Key, used: Counter[tuple[Key, str]], hashes: dict[tuple[Key, str], str]
) -> list[CatalogSource]:
    """List the places of one file: those that call it by its name first, the most used next."""
    urls = [url for other, url in used if other == key]
    urls.sort(key=lambda url: (filename_of(url) != key[1], -used[key, url], url))
    return [CatalogSource(url, hashes.get((key, url))) for url in urls]


def _text(entries: list[CatalogEntry], built_from: BuiltFrom) -> bytes:
    lines = b",\n".join(msgspec.json.encode(entry) for entry in entries)
    header = msgspec.json.encode(built_from)
    return b'{"format":%d,"built_from":%s,"entries":[\n%s\n]}\n' % (FORMAT, header, lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
