"""The image, the Compose file and the files for CI name what there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from comfywatchman.cli.main import COMMANDS
from comfywatchman.config.load import load

ROOT = Path(__file__).parents[2]
CONTAINER, CI = ROOT / "docs/container", ROOT / "docs/ci"
IMAGE = (CONTAINER / "Containerfile").read_text()


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
    return read


def of_the_image() -> dict[str, str]:
    block = re.search(r"^ENV (?:.*\\\n)*.*$", IMAGE, re.MULTILINE)
    assert block is not None
    return dict(re.findall(r"(\w+)=(\S+)", block[0]))


def test_the_environment_of_image_and_service_are_settings_that_can_be_read(
    tmp_path: Path,
) -> None:
    of_the_service = compose()["services"]["comfywatchman"]["environment"]
    environ = {**of_the_image(), **{name: str(text) for name, text in of_the_service.items()}}
    environ = {name: text.replace("${POLLING:-auto}", "auto") for name, text in environ.items()}
    settings = load({}, {**environ, "HOME": str(tmp_path)}, None).settings

    assert settings.comfyui_root == Path("/comfyui")
    assert settings.state.directory == Path("/state")
    assert settings.http.listen == "0.0.0.0:8189"
    assert settings.http.open == ("/healthz", "/metrics")
    assert settings.http.names == ("comfywatchman",)
    assert settings.comfyui.url == "http://comfyui:8188"
    assert settings.watch.polling == "auto"


def test_the_service_writes_nothing_but_its_volumes_and_has_no_rights() -> None:
    service = compose()["services"]["comfywatchman"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    written = [each.split(":")[-1] for each in service["volumes"] if not each.endswith(":ro")]
    assert written == ["/comfyui/models", "/comfyui/user", "/state"]
    assert "privileged" not in service
    assert all(each.startswith("127.0.0.1:") for each in service["ports"])
    assert service["build"]["dockerfile"] == "docs/container/Containerfile"


def test_the_image_takes_what_there_is_and_runs_as_nobody_special() -> None:
    taken = re.findall(r"^COPY (?!--from)(.+) \S+$", IMAGE, re.MULTILINE)
    assert all((ROOT / name).exists() for names in taken for name in names.split())
    assert re.search(r"^USER watchman$", IMAGE, re.MULTILINE)
    assert IMAGE.index("USER watchman") < IMAGE.index("ENTRYPOINT")


def commands() -> Iterator[str]:
    """Yield each call of ours in the files for CI."""
    for path in [*sorted(CI.iterdir()), ROOT / ".pre-commit-hooks.yaml"]:
        text = "\n".join(
            line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")
        )
        yield from re.findall(r"(?<!install )\b(comfywatchman [a-z][^|>\n]*)", text)


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_call_in_the_files_for_ci_is_one_that_there_is(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    if line.startswith("comfywatchman analyze --locked"):
        arguments.append("workflows")  # pre-commit adds the files
    elif not arguments:
        arguments = ["workflows"]
    COMMANDS[name].make_context(name, arguments)


def test_the_files_for_ci_are_yaml_and_hold_calls() -> None:
    assert all(yaml.safe_load(path.read_text()) for path in CI.iterdir())
    assert len(set(commands())) >= 4
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["language"] for hook in hooks} == {"python"}
