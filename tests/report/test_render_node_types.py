"""Node types in the report, as rows and in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.domain.packs import NodeTypeState, Pack, Standing, Told
from comfywatchman.domain.references import Analysis, NodeTypeUse, WorkflowContent
from comfywatchman.report.render import Report, report_of, to_html, to_json, to_markdown, to_text

MISSING, INSTALLED = NodeTypeState.MISSING, NodeTypeState.INSTALLED
FANCY = Pack("fancy", "Fancy Nodes", "https://github.com/someone/fancy")
RENDERERS: list[Callable[[Report], str]] = [to_text, to_markdown, to_html]


class Said:
    """Answers as told, for one node type each."""

    def __init__(self, **standings: Standing) -> None:
        self._standings = standings

    def standing(self, use: NodeTypeUse) -> Standing:
        return self._standings.get(use.type, Standing(NodeTypeState.CORE))


def report(types: Said | None, *uses: NodeTypeUse) -> Report:
    content = WorkflowContent("json", "ui", node_types=uses)
    found = [Analysis(Path("/wf/a.json"), "0" * 64, content)]
    return report_of(found, False) if types is None else report_of(found, False, types)


def rows(types: Said | None, *uses: NodeTypeUse) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(to_json(report(types, *uses)))["workflows"][0][
        "node_types"
    ]
    return found


def one_line(text: str) -> str:
    return " ".join(text.replace("\\", "").split())


def test_a_row_has_what_the_contract_promises() -> None:
    use = NodeTypeUse("X", 2, nodes=("4", "57:3"))

    (row,) = rows(Said(X=Standing(MISSING, FANCY, told=Told.NAME)), use)

    assert (row["type"], row["state"], row["count"]) == ("X", "missing", 2)
    assert row["pack"] == {
        "id": "fancy",
        "title": "Fancy Nodes",
        "url": "https://github.com/someone/fancy",
    }
    assert (row["nodes"], row["told"], row["packs"]) == (["4", "57:3"], "name", [])
    assert (row["active"], row["disabled"], row["outdated"], row["loaded"]) == (
        True,
        False,
        False,
        True,
    )


def test_without_any_knowledge_the_file_alone_tells_the_pack() -> None:
    core, other = rows(
        None,
        NodeTypeUse("KSampler", 1, core=True),
        NodeTypeUse("X", 1, "fancy-pack", "someone/fancy-pack"),
    )

    assert (core["state"], other["state"]) == ("core", "unknown")
    assert other["pack"] == {
        "id": "fancy-pack",
        "title": None,
        "url": "https://github.com/someone/fancy-pack",
    }


def test_every_claimant_of_an_ambiguous_type_is_in_the_row() -> None:
    packs = tuple(Pack(f"pack-{number}") for number in range(16))

    (row,) = rows(Said(X=Standing(MISSING, None, packs, Told.NAME)), NodeTypeUse("X", 1))

    assert row["pack"] is None
    assert len(row["packs"]) == 16


@pytest.mark.parametrize("render", RENDERERS)
def test_missing_types_are_said_once_each_with_their_pack(render: Callable[[Report], str]) -> None:
    told = Standing(MISSING, FANCY, told=Told.NAME)
    uses = (NodeTypeUse("X", 9, nodes=("1", "2", "3", "4")), NodeTypeUse("Y", 1, nodes=("7:1",)))

    text = one_line(render(report(Said(X=told, Y=told), *uses)))

    assert "2 node types not installed" in text
    assert "X (nodes 1, 2, 3…), Y (node 7:1): from Fancy Nodes" in text
    assert text.count("Fancy Nodes") == 1
    assert "github.com/someone/fancy" in text


SENTENCES: dict[str, tuple[Standing, str]] = {
    "nobody": (Standing(MISSING), "X: nobody knows from which pack"),
    "several": (
        Standing(MISSING, None, (FANCY, Pack("other")), Told.NAME),
        "X: from one of Fancy Nodes, other",
    ),
    "many": (
        Standing(MISSING, None, tuple(Pack(str(n)) for n in range(6)), Told.NAME),
        "from one of 0, 1, 2, 3 and 2 more",
    ),
    "a guess": (Standing(MISSING, FANCY, told=Told.PATTERN), "perhaps from Fancy Nodes"),
    "off": (
        Standing(MISSING, FANCY, told=Told.DISK, disabled=True),
        "from Fancy Nodes, which is installed and switched off",
    ),
    "old": (
        Standing(MISSING, FANCY, told=Told.CNR_ID, outdated=True),
        "not in the installed version of Fancy Nodes",
    ),
    "not loaded": (
        Standing(INSTALLED, FANCY, told=Told.DISK, loaded=False),
        "X of Fancy Nodes is installed, and the running ComfyUI does not offer it",
    ),
    "old ComfyUI": (Standing(NodeTypeState.CORE, outdated=True), "update ComfyUI"),
}


@pytest.mark.parametrize("kind", SENTENCES)
@pytest.mark.parametrize("render", RENDERERS)
def test_each_case_has_its_sentence(render: Callable[[Report], str], kind: str) -> None:
    standing, sentence = SENTENCES[kind]

    assert sentence in one_line(render(report(Said(X=standing), NodeTypeUse("X", 1))))


@pytest.mark.parametrize("render", RENDERERS)
def test_what_is_installed_is_not_spoken_of(render: Callable[[Report], str]) -> None:
    text = render(report(Said(X=Standing(INSTALLED, FANCY)), NodeTypeUse("X", 1)))

    assert "Fancy" not in text


def test_a_type_of_muted_nodes_alone_is_said_to_be_inactive_and_does_not_count() -> None:
    use = NodeTypeUse("X", 1, active=False)

    text = one_line(to_text(report(Said(X=Standing(MISSING, FANCY, told=Told.NAME)), use)))

    assert "X, not active: from Fancy Nodes" in text
    assert "node type not installed" not in text


def test_missing_node_types_leave_the_state_of_a_workflow_to_its_models() -> None:
    found = report(Said(X=Standing(MISSING, FANCY)), NodeTypeUse("X", 1))

    assert found.workflows[0].state == "ready"


@pytest.mark.parametrize("render", RENDERERS)
def test_names_of_strangers_stay_text(render: Callable[[Report], str]) -> None:
    evil = "<script>alert(1)</script>\x1b[31m\u202e"
    pack = Pack(evil, evil, f"https://github.com/{evil}")

    text = render(
        report(Said(**{evil: Standing(MISSING, pack)}), NodeTypeUse(evil, 1, nodes=(evil,)))
    )

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert render is to_text or "<script>" not in text
