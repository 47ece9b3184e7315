"""What Python's own library gives for paths and modules, where packs ask it for their own files."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence

from comfywatchman.comfyui.source.calculating import joined, members
from comfywatchman.comfyui.source.files import below, entries, exists, walk
from comfywatchman.comfyui.source.values import (
    ABSENT,
    UNKNOWN,
    Items,
    Machine,
    Made,
    Module,
    Outside,
    Place,
    Routine,
    Table,
    Value,
    is_plain,
    truth,
)

_Arguments = Sequence[Value]
_Keywords = Mapping[str, Value]
_Rule = Callable[[Machine, _Arguments, _Keywords], Value]

_SPEC = "importlib.util.spec_from_file_location"


def _first(arguments: _Arguments) -> Value:
    return arguments[0] if arguments else UNKNOWN


def _path(value: Value) -> str | None:
    if isinstance(value, Place):
        return value.path
    return value if isinstance(value, str) else None


def _same(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    return _first(arguments)


def _as_text(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    value = _first(arguments)
    return value.path if isinstance(value, Place) else value if is_plain(value) else UNKNOWN


# -- paths


def _join(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    parts = [_path(argument) for argument in arguments]
    if not parts or None in parts:
        return UNKNOWN
    path = parts[0] or ""
    for part in parts[1:]:
        path = joined(path, part or "") if path else part or ""
    return path


def _on_path(change: Callable[[str], str]) -> _Rule:
    def rule(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
        path = _path(_first(arguments))
        return UNKNOWN if path is None else change(path)

    return rule


def _split_suffix(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path = _path(_first(arguments))
    return UNKNOWN if path is None else Items(list(posixpath.splitext(path)))


def _split_path(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path = _path(_first(arguments))
    return UNKNOWN if path is None else Items(list(posixpath.split(path)))


def _relative(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path, start = _path(_first(arguments)), _path(arguments[1]) if len(arguments) > 1 else None
    if path is None or start is None:
        return UNKNOWN
    return posixpath.relpath(path, start or ".")


def _exists(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path = _path(_first(arguments))
    found = None if path is None else exists(machine.root, path)
    return UNKNOWN if found is None else found


def _entries(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path = _path(_first(arguments))
    found = None if path is None else entries(machine.root, path)
    return UNKNOWN if found is None else Items(list(found))


def _scan(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path = _path(_first(arguments))
    found = None if path is None else entries(machine.root, path)
    if path is None or found is None:
        return UNKNOWN
    return Items(
        [
            Made(
                Outside("os.DirEntry"),
                attributes={"name": name, "path": joined(path, name)},
            )
            for name in found
        ]
    )


def _glob(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    pattern = _path(_first(arguments))
    found = None if pattern is None else below(machine.root, pattern)
    return UNKNOWN if found is None else Items(list(found))


def _walk(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path = _path(_first(arguments))
    found = None if path is None else walk(machine.root, path)
    if found is None:
        return UNKNOWN
    return Items(
        [Items([at, Items(list(inner)), Items(list(files))]) for at, inner, files in found]
    )


def _place(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    joined_up = _join(_machine, arguments, {}) if arguments else "."
    return Place(joined_up) if isinstance(joined_up, str) else UNKNOWN


# -- modules


def _import_module(machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    name = _first(arguments)
    package = arguments[1] if len(arguments) > 1 else keywords.get("package")
    if not isinstance(name, str):
        return UNKNOWN
    if name.startswith("."):
        if not isinstance(package, str):
            return UNKNOWN
        level = len(name) - len(name.lstrip("."))
        for _ in range(level - 1):
            package = package.rpartition(".")[0]
        name = f"{package}.{name[level:]}" if name[level:] else package
    found = machine.import_(name, _nobody(machine))
    return machine.read(found) if isinstance(found, Module) else found


def _nobody(machine: Machine) -> Module:
    return Module(f"{machine.root}/__init__.py", machine.root, is_package=True)


def _find_spec(machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    found = _import_module(machine, arguments, keywords)
    if not isinstance(found, Module):
        return None if found is ABSENT else UNKNOWN
    loader = Made(Outside("importlib.machinery.Loader"))
    return Made(Outside(_SPEC), attributes={"location": found.file, "loader": loader})


def _spec(_machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    location = arguments[1] if len(arguments) > 1 else keywords.get("location", UNKNOWN)
    loader = Made(Outside("importlib.machinery.Loader"))
    return Made(Outside(_SPEC), attributes={"location": location, "loader": loader})


def _module_from_spec(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    spec = _first(arguments)
    if not isinstance(spec, Made):
        return UNKNOWN
    return _module_of_file(machine, [spec.attributes.get("location", UNKNOWN)], {})


def _module_of_file(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    path = _path(arguments[-1] if arguments else UNKNOWN)
    found = None if path is None else machine.module_at(path)
    return UNKNOWN if found is None else machine.read(found)


def _modules_in(machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    """Return what ``pkgutil`` yields: (finder, name, is a package)."""
    paths = members(arguments[0] if arguments else keywords.get("path", UNKNOWN))
    prefix = arguments[1] if len(arguments) > 1 else keywords.get("prefix", "")
    if paths.open or not isinstance(prefix, str):
        return Items([], open=True)
    found: list[Value] = []
    for path in paths.values:
        directory = _path(path)
        for name in (entries(machine.root, directory) if directory else None) or []:
            stem, suffix = posixpath.splitext(name)
            is_package = exists(machine.root, f"{directory}/{name}/__init__.py") is True
            if is_package or (suffix == ".py" and stem != "__init__"):
                found.append(Items([None, prefix + stem, is_package]))
    return Items(found)


def _members(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    found = machine.attribute(_first(arguments), "__dict__")
    if not isinstance(found, Table):
        return UNKNOWN
    pairs = [(str(name), machine.settled(value)) for name, value in found.entries.items()]
    if len(arguments) > 1:
        pairs = [
            (name, value)
            for name, value in pairs
            if truth(machine.call(arguments[1], [value], {})) is not False
        ]
    return Items([Items([name, value]) for name, value in pairs])


def _partial(_machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    first = _first(arguments)
    if isinstance(first, Routine):
        given = (*first.receivers, *arguments[1:])
        return Routine(
            first.node, first.scope, {**first.defaults, **keywords}, first.decorators, given
        )
    return UNKNOWN


LIBRARY: Mapping[str, _Rule] = {
    "builtins.__import__": _import_module,
    "functools.partial": _partial,
    "glob.glob": _glob,
    "glob.iglob": _glob,
    "importlib.import_module": _import_module,
    "importlib.reload": _same,
    "importlib.machinery.SourceFileLoader": _module_of_file,
    "importlib.util.find_spec": _find_spec,
    "importlib.util.module_from_spec": _module_from_spec,
    _SPEC: _spec,
    "inspect.getmembers": _members,
    "os.fspath": _as_text,
    "os.listdir": _entries,
    "os.path.abspath": _on_path(posixpath.normpath),
    "os.path.basename": _on_path(posixpath.basename),
    "os.path.dirname": _on_path(posixpath.dirname),
    "os.path.exists": _exists,
    "os.path.isdir": _exists,
    "os.path.isfile": _exists,
    "os.path.join": _join,
    "os.path.normpath": _on_path(posixpath.normpath),
    "os.path.realpath": _on_path(posixpath.normpath),
    "os.path.relpath": _relative,
    "os.path.split": _split_path,
    "os.path.splitext": _split_suffix,
    "os.scandir": _scan,
    "os.walk": _walk,
    "pathlib.Path": _place,
    "pathlib.PurePath": _place,
    "pkgutil.iter_modules": _modules_in,
    "pkgutil.walk_packages": _modules_in,
}
