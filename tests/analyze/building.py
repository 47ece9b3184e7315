"""Small workflows, built where they are needed, and how to read them."""

from __future__ import annotations

import json
import struct
import zlib
from io import BytesIO
from typing import Any

from comfywatchman.analyze.formats import Limits, read_workflow
from comfywatchman.analyze.loaders import Tables
from comfywatchman.domain.references import Lookup, ModelReference, Remark, WorkflowContent
from comfywatchman.parsing.tables import shipped_tables

Json = dict[str, Any]
SHIPPED = shipped_tables()
_NOT_FILES = {Lookup.AUTODOWNLOAD, Lookup.DYNAMIC}


def node(number: int | str, kind: str, *values: object, **more: object) -> Json:
    return {"id": number, "type": kind, "mode": 0, "widgets_values": list(values), **more}


def socket(name: str, link: int | str | None) -> Json:
    """A widget that can be linked."""
    return {"name": name, "type": "COMBO", "link": link, "widget": {"name": name}}


def graph(*nodes: Json, links: list[Any] | None = None, **more: object) -> Json:
    return {"version": 0.4, "nodes": list(nodes), "links": links or [], **more}


def with_subgraphs(*definitions: Json) -> Json:
    return {"definitions": {"subgraphs": list(definitions)}}


def definition(
    name: str, *nodes: Json, links: list[Json] | None = None, inputs: list[str] | None = None
) -> Json:
    return {
        "id": name,
        "name": name,
        "inputNode": {"id": -10},
        "outputNode": {"id": -20},
        "inputs": [{"id": each, "name": each, "type": "COMBO"} for each in inputs or []],
        "outputs": [],
        "nodes": list(nodes),
        "links": links or [],
    }


def from_input(link: int, slot: int, target: int, target_slot: int = 0) -> Json:
    """A link from the input of a definition to a node inside."""
    return {
        "id": link,
        "origin_id": -10,
        "origin_slot": slot,
        "target_id": target,
        "target_slot": target_slot,
        "type": "COMBO",
    }


def read_bytes(
    data: bytes,
    tables: Tables = SHIPPED,
    limits: Limits | None = None,
    *,
    findings: bool = False,
) -> WorkflowContent:
    return read_workflow(BytesIO(data), "workflow", tables, limits or Limits(), findings=findings)


def read(workflow: object, *extra: str) -> WorkflowContent:
    tables = shipped_tables(extra) if extra else SHIPPED
    return read_bytes(json.dumps(workflow).encode(), tables)


def references(workflow: object, *extra: str) -> list[ModelReference]:
    content = read(workflow, *extra)
    assert content.trouble is None
    return list(content.references)


def named(workflow: object, *extra: str) -> list[tuple[str | None, str]]:
    """Return folder and name of each file that an active node names."""
    return [
        (reference.folder, reference.name)
        for reference in references(workflow, *extra)
        if reference.active and reference.lookup not in _NOT_FILES
    ]


def findings(workflow: object) -> list[Remark]:
    source = BytesIO(json.dumps(workflow).encode())
    content = read_workflow(source, "w.json", SHIPPED, Limits(), findings=True)
    assert content.trouble is None
    return list(content.findings)


def places(workflow: object) -> list[tuple[str, str]]:
    return [(each.code, each.pointer) for each in findings(workflow)]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def text_chunk(key: str, value: str) -> bytes:
    return chunk(b"tEXt", key.encode() + b"\0" + value.encode())
