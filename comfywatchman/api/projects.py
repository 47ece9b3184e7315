"""Project files: panels with texts, read with every mistake named at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfywatchman.domain.api_errors import ValidationError
from comfywatchman.domain.errors import WatchmanError

Json = Any
_MOST_PANELS = 10_000


@dataclass(frozen=True, slots=True)
class Panel:
    id: str
    prompt: str
    seed: int
    negative: str | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    panels: tuple[Panel, ...]
    size: tuple[int, int] | None = None
    workflow: Json = None
    """A decoded workflow, or the path of its file."""


def read_project(given: Mapping[str, Any] | str | os.PathLike[str]) -> Project:
    """Return the project of decoded JSON, or of its file.

    Raises:
        ValidationError: fields are missing or wrong; all are named.
    """
    base = Path()
    data: object = given
    if isinstance(given, str | os.PathLike):
        base = Path(given).parent
        data = _from_file(Path(given))
    if not isinstance(data, Mapping):
        raise _invalid(["it is no object"])
    wrong: list[str] = []
    project = _project(data, base, wrong)
    if wrong:
        raise _invalid(wrong)
    return project


def _from_file(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ValidationError(
            f"The project {str(path)!r} cannot be read: {error.strerror}.",
            code="file-unreadable",
            remedy="Check the path.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _invalid([f"it is no JSON: {error}"]) from error


def _project(data: Mapping[str, Any], base: Path, wrong: list[str]) -> Project:
    from comfywatchman.comfyui.prompt.changes import seed_of

    seed = data.get("global_seed", data.get("seed", 0))
    if not _is_seed(seed):
        wrong.append(f"global_seed is no whole number from 0: {seed!r}")
        seed = 0
    listed = data.get("panels")
    if not isinstance(listed, list) or not listed:
        wrong.append("panels is missing, or no list with something in it")
        listed = []
    if len(listed) > _MOST_PANELS:
        wrong.append(f"more than {_MOST_PANELS} panels")
        listed = []
    panels = [_panel(each, at, data, wrong) for at, each in enumerate(listed, 1)]
    twice = {panel.id for panel in panels if sum(panel.id == x.id for x in panels) > 1}
    wrong += [f"two panels have the id {each!r}" for each in sorted(twice)]
    own = {panel.id: seed_of(seed, panel.id) for panel in panels if panel.seed < 0}
    seeded = [_seeded(panel, own.get(panel.id)) for panel in panels]
    name = data.get("name", data.get("title", ""))
    workflow = data.get("workflow")
    if isinstance(workflow, str):
        workflow = base / workflow
    elif workflow is not None and not isinstance(workflow, Mapping):
        wrong.append("workflow is neither a path nor an object")
    return Project(str(name), tuple(seeded), _size(data, "", wrong), workflow)


def _panel(each: Json, at: int, data: Mapping[str, Any], wrong: list[str]) -> Panel:
    where = f"panel {at}: "
    if not isinstance(each, Mapping):
        wrong.append(f"{where}it is no object")
        return Panel(str(at), "", 0)
    identity = each.get("id", each.get("panel_id", at))
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        wrong.append(f"{where}its id is neither a text nor a number")
        identity = at
    prompt = each.get("prompt", each.get("positive_prompt"))
    if not isinstance(prompt, str) or not prompt.strip():
        wrong.append(f"{where}prompt is missing, or no text")
        prompt = ""
    seed = each.get("seed", -1)
    if seed != -1 and not _is_seed(seed):
        wrong.append(f"{where}seed is no whole number from 0: {seed!r}")
        seed = 0
    negative = each.get("negative_prompt", data.get("negative_prompt"))
    if negative is not None and not isinstance(negative, str):
        wrong.append(f"{where}negative_prompt is no text")
        negative = None
    return Panel(str(identity), prompt, seed, negative, _size(each, where, wrong))


def _seeded(panel: Panel, seed: int | None) -> Panel:
    if seed is None:
        return panel
    return Panel(panel.id, panel.prompt, seed, panel.negative, panel.size)


def _size(data: Mapping[str, Any], where: str, wrong: list[str]) -> tuple[int, int] | None:
    from comfywatchman.comfyui.prompt.changes import parse_size

    told = data.get("resolution")
    if told is None:
        return None
    try:
        return parse_size(told) if isinstance(told, str) else parse_size("")
    except WatchmanError:
        wrong.append(f"{where}resolution is no size such as 1920x1080: {told!r}")
        return None


def _is_seed(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64


def _invalid(wrong: list[str]) -> ValidationError:
    return ValidationError(
        f"The project cannot be used: {'; '.join(wrong[:20])}.",
        code="settings-invalid",
        remedy="docs/python.md shows what is in one.",
    )
