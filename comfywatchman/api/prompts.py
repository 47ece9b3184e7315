"""Workflows as a server takes them: read, converted, and what the server lacks for them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfywatchman.domain.api_errors import ComfyFixerError
from comfywatchman.domain.errors import FileUnreadable, NotAWorkflow, WorkflowUnreadable

if TYPE_CHECKING:
    from comfywatchman.api.comfyui import Workflow
    from comfywatchman.comfyui.prompt import Converted

_LOG = logging.getLogger("comfywatchman.queue")

Json = Any
Document = dict[str, Any]


def document_of_workflow(workflow: Workflow) -> Document:
    """Return the decoded workflow; wrapped prompts (``{"prompt": …}``) are unwrapped.

    Raises:
        FileUnreadable, WorkflowUnreadable, NotAWorkflow: it is none.
    """
    from comfywatchman.comfyui.prompt import is_prompt

    found: object = workflow
    if isinstance(workflow, str | os.PathLike):
        text = os.fspath(workflow)
        found = _decoded(text) if text.lstrip().startswith("{") else _from_file(Path(text))
    if not isinstance(found, Mapping):
        raise NotAWorkflow(
            "This is no workflow: neither an object nor its file.", remedy="Save it again."
        )
    document = dict(found)
    if isinstance(document.get("nodes"), list) or is_prompt(document):
        return document
    inner = document.get("prompt")
    if isinstance(inner, dict) and is_prompt(inner):
        return inner
    raise NotAWorkflow(
        "This is neither a workflow of ComfyUI's editor nor a prompt in API form.",
        remedy="Save or export it from ComfyUI again.",
    )


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkflowUnreadable(
            f"The workflow is no JSON: {error}.", remedy="Save it from ComfyUI again."
        ) from error


def _from_file(path: Path) -> Document:
    """Return what a file holds: in a process of its own it is found out whether it is sound."""
    from comfywatchman.analyze.limits import Limits
    from comfywatchman.api.nodes import document_of
    from comfywatchman.api.scanner import WorkflowScanner

    with WorkflowScanner() as scanner:
        scanned = scanner.scan_workflow(path)
    try:
        with path.open("rb") as source:
            return document_of(source, scanned.metadata.get("taken"), Limits())
    except OSError as error:
        raise FileUnreadable(
            f"{str(path)!r} cannot be read: {error.strerror}.", remedy="Check the path."
        ) from error


def prompt_of(workflow: Workflow, object_info: Callable[..., Json]) -> Document:
    """Return the prompt; *object_info* gives the server's node types, ``again=True`` newer ones.

    Raises:
        PromptRefused: the server lacks node types of it.
    """
    from comfywatchman.comfyui.prompt import is_prompt

    document = document_of_workflow(workflow)
    if is_prompt(document):
        return document
    converted = _converted(document, object_info())
    if converted.unknown:  # a pack may have been installed since
        converted = _converted(document, object_info(again=True))
    if converted.unknown:
        raise _lacking(converted.unknown)
    if not converted.prompt:
        raise NotAWorkflow(
            "Nothing of the workflow reaches the server: every node is muted, bypassed or a note.",
            remedy="Switch nodes on in ComfyUI.",
        )
    for kind, node in converted.left.items():
        _LOG.warning(
            "node %s (%s): values that only a script of its pack can name are not sent", node, kind
        )
    return converted.prompt


def _converted(document: Document, info: Json) -> Converted:
    from comfywatchman.comfyui.prompt import NodeTypes, to_prompt

    return to_prompt(document, NodeTypes(info), now=datetime.now().astimezone())


def _lacking(unknown: Mapping[str, str]) -> Exception:
    from comfywatchman.comfyui.client.refusals import MISSING_NODE, refused
    from comfywatchman.domain.run_errors import Problem

    problems = tuple(
        Problem(MISSING_NODE, f"the server has no node type {kind!r}", node, kind)
        for kind, node in unknown.items()
    )
    return refused("The server lacks node types of the workflow", problems)


@contextmanager
def every_missing_type(prompt: Document, object_info: Callable[[], Json]) -> Iterator[None]:
    """Have a refusal for one unknown node type name all of them: servers stop at the first."""
    from comfywatchman.comfyui.client.refusals import MISSING_NODE
    from comfywatchman.domain.run_errors import PromptRefused

    try:
        yield
    except PromptRefused as error:
        if not any(problem.kind == MISSING_NODE for problem in error.details.problems):
            raise
        try:
            known = object_info()
        except ComfyFixerError:  # what is known already is told then
            known = None
        unknown = {
            node["class_type"]: number
            for number, node in reversed(prompt.items())
            if isinstance(known, Mapping) and node["class_type"] not in known
        }
        if not unknown:
            raise
        raise _lacking(dict(reversed(unknown.items()))) from error
