"""Node types by the shapes in which sources usually write them down.

For packs that put their table together in a way that reading cannot follow: not exact, since a file
may lie there that nobody imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.comfyui.source.files import MOST_ENTRIES, walk
from comfywatchman.comfyui.source.parsing import parsed

MOST_BYTES = 16 * 1024 * 1024
_LONGEST_FILE = 2 * 1024 * 1024
_LONGEST_NAME = 200
MOST_MENTIONS = 5_000

_SIGNS = (b"NODE_CLASS_MAPPINGS", b"node_id", b"INPUT_TYPES", b"define_schema")
_TABLE = "NODE_CLASS_MAPPINGS"


@dataclass(slots=True)
class Harvest:
    types: set[str] = field(default_factory=set)
    """Written down as node types."""
    mentions: set[str] = field(default_factory=set)
    """Words that may become names of node types: of classes, and texts that stand where such names
    stand."""


def harvest(root: str) -> Harvest:
    """Look through the Python files of the pack at *root*."""
    found = Harvest()
    left = MOST_BYTES
    for directory, _, names in (walk(root, root) or [])[:MOST_ENTRIES]:
        for name in names:
            source = _source(f"{directory}/{name}") if name.endswith(".py") else b""
            if not any(sign in source for sign in _SIGNS) or len(source) > left:
                continue
            left -= len(source)
            _look(parsed(source)[0], found)
    return found


def _source(file: str) -> bytes:
    path = Path(file)
    try:
        small = path.is_file() and path.stat().st_size <= _LONGEST_FILE
        return path.read_bytes() if small else b""
    except OSError:
        return b""


def _look(tree: ast.Module, found: Harvest) -> None:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    _assigned(target, value, found)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                _assigned(target, value, found)
            case ast.AugAssign(target=target, value=value) if _is_table(target):
                found.types.update(_keys(value))
            case ast.Call(func=ast.Attribute(value=holder, attr="update"), args=[value, *_]):
                if _is_table(holder):
                    found.types.update(_keys(value))
            case ast.Call(keywords=keywords):
                found.types.update(
                    name
                    for keyword in keywords
                    if keyword.arg == "node_id"
                    for name in _texts([keyword.value])
                )
            case ast.ClassDef():
                _class(node, found)
            case ast.Dict(keys=keys):
                _mention(found, _texts(key for key in keys if key is not None))
            case _:
                continue


def _assigned(target: ast.expr, value: ast.expr, found: Harvest) -> None:
    if _is_table(target):
        found.types.update(_keys(value))
    elif isinstance(target, ast.Subscript) and _is_table(target.value):
        found.types.update(_texts([target.slice]))
    elif isinstance(value, ast.List | ast.Tuple | ast.Set):
        _mention(found, _texts(value.elts))


def _class(node: ast.ClassDef, found: Harvest) -> None:
    _mention(found, [node.name])
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            _mention(found, _texts([statement.value]))
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            _mention(found, _texts(decorator.args))


def _mention(found: Harvest, names: object) -> None:
    if len(found.mentions) < MOST_MENTIONS and isinstance(names, list | Iterator):
        found.mentions.update(names)


def _is_table(node: ast.expr) -> bool:
    name = getattr(node, "id", getattr(node, "attr", ""))
    return isinstance(name, str) and _TABLE in name and "DISPLAY" not in name


def _keys(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Dict):
        yield from _texts(key for key in value.keys if key is not None)
        for key, inner in zip(value.keys, value.values, strict=True):
            if key is None:
                yield from _keys(inner)
    elif isinstance(value, ast.BinOp):
        yield from _keys(value.left)
        yield from _keys(value.right)


def _texts(nodes: object) -> Iterator[str]:
    for node in nodes if isinstance(nodes, list | Iterator) else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if 0 < len(text) <= _LONGEST_NAME and "\n" not in text:
                yield text
