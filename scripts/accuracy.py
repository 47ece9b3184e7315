"""Prints how exactly and how fast workflows are read: the official templates, a folder of others.

    python scripts/accuracy.py [CORPUS] [--wrong]

CORPUS is a folder with truth.json (default: ``../shared/corpus``, where it is there); without it
only the templates are scored. ``--wrong`` lists every row that is missed or too many. What the
columns mean, and what the lines below ours are for, is in ``docs/accuracy.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import comfyui_workflow_templates_json

from comfywatchman.analyze.formats import Limits, read_workflow
from comfywatchman.analyze.loaders import Tables
from comfywatchman.domain.files import MODEL_SUFFIXES, folder_name
from comfywatchman.domain.references import Lookup, WorkflowContent
from comfywatchman.parsing.tables import shipped_tables

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.prompts import score as prompt_score

Row = tuple[str | None, str]
_NOT_FILES = {Lookup.AUTODOWNLOAD, Lookup.DYNAMIC}
_TEMPLATES = Path(comfyui_workflow_templates_json.__file__).parent
_CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpus"

Reader = Callable[[Path], set[Row]]
"""Tells the active files that a workflow names."""


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
            f"{title:<24}{self.files:>7}{self.right:>8}{len(self.missed):>8}{len(self.extra):>7}"
            f"{recall:>9.2%}{precision:>11.2%}{self.exact / max(1, self.files):>9.2%}"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description="Score the analysis of workflows.")
    arguments.add_argument("corpus", type=Path, nargs="?", default=_CORPUS)
    arguments.add_argument("--wrong", action="store_true", help="list what is wrong")
    given = arguments.parse_args()
    tables = shipped_tables()
    scores = {"templates": template_score(tables)}
    if given.corpus.is_dir():
        scores["corpus"] = corpus_score(given.corpus, tables)
        scores |= comparisons(given.corpus, tables)
    print(f"{'':<24}  files   right  missed  extra   recall  precision    exact")
    for title, score in scores.items():
        print(score.row(title))
        if given.wrong and title in {"templates", "corpus"}:
            for sign, rows in (("-", score.missed), ("+", score.extra)):
                for file, row in rows:
                    print(f"  {sign} {file}: {row[0]} / {row[1]}")
    if given.corpus.is_dir():
        print(fetched_by_nodes(given.corpus, tables, wrong=given.wrong))
        captures = given.corpus / "../comfyui-captures"
        if captures.is_dir():
            print(prompt_score(given.corpus, captures).report())
    ours, judged, plain = speed(tables)
    print(f"templates, each opened and read: json.loads alone {plain:.3f} s")
    print(f"  analyzed: {ours:.3f} s, {ours / plain:.2f}x")
    print(f"  with findings, as `analyze` does: {judged:.3f} s, {judged / plain:.2f}x")


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
    return _scored(corpus, lambda path: active_rows(read(path, tables)))


def _scored(corpus: Path, reader: Reader, *, by_name: bool = False) -> Score:
    score = Score()
    for record in _records(corpus):
        rows = [row for row in record["references"] if row["active"]]
        wanted = {_row(row, by_name=by_name) for row in rows if row["certain"]}
        unsure = {_row(row, by_name=by_name) for row in record["references"] if not row["certain"]}
        unsure |= {(None, name) for name in record["autodownload"]} if by_name else set()
        score.add(record["file"], wanted - unsure, reader(corpus / record["file"]), unsure)
    return score


def _records(corpus: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((corpus / "truth.json").read_bytes())
    return records


def _row(row: dict[str, Any], *, by_name: bool) -> Row:
    return None if by_name else row["folder"], row["name"]


def comparisons(corpus: Path, tables: Tables) -> dict[str, Score]:
    """Return what simpler ways to read the same files come to."""
    core = Tables({kind: rules for kind, rules in tables.rules.items() if kind in tables.core})
    bare = Tables({})
    return {
        "  without packs' lines": corpus_score(corpus, core),
        "  general rule alone": corpus_score(corpus, bare),
        "  suffixes, names only": _scored(corpus, _suffixed, by_name=True),
    }


def _suffixed(path: Path) -> set[Row]:
    """Return every text in a JSON file that ends like a model file."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        return set()
    return {(None, text.replace("\\", "/")) for text in _texts(value)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.lower().endswith(tuple(MODEL_SUFFIXES)) and "\n" not in value:
            yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def fetched_by_nodes(corpus: Path, tables: Tables, *, wrong: bool) -> str:
    """Say how the names are told that nodes fetch by themselves: none may be called missing."""
    told = called_missing = silent = 0
    lines = []
    for record in _records(corpus):
        content = read(corpus / record["file"], tables)
        lookups = {each.name: each.lookup for each in content.references}
        for name in {each.replace("\\", "/") for each in record["autodownload"]}:
            lookup = lookups.get(name)
            told += lookup is Lookup.AUTODOWNLOAD
            silent += lookup is None
            called_missing += lookup not in {None, Lookup.AUTODOWNLOAD}
            if wrong and lookup is not Lookup.AUTODOWNLOAD:
                lines.append(f"\n  {'?' if lookup is None else '!'} {record['file']}: {name}")
    return (
        f"names that nodes fetch by themselves: {told} told as such, {silent} not told,"
        f" {called_missing} called missing{''.join(lines)}"
    )


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


def speed(tables: Tables, rounds: int = 5) -> tuple[float, float, float]:
    """Return seconds for all templates: ours, ours with findings, the plain way; best of some."""
    paths = [path for path, _ in template_files()]

    def ours(*, findings: bool) -> None:
        for path in paths:
            data = BytesIO(path.read_bytes())
            read_workflow(data, path.name, tables, Limits(), findings=findings)

    def plain() -> None:
        for path in paths:
            json.loads(path.read_bytes())

    ways: list[Callable[[], None]] = [
        lambda: ours(findings=False),
        lambda: ours(findings=True),
        plain,
    ]
    took: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        for way, seconds in zip(ways, took, strict=True):
            start = time.process_time()
            way()
            seconds.append(time.process_time() - start)
    return min(took[0]), min(took[1]), min(took[2])


if __name__ == "__main__":
    main()
