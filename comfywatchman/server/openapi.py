"""The description of the API, from the table of routes and the types that they answer with."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from comfywatchman.domain.errors import Trouble
from comfywatchman.server.routes import EVENTS, OPERATIONS, Operation

_VARIABLE = re.compile(r"\{(\w+)\}")

# ``Any`` in this module: a JSON document is being written, and that is its type.
Json = dict[str, Any]


class Failure(msgspec.Struct, frozen=True):
    """How every error is answered."""

    error: Trouble


def document(version: str) -> Json:
    """Return the OpenAPI 3.1 document."""
    types = {kind for o in OPERATIONS for kind in (o.answer, o.body) if kind is not None}
    ordered = sorted({*types, Failure}, key=lambda kind: kind.__name__)
    found, components = msgspec.json.schema_components(
        ordered, ref_template="#/components/schemas/{name}"
    )
    schemas = dict(zip(ordered, found, strict=True))
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        described = _operation(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    paths[EVENTS] = {"get": _events()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "comfywatchman",
            "version": version,
            "description": "What the daemon sees, does and asks. POST needs the token.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, schemas: dict[type, Json]) -> Json:
    content: Json = {}
    if operation.answer is not None:
        content = {"content": {"application/json": {"schema": schemas[operation.answer]}}}
    described: Json = {
        "operationId": operation.name,
        "summary": operation.about,
        "parameters": _parameters(operation),
        "responses": {
            str(operation.status): {"description": operation.about, **content},
            "default": _content("What went wrong.", schemas[Failure]),
        },
    }
    if operation.method == "POST":
        described["security"] = [{"token": []}]
    if operation.body is not None:
        body = schemas[operation.body]
        accepted = {"anyOf": [body, {"type": "object"}]} if operation.name == "analyze" else body
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": accepted}},
        }
    return described


def _parameters(operation: Operation) -> list[Json]:
    fixed = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(operation.path)
    ]
    asked = [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
        for name in operation.query
    ]
    return [*fixed, *asked]


def _content(about: str, schema: Json) -> Json:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _events() -> Json:
    about = "Log lines as server-sent events; each data line is one JSON object."
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "events",
        "summary": about,
        "parameters": [],
        "responses": {"200": {"description": about, "content": content}},
    }
