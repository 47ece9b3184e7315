"""Small node packs, written for one test each."""

from __future__ import annotations

import json
from pathlib import Path

PROJECT = """\
[project]
name = "{name}"
version = "1.2.3"
[project.urls]
Repository = "https://github.com/{repository}"
[tool.comfy]
DisplayName = "{title}"
"""


def pack(home: Path, name: str, *types: str, **files: str) -> Path:
    """Make a pack below *home* that registers *types*; *files* by name, "_" for "/" and "."."""
    root = home / name
    root.mkdir(parents=True, exist_ok=True)
    table = ", ".join(f"{each!r}: object" for each in types)
    source = files.pop("init", f"NODE_CLASS_MAPPINGS = {{{table}}}\n")
    (root / "__init__.py").write_text(source, encoding="utf-8")
    for file, text in files.items():
        path = root / file.replace("__", "/").replace("_py", ".py").replace("_js", ".js")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def published(root: Path, name: str, repository: str = "someone/pack", title: str = "") -> Path:
    """Give the pack at *root* what a registry pack has."""
    text = PROJECT.format(name=name, repository=repository, title=title or name)
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    (root / ".tracking").touch()
    return root


def cloned(root: Path, address: str) -> Path:
    """Make the pack at *root* look like a clone of *address*."""
    (root / ".git").mkdir(exist_ok=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (root / ".git" / "config").write_text(
        f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {address}\n'
    )
    return root


def node_map(home: Path, packs: dict[str, list[str]], **about: dict[str, object]) -> Path:
    """Write a node map below *home*: ``owner/name`` -> node types; *about* by the pack's name."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "extension-node-map.json"
    entries = {
        f"https://github.com/{repository}": [
            types,
            {
                "title_aux": repository.partition("/")[2],
                **about.get(repository.partition("/")[2].replace("-", "_"), {}),
            },
        ]
        for repository, types in packs.items()
    }
    file.write_text(json.dumps(entries), encoding="utf-8")
    return file
