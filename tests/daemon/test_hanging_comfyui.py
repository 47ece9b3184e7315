"""A ComfyUI that hangs, drips, or is something else: whoever does not ask it does not notice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.config.settings import ComfyUI, Settings, State
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.nodes import Look, Nodes
from comfywatchman.daemon.watching import Stop
from comfywatchman.domain.files import Measured
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import ModelPlaced, WorkflowAnalyzed
from comfywatchman.domain.references import Analysis, WorkflowContent
from comfywatchman.pipeline.desk import Outcome
from tests.comfyui.serving_comfyui import SmallComfyUI
from tests.daemon.bench import LIMIT, wait_for
from tests.pipeline.office import Office

MANY = 20


@contextmanager
def asking(office: Office, tmp_path: Path, url: str) -> Iterator[Nodes]:
    """The nodes thread, which was told to look once."""
    (tmp_path / "models").mkdir()
    settings = Settings(comfyui=ComfyUI(url=url), state=State(directory=tmp_path / "state"))
    place = Place(tmp_path, read_layout(tmp_path), (), tmp_path / "state")
    nodes = Nodes(settings, place, office.desk, first_lessons(settings)[0])
    thread = threading.Thread(target=nodes.run)
    thread.start()
    nodes.inbox.put(Look())
    try:
        yield nodes
    finally:
        nodes.stopping.set()
        nodes.inbox.put(Stop())
        thread.join(LIMIT)
    assert not thread.is_alive()


def serve(office: Office, nodes: Nodes) -> int:
    """Have as many workflows analyzed and models placed as all others may; return how many."""
    for number in range(MANY):
        path = Path(f"/wf/{number}.json")
        office.desk.submit([AnalyzeWorkflow(path, Cause.CHANGED)])
        row = office.take("analyze")
        analysis = Analysis(path, "", WorkflowContent("json", "ui"))
        nodes.observe(WorkflowAnalyzed(analysis, duration_seconds=0.1))
        nodes.observe(ModelPlaced("loras", "a.pt", path, Measured(1, "0" * 64), "workflow"))
        office.desk.give_back(row, Outcome())
    return MANY - len(office.waiting("analyze"))


@pytest.mark.parametrize("path", ["/system_stats", "/models", "/object_info"])
@pytest.mark.parametrize("how", ["silent", "trickle"])
def test_while_the_server_lets_its_asker_wait_all_others_are_served(
    office: Office, tmp_path: Path, how: str, path: str
) -> None:
    with ExitStack() as thread, SmallComfyUI(models={"loras": []}) as server:
        getattr(server, how).add(path)
        # Ends after the server, whose end is that of every wait.
        nodes = thread.enter_context(asking(office, tmp_path, server.url))
        wait_for(lambda: server.asked(path) > 0)
        since = nodes.heartbeat

        assert serve(office, nodes) == MANY
        assert nodes.heartbeat == since  # it waits still


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/system_stats", 200, b"<html>"),
        ("/system_stats", 502, b"<html>"),
        ("/system_stats", 200, b'{"system": {}}'),
        ("/models", 404, b""),
        ("/models", 200, b'{"another": "version"}'),
        ("/object_info", 200, b"[]"),
        ("/object_info", 500, b"Internal Server Error"),
        ("/internal/folder_paths", 200, b'{"loras": "one", "vae": [1, null]}'),
        ("/internal/folder_paths", 200, b"<html>"),
    ],
)
def test_answers_that_are_none_end_nothing(
    office: Office, tmp_path: Path, path: str, status: int, body: bytes
) -> None:
    with (
        SmallComfyUI(models={"loras": []}, statuses={path: status}, bodies={path: body}) as server,
        asking(office, tmp_path, server.url) as nodes,
    ):
        wait_for(lambda: server.asked(path) > 0)
        assert serve(office, nodes) == MANY
        wait_for(nodes.inbox.empty)
        before = server.asked("/system_stats")
        nodes.inbox.put(Look())
        wait_for(lambda: server.asked("/system_stats") > before)  # the thread lives
