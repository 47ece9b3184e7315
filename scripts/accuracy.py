"""Prints how exactly and how fast workflows are read: the official templates, a folder of others.

    python scripts/accuracy.py [CORPUS] [--wrong]

CORPUS is a folder with truth.json; without it only the templates are scored. ``--wrong`` lists
every row that is missed or too many.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import comfyui_workflow_templates_json

from comfywatchman.analyze.formats import Limits, read_workflow
from comfywatchman.analyze.loaders import Tables
from comfywatchman.domain.files import folder_name
from comfywatchman.domain.references import Lookup, WorkflowContent
from comfywatchman.parsing.tables import shipped_tables

Row = tuple[str | None, str]
_NOT_FILES = {Lookup.AUTODOWNLOAD, Lookup.DYNAMIC}
_TEMPLATES = Path(comfyui_workflow_templates_json.__file__).parent


@dataclass
class Score:
    files: int = 0
    exact: int = 0
    right: int = 0
    missed: list[tuple[str, Row]] = field(default_factory=list)
    extra: list[tuple[str, Row]] = field(default_factory=list)

    def add(self, file: str, wanted: set[Row], got: set[Row], ignored: set[Row]) -> None:
        missed, extra = wanted - got, got - wanted - ignored
        self.files += 1
        self.exact += not missed and not extra
        self.right += len(wanted & got)
        self.missed.extend((file, row) for row in sorted(missed, key=str))
        self.extra.extend((file, row) for row in sorted(extra, key=str))

    def row(self, title: str) -> str:
        recall = self.right / max(1, self.right + len(self.missed))
        precision = self.right / max(1, self.right + len(self.extra))
        return (
            f"{title:<12}{self.files:>7}{self.right:>8}{len(self.missed):>8}{len(self.extra):>7}"
            f"{recall:>9.2%}{precision:>11.2%}{self.exact / max(1, self.files):>9.2%}"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description="Score the analysis of workflows.")
    arguments.add_argument("corpus", type=Path, nargs="?")
    arguments.add_argument("--wrong", action="store_true", help="list what is wrong")
    given = arguments.parse_args()
    tables = shipped_tables()
    scores = {"templates": template_score(tables)}
    if given.corpus is not None:
        scores["corpus"] = corpus_score(given.corpus, tables)
    print(f"{'':<12}  files   right  missed  extra   recall  precision    exact")
    for title, score in scores.items():
        print(score.row(title))
        if given.wrong:
            for sign, rows in (("-", score.missed), ("+", score.extra)):
                for file, row in rows:
                    print(f"  {sign} {file}: {row[0]} / {row[1]}")
    ours, plain = speed(tables)
    print(
        f"templates: {ours:.3f} s to read all, {plain:.3f} s to open and json.loads:"
        f" {ours / plain:.2f}x"
    )


# -- the official templates: what active nodes declare is what they need


def template_files() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(_TEMPLATES.rglob("*.json")):
        data = json.loads(path.read_bytes())
        if isinstance(data, dict) and isinstance(data.get("nodes"), list):
            yield path, data


def template_score(tables: Tables) -> Score:
    score = Score()
    for path, data in template_files():
        content = read(path, tables)
        score.add(path.name, declared(data), active_rows(content), set())
    return score


def declared(data: dict[str, Any]) -> set[Row]:
    definitions = (data.get("definitions") or {}).get("subgraphs") or []
    return set(_declared(data["nodes"], {each["id"]: each for each in definitions}))


def _declared(nodes: list[dict[str, Any]], known: dict[str, dict[str, Any]]) -> Iterator[Row]:
    for node in nodes:
        if node.get("mode") in {2, 4}:
            continue
        if node["type"] in known:
            yield from _declared(known[node["type"]]["nodes"], known)
        for model in (node.get("properties") or {}).get("models") or []:
            yield folder_name(model["directory"]), model["name"]


# -- a folder of real files with the truth beside them


def corpus_score(corpus: Path, tables: Tables) -> Score:
    score = Score()
    for record in json.loads((corpus / "truth.json").read_bytes()):
        content = read(corpus / record["file"], tables)
        rows = [row for row in record["references"] if row["active"]]
        wanted = {(row["folder"], row["name"]) for row in rows if row["certain"]}
        unsure = {
            (row["folder"], row["name"]) for row in record["references"] if not row["certain"]
        }
        score.add(record["file"], wanted - unsure, active_rows(content), unsure)
    return score


def active_rows(content: WorkflowContent) -> set[Row]:
    return {
        (reference.folder, reference.name)
        for reference in content.references
        if reference.active and reference.lookup not in _NOT_FILES
    }


def read(path: Path, tables: Tables) -> WorkflowContent:
    with path.open("rb") as file:
        return read_workflow(file, path.name, tables, Limits())


# -- speed


def speed(tables: Tables, rounds: int = 5) -> tuple[float, float]:
    """Return seconds for all templates, ours and the plain way, the best of some rounds."""
    paths = [path for path, _ in template_files()]
    ours, plain = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        for path in paths:
            read_workflow(BytesIO(path.read_bytes()), path.name, tables, Limits())
        middle = time.perf_counter()
        for path in paths:
            json.loads(path.read_bytes())
        ours.append(middle - start)
        plain.append(time.perf_counter() - middle)
    return min(ours), min(plain)


if __name__ == "__main__":
    main()
