"""How often the hubs are asked: workflows that share models, and the official templates."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.config.load import load
from comfywatchman.daemon.survey import resolved, survey
from comfywatchman.demo.templates import Templates
from comfywatchman.domain.references import Analysis
from scripts.hub_traps import HUB_TOKEN, STANDIN, stand_in
from tests.stories.daemon import Tree
from tests.stories.hubs import tree_for

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not STANDIN.is_dir(), reason="the stand-in lies beside the team's checkout"),
]


TWO_UPLOADS = "minimax_h3_fl2v_turbo_8step_v1.0_comfyui_bf16.safetensors"


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = Templates.installed().directory
    cache = tmp_path_factory.mktemp("hashes") / "hashes.json"
    with stand_in(cache, folder) as hubs:
        yield hubs


@pytest.fixture
def tree(hubs: Any, tmp_path: Path) -> Tree:
    hubs.reset()
    tree = tree_for(hubs, tmp_path, (HUB_TOKEN,))
    tree.asking = tree.asking.replace('"workflow", ', '"workflow", "catalog", ')
    tree.write_settings()
    tree.state.mkdir()
    return tree


def drop_templates(tree: Tree, count: int) -> None:
    """Drop *count* workflows with models; where there are too few templates, some twice.

    The bytes of the stand-in are its own, so that the hashes of the real ones are left out.
    """
    with_models = [template for template in Templates.installed() if template.models()]
    for number in range(count):
        template = with_models[number % len(with_models)]
        text = template.path.read_text().replace('"hash"', '"real_hash"')
        (tree.workflows / f"{number:03}-{template.name}.json").write_text(text)


def asked_for_all(tree: Tree) -> list[Analysis]:
    """Analyze and resolve everything, as a command does: each time a process that knows nothing."""
    settings = load({}, {"PATH": os.environ["PATH"]}, tree.config).settings
    place, analyses = survey(settings, [str(tree.workflows)])
    return resolved(settings, place, analyses)


def lacking(analyses: list[Analysis]) -> set[tuple[str | None, str, str]]:
    return {
        (finding.reference.folder, finding.reference.name, finding.trouble.code)
        for analysis in analyses
        for finding in analysis.findings
        if finding.trouble is not None
    }


def assert_asked_once(hubs: Any) -> int:
    rows = [(row["host"], row["method"], row["target"]) for row in hubs.log()]
    assert [question for question, times in Counter(rows).items() if times > 1] == []
    return len(rows)


def test_workflows_that_share_models_ask_each_question_once(hubs: Any, tree: Tree) -> None:
    drop_templates(tree, 25)

    first = asked_for_all(tree)
    asked = assert_asked_once(hubs)
    again = asked_for_all(tree)

    assert asked > 10
    assert len(hubs.log()) == asked, "asked again within the lifetime of the answers"
    assert lacking(first) == lacking(again) == set()


def test_300_workflows_ask_each_question_once_and_need_no_search(hubs: Any, tree: Tree) -> None:
    drop_templates(tree, 300)

    found = asked_for_all(tree)
    asked = assert_asked_once(hubs)
    asked_for_all(tree)

    # Templates give two addresses for it, and the stand-in other bytes at each: a true question.
    assert lacking(found) <= {("loras", TWO_UPLOADS, "choice-needed")}
    assert sum(bool(finding.candidates) for a in found for finding in a.findings) > 800
    assert len(hubs.log()) == asked
    assert [row["target"] for row in hubs.log() if row["target"].startswith("/api/")] == []
    assert [row for row in hubs.log() if row["host"] == "civitai"] == []
    assert hubs.stats()["token_leaks"] == []
