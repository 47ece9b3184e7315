"""A running server reads other directories than the files on disk tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.comfyui.told import FILE
from comfywatchman.config.load import Loaded
from comfywatchman.config.settings import ComfyUI, Settings, State
from comfywatchman.daemon.doctor.finding import Subject
from comfywatchman.daemon.doctor.installation import comfyui
from comfywatchman.daemon.installation import Configuration, locate
from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.nodes import Nodes
from comfywatchman.domain.messages import ErrorMet
from tests.comfyui.serving_comfyui import SmallComfyUI
from tests.pipeline.office import Office


@pytest.fixture
def server() -> Iterator[SmallComfyUI]:
    with SmallComfyUI(models={"loras": ["a.safetensors"]}) as server:
        yield server


@pytest.fixture
def nodes(office: Office, server: SmallComfyUI, tmp_path: Path) -> Nodes:
    """The nodes of a ComfyUI beside which another directory has what the server lists."""
    for name in ("ComfyUI/models/vae", "ComfyUI/custom_nodes", "big"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "big/a.safetensors").touch()
    settings = Settings(
        comfyui_root=tmp_path / "ComfyUI",
        comfyui=ComfyUI(url=server.url),
        state=State(directory=tmp_path / "state"),
    )
    return Nodes(settings, locate(settings, {}), office.desk, first_lessons(settings)[0])


def says(server: SmallComfyUI, **folders: Path) -> None:
    said = {name: [str(path)] for name, path in folders.items()}
    server.bodies["/internal/folder_paths"] = json.dumps(said).encode()


def test_the_daemon_begins_anew_with_the_servers_directory_and_once(
    nodes: Nodes, server: SmallComfyUI, tmp_path: Path
) -> None:
    says(server, loras=tmp_path / "big", vae=tmp_path / "ComfyUI/models/vae")
    before = Configuration(nodes.place, nodes.settings)
    nodes.look()

    assert before.changed()
    nodes.place = locate(nodes.settings, {})
    assert nodes.place.layout.folders.folder("loras").write_root == tmp_path / "big"
    after = Configuration(nodes.place, nodes.settings)
    nodes._looked_at = -1e9
    nodes.look()
    assert server.asked("/internal/folder_paths") == 2
    assert not after.changed()

    says(server, loras=tmp_path / "ComfyUI/models/loras", vae=tmp_path / "ComfyUI/models/vae")
    nodes._looked_at = -1e9
    nodes.look()
    assert after.changed()  # it was started otherwise
    assert locate(nodes.settings, {}).layout.folders == nodes.place.layout.own


def test_what_a_server_of_another_installation_reads_is_told_once_and_changes_nothing(
    nodes: Nodes, office: Office, server: SmallComfyUI, tmp_path: Path
) -> None:
    says(server, loras=tmp_path / "big")
    for _ in range(2):
        nodes._looked_at = -1e9
        nodes.look()

    errors = [event.trouble for event in office.told if isinstance(event, ErrorMet)]
    assert [error.code for error in errors] == ["name-not-listed"]
    assert f"reads loras from {tmp_path / 'big'} and not from" in errors[0].cause
    assert not (tmp_path / "state" / FILE).exists()


def test_the_doctor_says_where_files_go_because_a_server_reads_it(
    nodes: Nodes, server: SmallComfyUI, tmp_path: Path
) -> None:
    says(server, loras=tmp_path / "big", vae=tmp_path / "ComfyUI/models/vae")
    nodes.look()
    settings = nodes.settings
    loaded = Loaded(settings, {"comfyui_root": "flag"}, None)
    found = list(comfyui(Subject(loaded, locate(settings, {}), {}, tmp_path)))

    assert f"The server reads loras from {tmp_path / 'big'}" in found[1].cause
