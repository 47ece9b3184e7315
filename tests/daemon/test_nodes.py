"""The nodes thread's part, driven by the test instead of a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.comfyui.learned import FILE
from comfywatchman.config.analysis import Analyze
from comfywatchman.config.settings import ComfyUI, Settings, State
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.knowing import known_types
from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.nodes import Nodes
from comfywatchman.domain.errors import SettingsInvalid, WatchmanError, WrongAnswer
from comfywatchman.domain.files import Measured
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import ModelPlaced, WorkflowAnalyzed
from comfywatchman.domain.packs import NodeTypeState
from comfywatchman.domain.references import Analysis, NodeTypeUse, WorkflowContent
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.node_types import Bookkeeping, StoredTypes
from comfywatchman.state import workflows
from tests.comfyui.packing import node_map, pack
from tests.comfyui.serving_comfyui import SmallComfyUI, node_class, v1
from tests.pipeline.office import Office

LINE = "Fancy Loader -> loras 0:name file"
WORKFLOW = Path("/wf/a.json")


def loader(*names: str) -> dict[str, object]:
    return node_class("custom_nodes.fancy", {"name": v1(list(names))})


@pytest.fixture
def server() -> Iterator[SmallComfyUI]:
    with SmallComfyUI(
        {"KSampler": node_class(), "Fancy Loader": loader("a.safetensors")},
        {"loras": ["a.safetensors"], "vae": []},
    ) as server:
        yield server


@pytest.fixture
def make(tmp_path: Path, office: Office) -> Callable[[str], Nodes]:
    """Return nodes of one ComfyUI and one state, with the server at an address."""
    root = tmp_path / "ComfyUI"
    for name in ("models", "custom_nodes"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("main.py", "folder_paths.py"):
        (root / name).touch()

    def nodes(url: str) -> Nodes:
        settings = Settings(comfyui=ComfyUI(url=url), state=State(directory=tmp_path / "state"))
        place = Place(root, read_layout(root), (), tmp_path / "state")
        return Nodes(settings, place, office.desk, first_lessons(settings)[0])

    return nodes


def stands(office: Office, nodes: Nodes, kind: str) -> NodeTypeState:
    with office.reader.connect() as connection:
        return StoredTypes(connection, nodes.serving).standing(NodeTypeUse(kind, 1)).state


def used(office: Office, *kinds: str) -> None:
    """Have a workflow known that uses these node types."""
    uses = tuple(NodeTypeUse(kind, 1) for kind in kinds)
    found = Analysis(WORKFLOW, "", WorkflowContent("json", "ui", node_types=uses))
    office.keeper.write(lambda c: workflows.save(c, found, None, 1.0))


def test_a_server_that_runs_teaches_a_loader_and_its_workflow_is_read_again(
    office: Office, make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    used(office, "Fancy Loader")
    nodes = make(server.url)

    nodes.look()

    assert (nodes.up, nodes.serving) == (True, True)
    assert nodes.lessons.lines == (LINE,)
    assert office.waiting("analyze") == [AnalyzeWorkflow(WORKFLOW, Cause.LEARNED)]


def test_a_workflow_that_was_being_read_while_a_server_taught_is_read_again_once(
    office: Office, make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    nodes = make(server.url)
    nodes.look()
    for kind, waiting in (("Other", []), ("Fancy Loader", [WORKFLOW]), ("Fancy Loader", [])):
        content = WorkflowContent("json", "ui", node_types=(NodeTypeUse(kind, 1),))
        nodes.observe(WorkflowAnalyzed(Analysis(WORKFLOW, "", content), duration_seconds=0.5))

        assert office.waiting("analyze") == [AnalyzeWorkflow(p, Cause.LEARNED) for p in waiting]
        if waiting:
            office.desk.give_back(office.take("analyze"), Outcome())


def test_what_was_learned_holds_for_the_next_process_without_a_server(
    make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    make(server.url).look()
    server.__exit__(None, None, None)

    after = make(server.url)
    after.look()
    server.__enter__()

    assert after.up is False
    assert after.lessons.lines == (LINE,)


def test_a_workflow_that_uses_no_such_node_is_left_alone(
    office: Office, make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    used(office, "KSampler", "Other")

    make(server.url).look()

    assert office.waiting("analyze") == []


def test_no_request_is_made_where_the_settings_say_so(make: Callable[[str], Nodes]) -> None:
    nodes = make("")

    nodes.look()

    assert (nodes.up, nodes.serving) == (None, False)


def test_where_no_server_runs_it_is_down_and_that_is_no_trouble(
    office: Office, make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    server.__exit__(None, None, None)
    nodes = make(server.url)

    nodes.look()
    server.__enter__()

    assert (nodes.up, nodes.serving) == (False, False)
    assert office.told == []


def test_a_server_that_goes_on_is_only_probed(
    make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    nodes = make(server.url)
    for _ in range(5):
        nodes.look()

    assert server.asked("/system_stats") == 6  # in the first look before the packs and after
    assert server.asked("/object_info") == 1


@pytest.mark.parametrize("change", ["version", "argv"])
def test_a_server_that_was_started_otherwise_is_asked_again(
    make: Callable[[str], Nodes], server: SmallComfyUI, change: str
) -> None:
    nodes = make(server.url)
    nodes.look()
    server.version, server.argv = ("0.4.0", server.argv) if change == "version" else ("0.3.64", [])
    nodes.look()

    assert server.asked("/object_info") == 2


def test_a_server_that_was_away_is_asked_again(
    make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    nodes = make(server.url)
    nodes.look()
    server.statuses["/system_stats"] = 503
    with pytest.raises(WrongAnswer):
        nodes.look()
    assert (nodes.up, nodes.serving) == (False, False)
    del server.statuses["/system_stats"]
    nodes.look()

    assert server.asked("/object_info") == 2


def test_after_models_came_a_list_may_prove_what_it_could_not(
    make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    server.classes["Fancy Loader"], server.models["loras"] = loader(), []
    nodes = make(server.url)
    nodes.look()
    assert nodes.lessons.lines == ()

    server.classes["Fancy Loader"] = loader("a.safetensors")
    server.models["loras"] = ["a.safetensors"]
    nodes.observe(ModelPlaced("loras", "a", Path("/a"), Measured(1, "0" * 64), "workflow"))
    nodes.look()
    assert nodes.lessons.lines == ()  # not so soon

    nodes.again_seconds = 0.0
    nodes.look()
    assert list(nodes.lessons.lines) == [LINE]


def test_a_list_that_is_empty_now_takes_no_lesson_back(
    make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    nodes = make(server.url)
    nodes.look()
    server.classes["Fancy Loader"], server.models["loras"] = loader(), []
    server.argv = ["main.py", "--again"]
    nodes.look()

    assert nodes.lessons.lines == (LINE,)


FAULTS: dict[str, Callable[[SmallComfyUI], object]] = {
    "no JSON": lambda s: s.bodies.update({"/object_info": b"<html>"}),
    "a list": lambda s: s.bodies.update({"/object_info": b"[]"}),
    "a deep one": lambda s: s.bodies.update({"/object_info": b'{"a": ' * 100_000}),
    "an error": lambda s: s.statuses.update({"/object_info": 500}),
    "lists that are none": lambda s: s.bodies.update({"/models/loras": b"{}"}),
    "folders that are none": lambda s: s.bodies.update({"/models": b"5"}),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_server_that_lies_teaches_nothing_and_what_was_known_stays(
    office: Office, make: Callable[[str], Nodes], server: SmallComfyUI, kind: str
) -> None:
    nodes = make(server.url)
    nodes.look()
    FAULTS[kind](server)
    server.argv = ["main.py", "--again"]

    with pytest.raises(WatchmanError):
        nodes.look()

    assert nodes.lessons.lines == (LINE,)
    assert not nodes.serving
    assert stands(office, nodes, "KSampler") is NodeTypeState.CORE


def test_a_server_that_lies_is_not_asked_for_everything_with_each_probe(
    make: Callable[[str], Nodes], server: SmallComfyUI
) -> None:
    server.bodies["/object_info"] = b"<html>"
    nodes = make(server.url)
    with pytest.raises(WatchmanError):
        nodes.look()
    for _ in range(3):
        nodes.look()

    assert server.asked("/object_info") == 1
    assert nodes.up is True


def test_a_server_is_heard_before_every_pack_is_read_for_the_first_time(
    office: Office,
    make: Callable[[str], Nodes],
    server: SmallComfyUI,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pack(tmp_path / "ComfyUI/custom_nodes", "fancy", "Other Node")
    nodes = make(server.url)
    before: list[NodeTypeState] = []
    read_packs = Bookkeeping.packs

    def noted(books: Bookkeeping, *arguments: Any, **named: Any) -> bool:
        before.append(stands(office, nodes, "Fancy Loader"))
        return read_packs(books, *arguments, **named)

    monkeypatch.setattr(Bookkeeping, "packs", noted)
    nodes.look()
    nodes.look()

    assert before == [NodeTypeState.INSTALLED] * 2
    assert server.asked("/object_info") == 2  # once more, now that the packs are known


def test_a_server_that_fails_does_not_keep_us_from_looking_at_the_disk(
    office: Office, make: Callable[[str], Nodes], server: SmallComfyUI, tmp_path: Path
) -> None:
    pack(tmp_path / "ComfyUI/custom_nodes", "fancy", "A")
    server.statuses["/system_stats"] = 500
    nodes = make(server.url)

    with pytest.raises(WrongAnswer):
        nodes.look()

    assert stands(office, nodes, "A") is NodeTypeState.INSTALLED
    assert stands(office, nodes, "B") is NodeTypeState.MISSING


def test_an_own_line_of_the_user_is_not_replaced_by_a_lesson(
    make: Callable[[str], Nodes], server: SmallComfyUI, tmp_path: Path
) -> None:
    make(server.url).look()
    own = ("Fancy Loader -> vae 0:name",)
    settings = Settings(analyze=Analyze(loaders=own), state=State(directory=tmp_path / "state"))

    lessons, trouble = first_lessons(settings)

    assert (lessons.lines, trouble) == (own, None)


def test_a_lesson_that_is_no_line_or_for_a_known_type_is_passed_over(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / FILE).write_text(
        '{"version": 1, "server_version": "", "learned_at": 0, "lines": ["nonsense", '
        '"LoraLoader -> vae 0:lora_name", "X -> loras 0:name file", "# no -> loras 0:a"]}'
    )

    lessons, trouble = first_lessons(Settings(state=State(directory=state)))

    assert (lessons.lines, trouble) == (("X -> loras 0:name file",), None)


def test_a_wrong_line_of_the_user_is_an_error_as_before(tmp_path: Path) -> None:
    wrong = Settings(analyze=Analyze(loaders=("nonsense",)), state=State(directory=tmp_path))

    with pytest.raises(SettingsInvalid):
        first_lessons(wrong)


# -- what commands know


def analysis(*kinds: str) -> Analysis:
    uses = tuple(NodeTypeUse(kind, 1) for kind in kinds)
    return Analysis(WORKFLOW, "", WorkflowContent("json", "ui", node_types=uses))


def states(nodes: Nodes, *kinds: str) -> list[str]:
    with known_types(nodes.settings, nodes.place, [analysis(*kinds)]) as types:
        return [types.standing(NodeTypeUse(kind, 1)).state.value for kind in kinds]


def test_a_command_without_any_state_looks_by_itself_and_writes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    pack(root / "custom_nodes", "fancy", "A")
    node_map(root / "custom_nodes/ComfyUI-Manager", {"b/two": ["B"]})
    settings = Settings(state=State(directory=tmp_path / "state"))
    place = Place(root, read_layout(root), (), tmp_path / "state")

    with known_types(settings, place, [analysis("A", "B")]) as types:
        here, gone = (types.standing(NodeTypeUse(kind, 1)) for kind in "AB")

    assert (here.state, gone.state) == (NodeTypeState.INSTALLED, NodeTypeState.MISSING)
    assert gone.pack is not None
    assert gone.pack.id == "b/two"
    assert not (tmp_path / "state").exists()


def test_a_command_believes_the_state_as_long_as_the_disk_looks_the_same(
    office: Office, make: Callable[[str], Nodes], tmp_path: Path
) -> None:
    nodes = make("")
    pack(tmp_path / "ComfyUI/custom_nodes", "fancy", "A")
    nodes.look()
    assert states(nodes, "A", "B") == ["installed", "missing"]

    pack(tmp_path / "ComfyUI/custom_nodes", "other", "B")
    assert states(nodes, "A", "B") == ["installed", "installed"]
    assert stands(office, nodes, "B") is NodeTypeState.MISSING  # the state is the daemon's


def test_a_command_knows_what_a_server_told_when_it_ran(
    make: Callable[[str], Nodes], server: SmallComfyUI, tmp_path: Path
) -> None:
    pack(
        tmp_path / "ComfyUI/custom_nodes",
        "fancy",
        init="from elsewhere import M\nNODE_CLASS_MAPPINGS = M",
    )
    nodes = make(server.url)
    nodes.look()
    nodes.look(whole=True)

    assert states(nodes, "Fancy Loader", "Gone") == ["installed", "missing"]


def test_core_types_alone_need_no_look(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    (root / "models").mkdir(parents=True)
    place = Place(root, read_layout(root), (), tmp_path / "state")
    core = Analysis(
        WORKFLOW,
        "",
        WorkflowContent("json", "ui", node_types=(NodeTypeUse("KSampler", 1, core=True),)),
    )

    with known_types(Settings(), place, [core]) as types:
        assert types.standing(core.content.node_types[0]).state is NodeTypeState.CORE
