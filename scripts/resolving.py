"""How long it takes to resolve what the catalog knows."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from comfywatchman.config.load import load
from comfywatchman.daemon.lookup import Lookup, lookup
from comfywatchman.demo.hub import Hub
from comfywatchman.domain.candidates import Wanted
from comfywatchman.pipeline.questions import Question
from comfywatchman.resolve.catalog import CatalogFile, shipped
from tests.stories.daemon import Tree

_WANTED_MS = 5.0


def resolving() -> None:
    """Resolve every name of the shipped catalog: first with everything asked, then known."""
    entries = msgspec.json.decode(shipped(), type=CatalogFile).entries
    # One source each: the hub of the demo makes other bytes for each address.
    urls = [entry.sources[0].url for entry in entries]
    every = [
        Wanted(entry.folder, entry.name, (entry.sources[0].url,))
        for entry in entries
        if not any(source.sha256 for source in entry.sources)
    ]
    told: list[Question] = []
    with tempfile.TemporaryDirectory() as base, Hub.from_declared(urls) as hub:
        tree = Tree(Path(base), hub.url, tuple(hub.hosts))
        tree.state.mkdir()
        settings = load({}, {}, tree.config).settings
        with lookup(settings, {}, told.append) as looking:
            _timed(looking, every)
        asked = sum(question.how != "known" for question in told)
        told.clear()
        with lookup(settings, {}, told.append) as looking:
            took, chosen = _timed(looking, every)
    took.sort()
    again = sum(question.how != "known" for question in told)
    p99 = took[int(len(took) * 0.99)]
    print(f"resolving {len(every)} names of the catalog, {chosen} chosen")
    print(f"  questions: {asked} the first time, {again} the second")
    print(
        f"  the second time {statistics.median(took):.2f} ms a reference, p99 {p99:.2f}, "
        f"most {took[-1]:.2f}   (wanted: under {_WANTED_MS:g})"
    )


def _timed(looking: Lookup, every: list[Wanted]) -> tuple[list[float], int]:
    took, chosen = [], 0
    for wanted in every:
        began = time.perf_counter()
        resolution = looking.chosen(wanted, looking.offers(wanted))
        took.append((time.perf_counter() - began) * 1000)
        chosen += bool(resolution.chosen)
    return took, chosen
