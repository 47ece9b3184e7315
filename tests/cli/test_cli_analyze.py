"""``comfywatchman analyze``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.picture import png_with_workflow
from comfywatchman.demo.weights import weights
from tests.cli.shell import Shell
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has, prompt, text

MISSING = Want("missing.safetensors")
HERE = Want("here.safetensors")


@pytest.fixture(autouse=True)
def model(tree: Tree) -> Path:
    path = tree.models / "loras/here.safetensors"
    path.write_bytes(weights("here.safetensors", 2000))
    return path


def test_a_workflow_that_has_everything_ends_with_0(shell: Shell, tree: Tree) -> None:
    told = shell("analyze", drop(tree.base / "a.json", HERE), "--json")

    assert told.status == 0
    assert told.json["workflows"][0]["state"] == "ready"
    assert told.err == ""


def test_a_workflow_that_lacks_a_model_ends_with_1_and_names_it(shell: Shell, tree: Tree) -> None:
    told = shell("analyze", drop(tree.base / "a.json", HERE, MISSING))

    assert told.status == 1
    assert "missing.safetensors" in told.out


def test_no_paths_end_with_2(shell: Shell) -> None:
    told = shell("analyze")

    assert told.status == 2
    assert told.the_error()[0] == "usage"


@pytest.mark.parametrize("make", ["absent", "broken", "directory.json", "pipe"])
def test_what_cannot_be_read_ends_with_3(shell: Shell, tree: Tree, make: str) -> None:
    path = tree.base / "a.json"
    if make == "broken":
        path.write_text('{"nodes": [')
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "directory.json":
        path.symlink_to(tree.base / "nowhere")
    told = shell("analyze", path, "--json")

    (row,) = told.json["workflows"]
    assert told.status == 3
    assert row["state"] == "unreadable"
    assert row["error"]["code"] in {"file-unreadable", "workflow-unreadable"}
    assert row["error"]["remedy"]


def test_one_unreadable_file_does_not_keep_the_others_from_being_told(
    shell: Shell, tree: Tree
) -> None:
    told = shell("analyze", tree.base / "absent.json", drop(tree.base / "a.json", HERE), "--json")

    assert told.status == 3
    assert [row["state"] for row in told.json["workflows"]] == ["unreadable", "ready"]
    assert told.json["summary"]["ready"] == 1


def test_what_is_no_workflow_is_told_and_is_no_failure(shell: Shell, tree: Tree) -> None:
    path = tree.base / "a.json"
    path.write_text('{"name": "a package"}')
    told = shell("analyze", path, "--json")

    assert told.status == 0
    assert told.json["workflows"][0]["state"] == "not-a-workflow"


def test_standard_input_is_read_for_a_dash(shell: Shell) -> None:
    told = shell("analyze", "-", "--json", stdin=text(MISSING).encode())

    (row,) = told.json["workflows"]
    assert told.status == 1
    assert (row["path"], row["state"]) == ("-", "blocked")


def test_a_picture_on_standard_input_is_read_too(shell: Shell) -> None:
    told = shell("analyze", "-", "--json", stdin=png_with_workflow(text(MISSING)))

    assert told.json["workflows"][0]["container"] == "png"


def test_the_api_form_is_read(shell: Shell) -> None:
    told = shell("analyze", "-", "--json", stdin=json.dumps(prompt(HERE, MISSING)).encode())

    (row,) = told.json["workflows"]
    assert row["format"] == "api"
    assert [reference["state"] for reference in row["references"]] == ["present", "missing"]


def test_every_workflow_below_a_directory_is_read(shell: Shell, tree: Tree) -> None:
    deep = tree.workflows / "deep"
    deep.mkdir()
    drop(tree.workflows / "b.json", HERE)
    drop(deep / "a.json", HERE)
    (tree.workflows / "notes.txt").write_text("no workflow")
    (deep / "a.png").write_bytes(png_with_workflow(text(HERE)))
    told = shell("analyze", tree.workflows, "--json")

    paths = {Path(row["path"]).relative_to(tree.workflows) for row in told.json["workflows"]}
    assert paths == {Path("b.json"), Path("deep/a.json"), Path("deep/a.png")}


def test_an_empty_directory_is_no_failure(shell: Shell, tree: Tree) -> None:
    told = shell("analyze", tree.workflows, "--json")

    assert (told.status, told.json["workflows"]) == (0, [])


def test_nothing_is_asked_of_the_network_unless_it_is_wanted(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    path = drop(tree.base / "a.json", has(hub, "new.safetensors"))
    without = shell("analyze", path, "--json")
    assert hub.requests == []
    asked = shell("analyze", path, "--json", "--resolve")

    assert "candidates" not in without.json["workflows"][0]["references"][0]
    (offer,) = asked.json["workflows"][0]["references"][0]["candidates"]
    assert offer["sha256"] == hub.named("new.safetensors").sha256
    assert offer["grade"] == "B"
    assert asked.json["summary"]["bytes_to_download"] == hub.named("new.safetensors").size
    assert asked.status == 1
    assert hub.fetched() == {}


def test_looking_changes_nothing_on_the_disk_but_the_answers_that_are_kept(
    shell: Shell, tree: Tree
) -> None:
    path = drop(tree.workflows / "a.json", HERE, MISSING)
    ours = {tree.base / "home", tree.state}

    def others() -> list[Path]:
        return sorted(p for p in tree.base.rglob("*") if not ours & {p, *p.parents})

    before = others()
    shell("analyze", path)
    assert others() == before
    assert not tree.state.exists()
    shell("analyze", path, "--resolve")
    assert others() == before
    assert {kept.name[:15] for kept in tree.state.iterdir()} == {"answers.sqlite3"}


@pytest.mark.parametrize(
    ("format_", "suffix", "holds"),
    [
        ("text", ".txt", "missing.safetensors"),
        ("json", ".json", '"schema_version"'),
        ("markdown", ".md", "missing.safetensors"),
        ("html", ".html", "<html"),
    ],
)
def test_a_report_for_each_workflow_can_be_written(
    shell: Shell, tree: Tree, format_: str, suffix: str, holds: str
) -> None:
    paths = [drop(tree.base / f"{name}.json", MISSING) for name in ("a", "b")]
    reports = tree.base / "reports" / "deep"
    told = shell("analyze", *paths, "--format", format_, "--output-dir", reports)

    assert sorted(path.name for path in reports.iterdir()) == [
        f"a.json.report{suffix}",
        f"b.json.report{suffix}",
    ]
    assert holds in (reports / f"a.json.report{suffix}").read_text()
    assert holds in told.out
    assert told.status == 1


def test_a_report_takes_the_place_of_an_older_one(shell: Shell, tree: Tree) -> None:
    path = drop(tree.base / "a.json", MISSING)
    for wants in ([MISSING], [HERE]):
        drop(path, *wants)
        shell("analyze", path, "--output-dir", tree.base / "reports")

    (written,) = (tree.base / "reports").iterdir()
    assert "missing.safetensors" not in written.read_text()


def test_reports_that_cannot_be_written_are_told_with_a_remedy(shell: Shell, tree: Tree) -> None:
    (tree.base / "file").touch()
    path = drop(tree.base / "a.json", HERE)
    told = shell("analyze", path, "--output-dir", tree.base / "file" / "reports")

    assert told.status == 3
    assert told.err.startswith("error: ")
    assert len(told.err.splitlines()) == 3


def test_two_workflows_of_one_name_get_a_report_each(shell: Shell, tree: Tree) -> None:
    paths = []
    for name in ("one", "two"):
        (tree.base / name).mkdir()
        paths.append(drop(tree.base / name / "a.json", Want(f"{name}.safetensors")))
    shell("analyze", *paths, "--format", "json", "--output-dir", tree.base / "reports")

    written = [json.loads(path.read_text()) for path in (tree.base / "reports").iterdir()]
    assert {each["workflows"][0]["path"] for each in written} == {str(path) for path in paths}


def test_a_name_that_is_no_utf8_is_told_in_every_format(shell: Shell, tree: Tree) -> None:
    path = drop(tree.base / "caf\udce9.json", HERE, Want("x.safetensors"))
    other = tree.models / "loras" / "caf\udce9" / "x.safetensors"
    other.parent.mkdir()
    other.write_bytes(weights("x", 2000))

    for format_ in ("text", "json", "markdown", "html"):
        told = shell("analyze", path, "--format", format_, "--output-dir", tree.base / "reports")
        assert told.status == 1
        assert "caf" in told.out
