"""The few functions of Python's own library that packs use to put their node types together.

Everything else from outside is called in name only: it gives a value of which no more is known than
what it was made with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from comfywatchman.comfyui.source.calculating import members
from comfywatchman.comfyui.source.library import LIBRARY
from comfywatchman.comfyui.source.patterns import call_pattern
from comfywatchman.comfyui.source.values import (
    ABSENT,
    MOST_ITEMS,
    UNKNOWN,
    Items,
    Klass,
    Machine,
    Made,
    Method,
    Module,
    Outside,
    Place,
    Routine,
    Table,
    Unknown,
    Value,
    is_plain,
    truth,
)

_Arguments = Sequence[Value]
_Keywords = Mapping[str, Value]
_Rule = Callable[[Machine, _Arguments, _Keywords], Value]

_REGISTRY = frozenset({"nodes.NODE_CLASS_MAPPINGS"})
_SPEC = "importlib.util.spec_from_file_location"


def known_outside(machine: Machine, name: str) -> Value:
    """Return what stands behind a dotted name from outside."""
    if name in _REGISTRY:
        return machine.registry
    if name.endswith(".__module__"):
        return name.removesuffix(".__module__").rpartition(".")[0]
    if name in {"os.sep", "os.path.sep"}:
        return "/"
    if name == "sys.path":
        return machine.paths
    if name == "sys.modules":
        return Made(Outside("sys.modules"))
    return Outside(name)


def call_outside(machine: Machine, name: str, arguments: _Arguments, keywords: _Keywords) -> Value:
    if name.startswith("re."):
        return call_pattern(name, arguments)
    rule = _RULES.get(name, LIBRARY.get(name))
    if rule is None and name.startswith("builtins.") and name[9:10].isupper():
        return UNKNOWN  # an exception
    if rule is None:
        return Made(Outside(name), tuple(arguments), dict(keywords))
    return rule(machine, arguments, keywords)


def _first(arguments: _Arguments) -> Value:
    return arguments[0] if arguments else UNKNOWN


# -- built-in functions


def _table(_machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    made = Table()
    for argument in arguments:
        made.take_in(argument)
    made.entries.update(keywords)
    return made


def _list(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if not arguments:
        return Items([])
    found = members(arguments[0])
    return Items(list(found.values), found.open)


def _sorted(machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    made = _list(machine, arguments[:1], {})
    if isinstance(made, Items) and not keywords and all(isinstance(v, str) for v in made.values):
        made.values.sort(key=str)
    return made


def _length(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    value = _first(arguments)
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Items) and not value.open:
        return len(value.values)
    return len(value.entries) if isinstance(value, Table) and not value.open else UNKNOWN


def _text(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    value = arguments[0] if arguments else ""
    if isinstance(value, Place):
        return value.path
    return str(value) if is_plain(value) else UNKNOWN


def _truth(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    known = truth(_first(arguments))
    return UNKNOWN if known is None else known


def _callable(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    value = _first(arguments)
    if isinstance(value, Klass | Routine):
        return True
    return False if is_plain(value) or isinstance(value, Items | Table) else UNKNOWN


def _range(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    ends = [end for end in arguments if isinstance(end, int)]
    if not ends or len(ends) != len(arguments) or len(ends) > 3 or ends[2:] == [0]:
        return Items([], open=True)
    numbers = range(*ends)
    return Items(list(numbers[:MOST_ITEMS]), len(numbers) > MOST_ITEMS)


def _enumerate(_machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    start = arguments[1] if len(arguments) > 1 else keywords.get("start", 0)
    found = members(_first(arguments))
    first = start if isinstance(start, int) else 0
    pairs: list[Value] = [Items([n, value]) for n, value in enumerate(found.values, first)]
    return Items(pairs, found.open)


def _zip(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    lists = [members(argument) for argument in arguments]
    rows = zip(*(each.values for each in lists), strict=False)
    return Items([Items(list(row)) for row in rows], any(each.open for each in lists))


def _map(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if len(arguments) < 2:
        return UNKNOWN
    found = members(arguments[1])
    return Items([machine.call(arguments[0], [value], {}) for value in found.values], found.open)


def _filter(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if len(arguments) < 2:
        return UNKNOWN
    found = members(arguments[1])
    kept = [
        value
        for value in found.values
        if truth(value if arguments[0] is None else machine.call(arguments[0], [value], {}))
        is not False
    ]
    return Items(kept, found.open)


def _get_attribute(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if len(arguments) < 2 or not isinstance(arguments[1], str):
        return UNKNOWN
    found = machine.attribute(arguments[0], arguments[1])
    absent = found is ABSENT or (found is UNKNOWN and _tells_all(arguments[0]))
    return arguments[2] if absent and len(arguments) > 2 else found


def _set_attribute(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if len(arguments) == 3 and isinstance(arguments[1], str):
        holder = arguments[0]
        names = holder.attributes if isinstance(holder, Klass | Made) else None
        if isinstance(holder, Module):
            names = holder.names
        if names is not None:
            names[arguments[1]] = arguments[2]
    return None


def _has_attribute(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if len(arguments) < 2 or not isinstance(arguments[1], str):
        return UNKNOWN
    if isinstance(arguments[0], Outside) and arguments[1] in _OF_NODES:
        return UNKNOWN if arguments[0].name.startswith(_WITH_NODES) else False
    found = machine.attribute(arguments[0], arguments[1])
    if not isinstance(found, Unknown):
        return UNKNOWN if isinstance(arguments[0], Outside) else True
    return False if found is ABSENT or _tells_all(arguments[0]) else UNKNOWN


_OF_NODES = frozenset({"INPUT_TYPES", "RETURN_TYPES", "NODE_CLASS_MAPPINGS", "define_schema"})
_WITH_NODES = ("nodes.", "comfy_extras.", "custom_nodes.")
"""Whose classes may be nodes; those of other libraries are none."""


def _tells_all(value: Value) -> bool:
    """Say whether all attributes of *value* are known: what is not among them is not there."""
    if isinstance(value, Klass):
        return all(_tells_all(base) or _is_object(base) for base in value.bases)
    if isinstance(value, Made):
        return isinstance(value.maker, Klass) and _tells_all(value.maker)
    return isinstance(value, Module) and value.whole


def _is_object(value: Value) -> bool:
    return isinstance(value, Outside) and value.name == "builtins.object"


def _is_instance(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if len(arguments) < 2 or not isinstance(arguments[1], Outside):
        return UNKNOWN
    kind = arguments[1].name
    value = arguments[0]
    if kind in {"builtins.type", "inspect.isclass"}:
        return isinstance(value, Klass) if not _is_vague(value) else UNKNOWN
    python = _KINDS.get(kind)
    if python is None or _is_vague(value):
        return UNKNOWN
    return isinstance(value, python)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "builtins.str": (str,),
    "builtins.dict": (Table,),
    "builtins.list": (Items,),
    "builtins.tuple": (Items,),
}


def _is_vague(value: Value) -> bool:
    return (
        value is UNKNOWN
        or isinstance(value, Outside)
        or isinstance(getattr(value, "maker", None), Outside)
    )


def _is_class(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    value = _first(arguments)
    if isinstance(value, Made) or (isinstance(value, Outside) and value.is_module):
        return False
    return UNKNOWN if _is_vague(value) else isinstance(value, Klass)


def _is_subclass(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    if len(arguments) < 2 or not isinstance(arguments[0], Klass):
        return UNKNOWN
    return _descends(arguments[0], arguments[1])


def _descends(klass: Klass, wanted: Value) -> Value:
    if klass is wanted:
        return True
    unsure = False
    for base in klass.bases:
        if base is wanted or _same_outside(base, wanted):
            return True
        if isinstance(base, Klass):
            found = _descends(base, wanted)
            if found is True:
                return True
            unsure = unsure or found is UNKNOWN
        elif not _is_object(base):
            unsure = True
    return UNKNOWN if unsure else False


def _same_outside(one: Value, other: Value) -> bool:
    return isinstance(one, Outside) and isinstance(other, Outside) and one.name == other.name


def _type(_machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
    if len(arguments) == 3:
        name, bases, attributes = arguments
        if isinstance(name, str) and isinstance(attributes, Table):
            found = {str(k): v for k, v in attributes.entries.items()}
            return Klass(name, tuple(members(bases).values), found)
        return UNKNOWN
    value = _first(arguments)
    return value.maker if isinstance(value, Made) else UNKNOWN


def _variables(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    value = _first(arguments)
    return machine.attribute(value, "__dict__")


def _names(machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    found = _variables(machine, arguments, {})
    return Items([*sorted(map(str, found.entries))]) if isinstance(found, Table) else UNKNOWN


def _next(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    found = members(_first(arguments))
    return found.values[0] if found.values else UNKNOWN


def _property(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    return _first(arguments)


def _super(_machine: Machine, _arguments: _Arguments, _keywords: _Keywords) -> Value:
    return UNKNOWN


def _default_table(_machine: Machine, _arguments: _Arguments, _keywords: _Keywords) -> Value:
    return Table()


def _chain(_machine: Machine, arguments: _Arguments, _keywords: _Keywords) -> Value:
    lists = [members(argument) for argument in arguments]
    values = [value for each in lists for value in each.values]
    return Items(values, any(each.open for each in lists))


def _method_of(kind: type, name: str) -> _Rule:
    def rule(machine: Machine, arguments: _Arguments, keywords: _Keywords) -> Value:
        first = _first(arguments)
        if not isinstance(first, kind):
            return UNKNOWN
        return machine.call(Method(first, name), arguments[1:], keywords)

    return rule


_RULES: Mapping[str, _Rule] = {
    "builtins.bool": _truth,
    "builtins.callable": _callable,
    "builtins.dict": _table,
    "builtins.dir": _names,
    "builtins.enumerate": _enumerate,
    "builtins.filter": _filter,
    "builtins.frozenset": _list,
    "builtins.getattr": _get_attribute,
    "builtins.hasattr": _has_attribute,
    "builtins.isinstance": _is_instance,
    "builtins.issubclass": _is_subclass,
    "builtins.iter": _property,
    "builtins.len": _length,
    "builtins.list": _list,
    "builtins.map": _map,
    "builtins.next": _next,
    "builtins.range": _range,
    "builtins.reversed": _list,
    "builtins.set": _list,
    "builtins.setattr": _set_attribute,
    "builtins.sorted": _sorted,
    "builtins.str": _text,
    "builtins.super": _super,
    "builtins.tuple": _list,
    "builtins.type": _type,
    "builtins.vars": _variables,
    "builtins.zip": _zip,
    "collections.OrderedDict": _table,
    "collections.defaultdict": _default_table,
    "itertools.chain": _chain,
    "inspect.isclass": _is_class,
}
