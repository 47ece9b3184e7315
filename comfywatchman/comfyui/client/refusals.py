"""What a server's refusals and failures mean. Pure.

Source: captured answers of ComfyUI 0.3.64 (``execution.py``, ``validate_prompt``), and the texts
that the editor itself looks for (runtimeErrorMatcher.ts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from comfywatchman.comfyui.client.messages import Run
from comfywatchman.domain.run_errors import (
    Details,
    Problem,
    PromptRefused,
    RunFailed,
    RunInterrupted,
    VramOverflow,
)

Json = Any

MISSING_NODE = "missing_node_type"
_MOST_TOLD = 5
_OUT_OF_MEMORY = re.compile(
    r"out of memory on your gpu|cuda out of memory|gpu out of memory|allocation on device|"
    r"hip out of memory|mps backend out of memory|xpu out of memory|"
    r"out of memory\. tried to allocate",
    re.IGNORECASE,
)
_OOM_TYPES = ("OutOfMemoryError", "OOMError", "OutOfMemoryException")
_UNKNOWN = re.compile(r"node (.+) does not exist")
_MISSING_FILE = re.compile(
    r"no such file or directory|not found|could not find|does not exist|cannot find|is not a file|"
    r"none.*get_full_path|expected str, bytes or os\.pathlike object, not nonetype|"
    r"'nonetype' object has no attribute 'lower'",
    re.IGNORECASE,
)
_DAMAGED = re.compile(
    r"header too large|corrupt|incomplete|invalid header|deserializing header|invalid load key|"
    r"metadataincompletebuffer|headertoolarge|pytorchstreamreader|is not a valid",
    re.IGNORECASE,
)


def problems_of(answer: Mapping[str, Json]) -> tuple[Problem, ...]:
    """Return everything that an answer to ``POST /prompt`` has against nodes."""
    nodes = answer.get("node_errors")
    found = [p for node, told in _items(nodes) for p in _of_node(node, told)]
    error = _mapping(answer.get("error"))
    kind = str(error.get("type", ""))
    if kind in {"invalid_prompt", MISSING_NODE} and not found:
        found.append(_unknown_type(error))
    return tuple(found)


def _of_node(node: str, told: Mapping[str, Json]) -> Iterator[Problem]:
    kind = str(told.get("class_type", ""))
    errors = told.get("errors")
    for error in errors if isinstance(errors, list) else ():
        each = _mapping(error)
        extra = _mapping(each.get("extra_info"))
        text = ": ".join(str(each[key]) for key in ("message", "details") if each.get(key))
        yield Problem(
            str(each.get("type", "")),
            text[:1000],
            node,
            kind,
            str(extra.get("input_name", "")),
            extra.get("received_value"),
            _choices(extra.get("input_config")),
        )


def _choices(config: Json) -> tuple[str, ...] | None:
    if not isinstance(config, list) or not config:
        return None
    listed = config[0]
    if not isinstance(listed, list) and len(config) > 1:
        listed = _mapping(config[1]).get("options")
    return tuple(str(each) for each in listed) if isinstance(listed, list) else None


def _unknown_type(error: Mapping[str, Json]) -> Problem:
    extra = _mapping(error.get("extra_info"))
    message = str(error.get("message", ""))
    match = _UNKNOWN.search(message)
    kind = str(extra.get("class_type") or (match[1] if match else ""))
    node = str(extra.get("node_id") or str(error.get("details", "")).partition("#")[2].strip("'"))
    return Problem(MISSING_NODE if kind else "invalid_prompt", message, node, kind)


def refusal(
    answer: Mapping[str, Json], problems: tuple[Problem, ...] | None = None
) -> PromptRefused:
    """Return the error for an answer that refuses a prompt; *problems* where more are known."""
    found = problems_of(answer) if problems is None else problems
    error = _mapping(answer.get("error"))
    told = ": ".join(str(error[key]) for key in ("message", "details") if error.get(key))
    if not told and isinstance(answer.get("error"), str):
        told = str(answer["error"])
    return refused(told or "The server refuses the prompt", found)


def refused(told: str, problems: tuple[Problem, ...]) -> PromptRefused:
    lines = [str(problem) for problem in problems[:_MOST_TOLD]]
    if len(problems) > _MOST_TOLD:
        lines.append(f"and {len(problems) - _MOST_TOLD} more")
    cause = " ".join([told.rstrip(".") + ".", *(line.rstrip(".") + "." for line in lines)])
    return PromptRefused(cause[:4000], remedy=_remedy(problems)).with_details(
        Details(problems=problems)
    )


def _remedy(problems: tuple[Problem, ...]) -> str:
    kinds = {problem.kind for problem in problems}
    if MISSING_NODE in kinds:
        return "Install the node packs (`comfywatchman analyze` names them), and restart ComfyUI."
    if "value_not_in_list" in kinds:
        return (
            "`comfywatchman fix` brings models that are missing; other values are to be corrected."
        )
    return "Open the workflow in ComfyUI, which marks the nodes."


def failure_of(run: Run) -> RunFailed | RunInterrupted:
    """Return the error for a run that did not end well."""
    told = run.failure
    details = Details(
        run.prompt_id,
        str(told.get("node_id", "")),
        str(told.get("node_type", "")),
        str(told.get("exception_type", "")),
        tuple(str(line) for line in told.get("traceback") or ()),
    )
    where = f"node {details.node_id} ({details.node_type})" if details.node_id else "the run"
    if run.ended == "interrupted":
        return RunInterrupted(
            f"The run was interrupted at {where}.", remedy="Queue it again."
        ).with_details(details)
    message = str(told.get("exception_message", "")).strip() or "The server does not say why"
    cause = f"{where[0].upper()}{where[1:]} failed: {message[:1500]}"
    if is_out_of_memory(details.exception_type, message):
        return VramOverflow(
            cause,
            remedy="A smaller picture or batch, or a model of lower precision; `free` unloads what "
            "other runs left.",
        ).with_details(details)
    return RunFailed(cause, remedy=_run_remedy(message, details)).with_details(details)


def is_out_of_memory(exception_type: str, message: str) -> bool:
    """Say whether a failure is that of a graphics card that is too small."""
    return exception_type.endswith(_OOM_TYPES) or bool(_OUT_OF_MEMORY.search(message))


def names_a_missing_file(failure: Mapping[str, Json]) -> bool:
    """Say whether a run failed because a file is not there, or is no model."""
    kind = str(failure.get("exception_type", ""))
    message = str(failure.get("exception_message", ""))
    return (
        kind.endswith(("FileNotFoundError", "SafetensorError"))
        or bool(_MISSING_FILE.search(message))
        or bool(_DAMAGED.search(message))
    )


def _run_remedy(message: str, details: Details) -> str:
    if details.exception_type.endswith("SafetensorError") or _DAMAGED.search(message):
        return "`comfywatchman inventory verify` finds damaged model files."
    if details.exception_type.endswith("FileNotFoundError") or _MISSING_FILE.search(message):
        return "`comfywatchman fix` brings what the workflow lacks."
    return "ComfyUI's own log has the whole story."


def _items(value: Json) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for key, each in value.items() if isinstance(value, dict) else ():
        yield str(key), _mapping(each)


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}
