"""The official templates as installed with the package of the ``demo`` extra."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from comfywatchman.domain.errors import FileUnreadable
from comfywatchman.domain.files import folder_name

_MODULE = "comfyui_workflow_templates_json"


@dataclass(frozen=True, slots=True)
class DeclaredModel:
    """One entry of ``properties.models``."""

    folder: str
    name: str
    url: str
    sha256: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class Template:
    """One workflow of the package."""

    name: str
    path: Path

    def content(self) -> dict[str, Any]:
        """Return the workflow as JSON has it."""
        content = json.loads(self.path.read_bytes())
        assert isinstance(content, dict)  # noqa: S101 - the package was filtered for workflows
        return content

    def models(self) -> list[DeclaredModel]:
        """List what its nodes declare, those in subgraphs included."""
        return list(declared_models(self.content()))


@dataclass(frozen=True, slots=True)
class Templates:
    """The directory of the installed package."""

    directory: Path

    @classmethod
    def installed(cls) -> Self:
        """Find the package.

        Raises:
            FileUnreadable: it is not installed.
        """
        found = importlib.util.find_spec(_MODULE)
        places = list(found.submodule_search_locations or ()) if found else []
        if not places:
            raise FileUnreadable(
                "The package with the official templates is not installed.",
                remedy="Install it: pip install comfyui-workflow-templates-json.",
            )
        return cls(Path(places[0]) / "templates")

    def __iter__(self) -> Iterator[Template]:
        for path in sorted(self.directory.glob("*.json")):
            content = json.loads(path.read_bytes())
            if isinstance(content, dict) and isinstance(content.get("nodes"), list):
                yield Template(path.stem, path)

    def named(self, name: str) -> Template | None:
        path = self.directory / f"{name}.json"
        return Template(name, path) if path.is_file() else None

    def declared_urls(self) -> list[str]:
        """List every address that any template declares, each once."""
        urls = (model.url for template in self for model in template.models())
        return list(dict.fromkeys(urls))


def declared_models(content: dict[str, Any]) -> Iterator[DeclaredModel]:
    """Yield the entries of ``properties.models`` of the workflow and of its subgraphs.

    A node in a subgraph that is bypassed or muted as a whole is inactive too.
    """
    subgraphs = {
        graph["id"]: graph for graph in content.get("definitions", {}).get("subgraphs", [])
    }
    yield from _in_graph(content, subgraphs, active=True, depth=0)


def _in_graph(
    graph: dict[str, Any], subgraphs: dict[str, Any], *, active: bool, depth: int
) -> Iterator[DeclaredModel]:
    for node in graph.get("nodes", []):
        runs = active and node.get("mode", 0) not in {2, 4}
        for entry in node.get("properties", {}).get("models") or []:
            yield DeclaredModel(
                folder_name(entry["directory"]),
                entry["name"],
                entry["url"],
                entry.get("hash"),
                runs,
            )
        inner = subgraphs.get(node["type"])
        if inner is not None and depth < 8:
            yield from _in_graph(inner, subgraphs, active=runs, depth=depth + 1)
