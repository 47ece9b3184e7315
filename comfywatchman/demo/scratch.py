"""The scratch ComfyUI tree of the demo, and the settings of its daemon."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.comfyui.table import DIRECTORIES
from comfywatchman.disk.errors import writing_failed
from comfywatchman.domain.errors import SettingsInvalid

_OF_THE_USER = ("COMFYWATCHMAN_", "COMFYUI_", "CIVITAI_", "HF_", "HUGGING_FACE_", "XDG_")
_DIRECTORIES_OF_THE_USER = ("CONFIGURATION_DIRECTORY", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")


@dataclass(frozen=True, slots=True)
class Scratch:
    """Everything of the demo lies below *directory*."""

    directory: Path

    @property
    def comfyui(self) -> Path:
        return self.directory / "ComfyUI"

    @property
    def models(self) -> Path:
        return self.comfyui / "models"

    @property
    def workflows(self) -> Path:
        return self.comfyui / "user" / "default" / "workflows"

    @property
    def settings(self) -> Path:
        return self.directory / "config.toml"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def log(self) -> Path:
        return self.directory / "comfywatchman.log"

    def make(self, *, hub: str, hosts: Iterable[str], listen: str) -> None:
        """Make the tree and the settings file.

        Raises:
            SettingsInvalid: there is something at *directory* already.
            FolderNotWritable, DiskFull, DiskFailed: the tree cannot be made.
        """
        try:
            self._make(hub, hosts, listen)
        except OSError as error:
            raise writing_failed(error, Path(error.filename or self.directory)) from error

    def _make(self, hub: str, hosts: Iterable[str], listen: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise SettingsInvalid(
                f"{self.directory} is not empty.", remedy="Give the demo a new directory."
            )
        for name in DIRECTORIES:
            (self.models / name).mkdir(parents=True)
        self.workflows.mkdir(parents=True)
        self.settings.write_text(self._toml(hub, hosts, listen), encoding="utf-8")

    def _toml(self, hub: str, hosts: Iterable[str], listen: str) -> str:
        return "\n".join(
            [
                f"comfyui_root = {_text(str(self.comfyui))}",
                'search_backends = ["workflow", "catalog"]',
                'catalog.manager_list = ""  # the demo asks nobody but itself',
                "",
                "[hubs.huggingface]",
                f"endpoint = {_text(hub)}  # the demo's own, on loopback",
                "",
                "[download]",
                "concurrency = 4",
                "per_host = 4",
                "min_free_bytes = 1048576",
                f"insecure_hosts = [{', '.join(map(_text, hosts))}]",
                "",
                "[comfyui]",
                'url = ""  # a ComfyUI that runs on this machine is none of the demo\'s',
                "",
                "[http]",
                f"listen = {_text(listen)}",
                "",
                "[log]",
                'format = "json"',
                'level = "debug"  # for the progress of transfers',
                "",
                "[state]",
                f"directory = {_text(str(self.state))}",
                "",
            ]
        )

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return *inherited* without what would lead the daemon to the user's own things."""
        kept = {
            name: value
            for name, value in inherited.items()
            if not name.startswith(_OF_THE_USER) and name not in _DIRECTORIES_OF_THE_USER
        }
        return kept | {"HF_HOME": str(self.directory / "huggingface")}


def _text(value: str) -> str:
    """Write *value* as a basic string of TOML, which JSON's strings are but for surrogates."""
    return json.dumps(value, ensure_ascii=False)
