"""Reads the modules of one pack as they are imported, within limits."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.comfyui.source import calls
from comfywatchman.comfyui.source.calls import Calls
from comfywatchman.comfyui.source.expressions import evaluate
from comfywatchman.comfyui.source.files import inside
from comfywatchman.comfyui.source.outside import known_outside
from comfywatchman.comfyui.source.parsing import parsed
from comfywatchman.comfyui.source.statements import execute
from comfywatchman.comfyui.source.values import (
    ABSENT,
    UNKNOWN,
    Exhausted,
    Flow,
    Imported,
    Items,
    Module,
    Outside,
    Scope,
    Table,
    Value,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one pack is read."""

    steps: int = 2_000_000
    seconds: float = 15.0
    """Of the processor."""
    file_bytes: int = 4 * 1024 * 1024
    files: int = 800
    bytes: int = 32 * 1024 * 1024


_MOST_HOPS = 50
"""From one module that imports a name from another."""

_TELLS = (b"NODE_CLASS_MAPPINGS", b"@register", b"register_node", b"node_id")
"""A module with one of these in it is read where it is imported, since it may register something;
any other where a name of it is needed."""


@dataclass
class Reading:
    """One pack while it is read; implements `Machine`."""

    root: str
    limits: Limits = field(default_factory=Limits)
    registry: Table = field(default_factory=lambda: Table(open=True))
    doubts: list[str] = field(default_factory=list)
    """Why there may be more than was read."""
    paths: Items = field(default_factory=lambda: Items([], open=True))
    troubles: list[str] = field(default_factory=list)
    """Files that could not be read, with the reason."""
    _modules: dict[str, Module] = field(default_factory=dict)
    _steps: int = 0
    _files: int = 0
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._calls = Calls(self)
        self._ends = time.process_time() + self.limits.seconds

    # -- what the parts ask

    def doubt(self, why: str) -> None:
        self.doubts.append(why)

    def step(self) -> None:
        self._steps += 1
        if self._steps > self.limits.steps:
            raise Exhausted("it takes too many steps")
        if self._steps % 1024 == 0 and time.process_time() > self._ends:
            raise Exhausted("it takes too long")

    def evaluate(self, node: ast.expr, scope: Scope) -> Value:
        return evaluate(self, node, scope)

    def execute(self, body: Sequence[ast.stmt], scope: Scope) -> Flow | None:
        return execute(self, body, scope)

    def call(
        self, callee: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        return self._calls.call(callee, arguments, keywords)

    def attribute(self, value: Value, name: str) -> Value:
        return calls.attribute(self, value, name)

    def settled(self, value: Value) -> Value:
        for _ in range(_MOST_HOPS):
            if not isinstance(value, Imported):
                return value
            if not value.module.read:
                self.read(value.module)
            found = value.module.names.get(value.name, value)
            if found is value:
                return ABSENT if value.module.whole else UNKNOWN
            value = found
        return UNKNOWN

    # -- modules

    def import_(self, dotted: str, importer: Module) -> Value:
        found = self._named(dotted, importer)
        if found is None and dotted.startswith(f"{self.root}."):
            return ABSENT
        if found is None:
            outside = known_outside(self, dotted)
            return Outside(dotted, is_module=True) if isinstance(outside, Outside) else outside
        if not found.read and self._may_register(found):
            self.read(found)
        return found

    def has_module(self, dotted: str) -> bool:
        return dotted.startswith(f"{self.root}.") and (
            self._below(self.root, dotted[len(self.root) + 1 :]) is not None
        )

    def _named(self, dotted: str, importer: Module) -> Module | None:
        if dotted == self.root:
            return self.module_at(self.root)
        if dotted.startswith(f"{self.root}."):
            return self._below(self.root, dotted[len(self.root) + 1 :])
        own = Path(self.root).name
        for before in (f"custom_nodes.{own}", own):
            if dotted == before:
                return self.module_at(self.root)
            if dotted.startswith(f"{before}."):
                return self._below(self.root, dotted[len(before) + 1 :])
        return self._on_a_path(dotted, importer)

    def _on_a_path(self, dotted: str, importer: Module) -> Module | None:
        """Look where packs put themselves on Python's path: their root and their directories."""
        if dotted.partition(".")[0] in _STANDARD:
            return None
        home = importer.file if importer.is_package else str(Path(importer.file).parent)
        added = [path for path in self.paths.values if isinstance(path, str)]
        places = (self.root, home.removesuffix("/__init__.py"), *added)
        for directory in dict.fromkeys(places):
            found = self._below(directory, dotted)
            if found is not None:
                return found
        return None

    def _below(self, directory: str, dotted: str) -> Module | None:
        return self.module_at(f"{directory}/{dotted.replace('.', '/')}")

    def module_at(self, file: str) -> Module | None:
        for place in (file, f"{file}/__init__.py", f"{file}.py"):
            own = inside(self.root, place)
            if own is not None and own.endswith(".py") and Path(own).is_file():
                return self._module(own)
        own = inside(self.root, file)
        if own is not None and Path(own).is_dir():
            return self._module(f"{own}/__init__.py")  # a package needs no such file
        return None

    def _module(self, file: str) -> Module:
        if file not in self._modules:
            is_package = file.endswith("/__init__.py")
            path = file.removesuffix("/__init__.py") if is_package else file.removesuffix(".py")
            below = path[len(self.root) :].replace("/", ".")
            module = Module(file, self.root + below, is_package)
            module.names.update(
                {
                    "__name__": module.dotted,
                    "__package__": module.package,
                    "__file__": file,
                    "__path__": Items([path]),
                }
            )
            self._modules[file] = module
        return self._modules[file]

    def _may_register(self, module: Module) -> bool:
        try:
            source = self._source(module.file)
        except OSError:
            return False
        return any(sign in source for sign in _TELLS)

    def _source(self, file: str) -> bytes:
        path = Path(file)
        if path.stat().st_size > self.limits.file_bytes:
            return b""
        return path.read_bytes()

    def read(self, module: Module) -> Module:
        if module.read:
            return module
        module.read = True
        tree = self._parsed(module)
        if tree is None:
            return module
        for statement in tree.body:
            # A module that raises does so in a case that we take not to be ours.
            if self.execute([statement], module.scope) is not None:
                module.vague = True
                self.doubt("it raises while it is imported")
        module.whole = not module.vague and "__getattr__" not in module.names
        return module

    def _parsed(self, module: Module) -> ast.Module | None:
        file = module.file
        try:
            size = Path(file).stat().st_size
        except OSError:
            return None
        if size > self.limits.file_bytes:
            self.troubles.append(f"{file} has {size} bytes")
            return None
        self._files += 1
        self._bytes += size
        if self._files > self.limits.files or self._bytes > self.limits.bytes:
            raise Exhausted("it has too many files")
        try:
            tree, skipped = parsed(Path(file).read_bytes())
        except OSError:
            return None
        if skipped:
            self.troubles.append(f"{file}: {skipped}")
            module.vague = True
        return tree


_STANDARD = sys.stdlib_module_names | {
    "api_server", "app", "comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution",
    "comfy_extras", "custom_nodes", "cuda_malloc", "execution", "folder_paths", "latent_preview",
    "main", "middleware", "node_helpers", "nodes", "server", "utils",
}  # fmt: skip
"""Modules of Python and of ComfyUI: they are found before those of a pack."""
