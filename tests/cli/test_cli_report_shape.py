"""``analyze --json`` says exactly what the contract and the schema say."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from comfywatchman.report.render import Report
from tests.cli.shell import Shell
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has

WORKFLOW = {"path", "sha256", "container", "format", "state", "error", "references", "node_types"}
REFERENCE = {
    *("folder", "name", "raw", "node", "node_type", "widget", "active", "state"),
    *("path", "size", "sha256", "declared"),
}
CANDIDATE = {"backend", "url", "filename", "size", "sha256", "grade", "evidence", "needs"}
SUMMARY = {
    *("workflows", "ready", "blocked", "unreadable", "references", "present", "missing"),
    "bytes_to_download",
}
ADDED = {
    "workflow": {"taken", "findings"},
    "reference": {"nodes", "found_by", "spelling", "found_in", "hint", "shadows", "error"},
    "candidate": {"page", "size_about", "error", "replacement"},
    "node_type": {"active", "disabled", "loaded", "nodes", "outdated", "packs", "told"},
    "summary": {"ambiguous", "elsewhere", "misspelled", "arriving", "errors"}
    | {"autodownload", "dynamic", "inactive", "not_workflows", "most_wanted"},
}
"""What this program adds to the contract: additions are welcome, and a test for each is not too
much.
"""

Json = Any


@dataclass(frozen=True)
class Look:
    """One call of the command, which all tests here look at."""

    shell: Shell
    hub: Hub
    report: dict[str, Json]

    @property
    def tree(self) -> Tree:
        return self.shell.tree


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    """A report with something of everything."""
    with Hub() as hub:
        tree = Tree(tmp_path_factory.mktemp("look"), hub.url, tuple(hub.hosts))
        shell = Shell(tree)
        yield Look(shell, hub, _made(shell, hub))


@pytest.fixture
def report(look: Look) -> dict[str, Json]:
    return copy.deepcopy(look.report)


@pytest.fixture(scope="module")
def schema(look: Look) -> Json:
    return look.shell.bare("schema", "report").json


def _made(shell: Shell, hub: Hub) -> dict[str, Json]:
    tree = shell.tree
    (tree.models / "loras/here.safetensors").write_bytes(weights("here", 2000))
    promised = Want("promised.safetensors", "vae", "https://civitai.com/models/1", "ab" * 32)
    wants = (
        Want("here.safetensors"),
        has(hub, "new.safetensors"),
        promised,
        Want("../../climbs.safetensors"),
    )
    good = drop(tree.base / "a.json", *wants)
    broken = tree.base / "broken.json"
    broken.write_text("{")
    told = shell("analyze", good, broken, "--json", "--resolve")
    found: dict[str, Json] = told.json
    return found


def test_the_report_has_the_keys_of_the_contract(report: dict[str, Json]) -> None:
    good, broken = report["workflows"]

    assert set(report) == {"schema_version", "workflows", "summary"}
    assert report["schema_version"] == 1
    assert set(report["summary"]) == SUMMARY | ADDED["summary"]
    for row in (good, broken):
        assert set(row) == WORKFLOW | ADDED["workflow"]
    assert good["error"] is None
    assert set(broken["error"]) == {"code", "cause", "remedy"}
    for reference in good["references"]:
        assert set(reference) == REFERENCE | ADDED["reference"] | {"candidates"}
        for candidate in reference["candidates"]:
            assert set(candidate) == CANDIDATE | ADDED["candidate"]
    for remark in (*good["findings"], *broken["findings"]):
        assert set(remark) == {"code", "severity", "pointer", "message", "node", "node_type"}
    for node in good["node_types"]:
        assert set(node) == {"type", "state", "count", "pack"} | ADDED["node_type"]


def test_the_rows_say_what_there_is(report: dict[str, Json], look: Look) -> None:
    hub, tree = look.hub, look.tree
    here, new, promised, climbs = report["workflows"][0]["references"]

    assert here["state"] == "present"
    assert here["path"] == str(tree.models / "loras/here.safetensors")
    assert here["size"] == 2000
    assert here["declared"] is None
    assert new["declared"]["origin"] == "properties.models"
    assert new["declared"]["url"] == "https://huggingface.co/us/loras/resolve/main/new.safetensors"
    assert (new["node"], new["node_type"], new["widget"]) == (
        "2",
        "LoraLoaderModelOnly",
        "lora_name",
    )
    assert new["candidates"][0]["sha256"] == hub.named("new.safetensors").sha256
    assert promised["declared"]["sha256"] == "ab" * 32
    assert (climbs["state"], climbs["path"]) == ("missing", None)
    assert climbs["error"]["code"] == "unsafe-name"
    assert climbs["candidates"] == []


def test_the_sums_are_those_of_the_rows(report: dict[str, Json]) -> None:
    assert {key: report["summary"][key] for key in SUMMARY} == {
        "workflows": 2,
        "ready": 0,
        "blocked": 1,
        "unreadable": 1,
        "references": 4,
        "present": 1,
        "missing": 3,
        "bytes_to_download": sum(
            row["candidates"][0]["size"]
            for row in report["workflows"][0]["references"]
            if row["candidates"]
        ),
    }


def test_the_report_is_what_the_values_of_the_program_say_and_nothing_more(
    report: dict[str, Json],
) -> None:
    read = msgspec.convert(report, Report, strict=True)

    assert msgspec.json.decode(msgspec.json.encode(read)) == report


def test_the_report_fits_the_printed_schema(report: dict[str, Json], schema: Json) -> None:
    assert misfits(report, schema, schema) == []


def test_the_schema_tells_a_report_from_something_else(report: Json, schema: Json) -> None:
    report["workflows"][0]["state"] = "splendid"
    del report["summary"]["ready"]

    assert len(misfits(report, schema, schema)) == 2


_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def misfits(value: Json, schema: Json, root: Json, at: str = "$") -> list[str]:
    """Say where *value* does not fit *schema*, for the part of JSON Schema that is used here."""
    if "$ref" in schema:
        return misfits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema:
        found = [misfits(value, each, root, at) for each in schema["anyOf"]]
        return [] if [] in found else [f"{at} fits none of {len(found)}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at} is {value!r}"]
    if "type" in schema and type(value) is not _TYPES[schema["type"]]:
        return [f"{at} is no {schema['type']}"]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        lost = [f"{at} lacks {key}" for key in schema.get("required", []) if key not in value]
        odd = [f"{at} has {key}" for key in value if key not in known]
        inside = (misfits(value[key], known[key], root, f"{at}.{key}") for key in value)
        return [*lost, *odd, *(chain.from_iterable(inside) if not odd else ())]
    if isinstance(value, list):
        inside = (misfits(v, schema["items"], root, f"{at}[{n}]") for n, v in enumerate(value))
        return list(chain.from_iterable(inside))
    return []
