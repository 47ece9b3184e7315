"""``comfywatchman config``."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import Shell, Told
from tests.stories.daemon import Tree

TOKEN = "hf_" + "s" * 34


def shown(told: Told) -> dict[str, Any]:
    assert told.status == 0
    return {key: row["value"] for key, row in told.json["settings"].items()}


def origin(told: Told, key: str) -> str:
    found: str = told.json["settings"][key]["origin"]
    return found


# -- show


def test_every_setting_in_force_is_shown_with_where_it_comes_from(shell: Shell, tree: Tree) -> None:
    told = Shell(tree, {"COMFYWATCHMAN_DOWNLOAD__CONCURRENCY": "7"})("config", "show", "--json")

    assert told.json["path"] == str(tree.config)
    values = shown(told)
    assert values["download.concurrency"] == 7
    assert origin(told, "download.concurrency") == (
        "environment COMFYWATCHMAN_DOWNLOAD__CONCURRENCY"
    )
    assert origin(told, "download.min_free_bytes") == f"file {tree.config}"
    assert origin(told, "watch.settle_seconds") == "default"


def test_a_flag_goes_before_everything(shell: Shell, tree: Tree) -> None:
    told = shell("config", "show", "--json", "--comfyui-root", tree.base)

    assert shown(told)["comfyui_root"] == str(tree.base)
    assert origin(told, "comfyui_root") == "flag"


def test_without_a_word_the_settings_are_shown_to_a_person(shell: Shell) -> None:
    told = shell("config")

    assert told.status == 0
    assert "download.auto" in told.out


def test_a_secret_is_never_shown(tree: Tree) -> None:
    shell = Shell(tree, {"HF_TOKEN": TOKEN, "CIVITAI_API_KEY": "k" * 32})
    for arguments in (["config", "show"], ["config", "show", "--json"], ["config", "check"]):
        told = shell(*arguments)

        assert told.status == 0
        assert TOKEN not in told.out + told.err
        assert "k" * 32 not in told.out + told.err
    assert shown(shell("config", "show", "--json"))["hubs.huggingface.token"] == "***"


# -- check


def test_right_settings_are_called_right(shell: Shell, tree: Tree) -> None:
    told = shell("config", "check", "--json")

    assert told.status == 0
    assert told.json == {"path": str(tree.config), "valid": True, "troubles": []}


WRONG = """
comfy_root = "/x"
serch_backends = ["workflow"]

[download]
concurrency = "many"
min_free_bytes = "5 parsecs"
auto = "always"

[http]
listen = "nowhere"
"""


def test_all_that_is_wrong_is_told_at_once_with_the_nearest_key(shell: Shell, tree: Tree) -> None:
    tree.config.write_text(WRONG)
    told = shell("config", "check", "--json")

    error = told.json["error"]
    assert told.status == 2
    assert error["code"] == "settings-invalid"
    for word in (
        "comfyui_root",
        "search_backends",
        "download.concurrency",
        "download.min_free_bytes",
        "download.auto",
        "http.listen",
    ):
        assert word in error["cause"], word
    assert error["cause"].startswith("6 settings are wrong:")
    assert error["remedy"]


def test_what_run_would_refuse_is_told_at_once(shell: Shell, tree: Tree) -> None:
    tree.asking = 'search_backends = ["workflow", "/backend.py"]\n'
    tree.asking += 'download.handlers = ["/handler.py"]\n'
    tree.asking += 'catalog.files = ["/own.json"]\nanalyze.loaders = ["garbage"]'
    config = tree.base / "refused.toml"
    config.write_text(f'comfyui_root = "{tree.root}"\n{tree.asking}\n')

    told = shell.bare("--config", config, "config", "check", "--json")

    error = told.json["error"]
    assert (told.status, error["code"]) == (2, "settings-invalid")
    for word in ("/backend.py", "/handler.py", "/own.json", "garbage"):
        assert word in error["cause"], word


def test_a_key_of_a_webhook_that_cannot_be_used_is_told(shell: Shell, tree: Tree) -> None:
    key = tree.base / "hook.key"
    hook = f'{{ url = "https://hook.example/x", secret_file = "{key}" }}'
    tree.settings = f"[notify]\nwebhooks = [{hook}]\n"
    tree.write_settings()

    told = shell("config", "check", "--json")

    assert told.status == 0
    (trouble,) = told.json["troubles"]
    assert f"{key} does not exist" in trouble["cause"]

    key.write_text("k" * 40)
    key.chmod(0o644)
    (trouble,) = shell("config", "check", "--json").json["troubles"]
    assert "may be read by everybody" in trouble["cause"]


@pytest.mark.parametrize(
    "command",
    [
        ["analyze", "-"],
        ["fix", "-"],
        ["status"],
        ["inventory", "list"],
        ["run"],
        ["config", "show"],
        [],
    ],
    ids=lambda command: " ".join(command) or "nothing",
)
def test_wrong_settings_end_every_command_with_2(
    shell: Shell, tree: Tree, command: list[str]
) -> None:
    tree.config.write_text("[download]\nconcurency = 3\n")
    told = shell(*command)

    code, cause, _ = told.the_error()
    assert (told.status, code) == (2, "settings-invalid")
    assert "download.concurrency" in cause


def test_an_unknown_variable_is_an_error_that_names_the_nearest(tree: Tree) -> None:
    told = Shell(tree, {"COMFYWATCHMAN_DOWNLOAD__CONCURENCY": "3"})("config", "check")

    assert told.status == 2
    assert "COMFYWATCHMAN_DOWNLOAD__CONCURRENCY" in told.err


def test_a_file_that_is_no_toml_is_told_with_its_line(shell: Shell, tree: Tree) -> None:
    tree.config.write_text('comfyui_root = "/x"\n[download\n')
    told = shell("config", "check")

    assert told.status == 2
    assert "line 2" in told.err


def test_a_file_that_is_named_and_absent_is_an_error(shell: Shell, tree: Tree) -> None:
    told = shell.bare("--config", tree.base / "absent.toml", "config", "check")

    assert told.status == 2
    assert "absent.toml" in told.the_error()[1]


def test_a_file_that_everybody_may_read_must_hold_no_secret(shell: Shell, tree: Tree) -> None:
    tree.config.write_text(f'[hubs.huggingface]\ntoken = "{TOKEN}"\n')
    tree.config.chmod(0o644)
    told = shell("config", "check")

    assert told.status == 2
    assert "chmod 600" in told.err
    assert TOKEN not in told.err


# -- path, init


def test_the_place_of_the_file_is_told_whether_it_exists_or_not(shell: Shell, tree: Tree) -> None:
    home = Path(shell.environ["HOME"])

    assert shell("config", "path").out.strip() == str(tree.config)
    usual = Path(shell.bare("config", "path").out.strip())
    assert home in usual.parents
    assert usual.parts[-2:] == ("comfywatchman", "config.toml")
    assert shell.bare("config", "path", "--json").json == {"path": str(usual), "exists": False}


def test_a_first_file_holds_every_key_and_is_right_as_it_is(shell: Shell) -> None:
    told = shell.bare("config", "init")
    target = Path(shell.bare("config", "path").out.strip())

    assert told.status == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(target.read_text()).get("download") == {}
    keys = shown(shell.bare("config", "show", "--json"))
    for key in keys:
        assert f"\n#{key.rpartition('.')[2]} = " in target.read_text(), key
    assert shell.bare("config", "check").status == 0


def test_every_line_of_the_first_file_is_right_when_it_is_taken_into_use(
    shell: Shell, tree: Tree
) -> None:
    text = shell.bare("config", "init", "--dry-run").out
    used = "\n".join(
        line.removeprefix("#") if line.startswith("#") and not line.startswith("# ") else line
        for line in text.splitlines()
    )
    (tree.base / "own.json").write_text('{"entries": []}')
    tree.config.write_text(used.replace("/path/to/my-models.json", str(tree.base / "own.json")))
    told = shell("config", "check", "--json")

    # The token files that it names by way of example are not there, and nothing else is wrong.
    assert told.status == 0, json.dumps(told.json)


def test_a_file_that_is_there_is_left_alone(shell: Shell, tree: Tree) -> None:
    before = tree.config.read_bytes()
    told = shell("config", "init")

    assert told.status == 3
    assert told.the_error()[0] == "name-taken"
    assert tree.config.read_bytes() == before


def test_a_dry_run_writes_nothing(shell: Shell) -> None:
    told = shell.bare("config", "init", "--dry-run")

    assert "[download]" in told.out
    assert shell.bare("config", "path", "--json").json["exists"] is False


def test_a_place_that_cannot_be_written_is_told_with_a_remedy(shell: Shell, tree: Tree) -> None:
    (tree.base / "file").touch()
    told = shell.bare("--config", tree.base / "file" / "config.toml", "config", "init")

    assert told.status == 3
    assert told.the_error()[2]
