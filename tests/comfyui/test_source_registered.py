"""Reading what a pack registers, without importing or running any of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.comfyui.source.machine import Limits
from comfywatchman.comfyui.source.registered import Registered, registered


def read(root: Path, **files: str) -> Registered:
    """Read a pack of *files*: ``a__b_py`` is ``a/b.py``, ``init`` is ``__init__.py``."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / _spelled(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return registered(str(root))


def _spelled(name: str) -> str:
    return "__init__.py" if name == "init" else name.replace("__", "/").replace("_py", ".py")


FORMS = {
    "a dictionary": 'NODE_CLASS_MAPPINGS = {"A": 1, "B": 2}',
    "with an annotation": 'NODE_CLASS_MAPPINGS: dict[str, type] = {"A": 1, "B": 2}',
    "dict()": 'NODE_CLASS_MAPPINGS = dict([("A", 1)], B=2)',
    "update": 'M = NODE_CLASS_MAPPINGS = {"A": 1}\nM.update({"B": 2})',
    "update with keywords": 'NODE_CLASS_MAPPINGS = {"A": 1}\nNODE_CLASS_MAPPINGS.update(B=2)',
    "an or": 'NODE_CLASS_MAPPINGS = {"A": 1}\nNODE_CLASS_MAPPINGS |= {"B": 2}',
    "a union": 'NODE_CLASS_MAPPINGS = {"A": 1} | {"B": 2}',
    "stars": 'X = {"A": 1}\nNODE_CLASS_MAPPINGS = {**X, **{"B": 2}}',
    "one by one": 'NODE_CLASS_MAPPINGS = {}\nfor n in ["A", "B"]:\n    NODE_CLASS_MAPPINGS[n] = 1',
    "a comprehension": 'NODE_CLASS_MAPPINGS = {n: 1 for n in "AB"}',
    "zip": 'NODE_CLASS_MAPPINGS = dict(zip(["A", "B"], [1, 2]))',
    "setdefault": ('NODE_CLASS_MAPPINGS = {"A": 1}\nNODE_CLASS_MAPPINGS.setdefault("B", 2)'),
    "names of classes": "class A: pass\nclass B: pass\nNODE_CLASS_MAPPINGS = "
    "{c.__name__: c for c in (A, B)}",
    "a constant of each class": 'class X:\n    NAME = "A"\nclass Y(X):\n    NAME = "B"\n'
    "NODE_CLASS_MAPPINGS = {X.NAME: X, Y.NAME: Y}",
    "an inherited constant": 'class X:\n    NAME = "A"\nclass Y(X): pass\n'
    'NODE_CLASS_MAPPINGS = {Y.NAME: Y, "B": 1}',
    "a method of each class": "class X:\n    @classmethod\n"
    "    def name(cls): return cls.__name__[1:]\n"
    "class _A(X): pass\nclass _B(X): pass\nNODE_CLASS_MAPPINGS = {c.name(): c for c in (_A, _B)}",
    "an f-string": 'P = ""\nNODE_CLASS_MAPPINGS = {f"{P}A": 1, P + "B": 2}',
    "a format": 'NODE_CLASS_MAPPINGS = {"{}".format("A"): 1, "%s" % "B": 2}',
    "a function": "def m(**k):\n    return {key.upper(): v for key, v in k.items()}\n"
    "NODE_CLASS_MAPPINGS = m(a=1, b=2)",
    "a table of tables": 'C = {"A": {"class": 1}, "B": {"class": 2}}\n'
    'NODE_CLASS_MAPPINGS, D = {k: v["class"] for k, v in C.items()}, {}',
    "a decorator": "NODE_CLASS_MAPPINGS = {}\ndef node(name):\n    def put(cls):\n"
    "        NODE_CLASS_MAPPINGS[name] = cls\n        return cls\n    return put\n"
    '@node("A")\nclass X: pass\n@node("B")\nclass Y: pass',
    "an enumeration": "from enum import Enum\nclass N(Enum):\n    ONE = 'A'\n    TWO = 'B'\n"
    "NODE_CLASS_MAPPINGS = {n.value: 1 for n in N}",
    "a data class": "from dataclasses import dataclass\n@dataclass\nclass Spec:\n    name: str\n"
    "    cls: type\nNODE_CLASS_MAPPINGS = {s.name: s.cls for s in [Spec('A', 1), Spec('B', 2)]}",
    "a registry object": "class R:\n    def __init__(self):\n        self.known = {}\n"
    "    def add(self, n): self.known[n] = 1\nr = R()\nr.add('A')\nr.add('B')\n"
    "NODE_CLASS_MAPPINGS = r.known",
    "subclasses that register themselves": "NODE_CLASS_MAPPINGS = {}\nclass Base:\n"
    "    def __init_subclass__(cls):\n        NODE_CLASS_MAPPINGS[cls.__name__] = cls\n"
    "class A(Base): pass\nclass B(Base): pass",
    "classes made by type()": "NODE_CLASS_MAPPINGS = {n: type(n, (), {}) for n in ('A', 'B')}",
    "all classes of the module": "import inspect, sys\nclass A: pass\nclass B: pass\n"
    "NODE_CLASS_MAPPINGS = {n: c for n, c in inspect.getmembers(sys.modules[__name__], "
    "inspect.isclass)}",
    "globals": "class A: pass\nclass B: pass\n"
    "NODE_CLASS_MAPPINGS = {n: globals()[n] for n in ('A', 'B')}",
    "a condition that nobody can tell": "import torch\nNODE_CLASS_MAPPINGS = {'A': 1}\n"
    "if torch.cuda.is_available():\n    NODE_CLASS_MAPPINGS['B'] = 2",
    "a condition that is known": "NODE_CLASS_MAPPINGS = {'A': 1, 'B': 2}\n"
    "if __name__ == '__main__':\n"
    "    NODE_CLASS_MAPPINGS['C'] = 3",
    "an import that may fail": "try:\n    import torch\n"
    "    NODE_CLASS_MAPPINGS = {'A': 1, 'B': 2}\n"
    "except ImportError:\n    NODE_CLASS_MAPPINGS = {}",
    "a regular expression": "import re\nNODE_CLASS_MAPPINGS = "
    "{re.sub('^MTB_', '', n): 1 for n in ('MTB_A', 'MTB_B')}",
    "ComfyUI's own table": "from nodes import NODE_CLASS_MAPPINGS as ALL\nALL['A'] = 1\n"
    "import nodes\nnodes.NODE_CLASS_MAPPINGS.update({'B': 2})",
    "the newer kind of node": "from comfy_api.latest import io, ComfyExtension\n"
    "class X(io.ComfyNode):\n    @classmethod\n    def define_schema(cls):\n"
    "        return io.Schema(node_id='A', inputs=[])\n"
    "class Y(io.ComfyNode):\n    @classmethod\n    def define_schema(cls):\n"
    "        return io.Schema('B')\n"
    "class E(ComfyExtension):\n    async def get_node_list(self): return [X, Y]\n"
    "async def comfy_entrypoint(): return E()",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_way_to_write_the_table_down_is_read(tmp_path: Path, form: str) -> None:
    found = read(tmp_path / "pack", init=FORMS[form])

    assert found.types == {"A", "B"}
    assert found.complete, found.why


MODULES: dict[str, dict[str, str]] = {
    "a module": {
        "init": "from .nodes import NODE_CLASS_MAPPINGS",
        "nodes_py": "NODE_CLASS_MAPPINGS = {'A': 1, 'B': 2}",
    },
    "everything of a module": {
        "init": "from .nodes import *",
        "nodes_py": "__all__ = ['NODE_CLASS_MAPPINGS']\nNODE_CLASS_MAPPINGS = {'A': 1, 'B': 2}",
    },
    "modules by name": {
        "init": "import importlib\nNODE_CLASS_MAPPINGS = {}\nfor n in ('a', 'b'):\n"
        "    m = importlib.import_module(f'.py.{n}', package=__package__)\n"
        "    NODE_CLASS_MAPPINGS = {**NODE_CLASS_MAPPINGS, **m.NODE_CLASS_MAPPINGS}",
        "py__a_py": "NODE_CLASS_MAPPINGS = {'A': 1}",
        "py__b_py": "NODE_CLASS_MAPPINGS = {'B': 1}",
    },
    "modules by file": {
        "init": "import os, importlib.util\nNODE_CLASS_MAPPINGS = {}\n"
        "home = os.path.join(os.path.dirname(os.path.realpath(__file__)), 'parts')\n"
        "for f in os.listdir(home):\n    if not f.endswith('.py'): continue\n"
        "    s = importlib.util.spec_from_file_location(f[:-3], os.path.join(home, f))\n"
        "    m = importlib.util.module_from_spec(s)\n    s.loader.exec_module(m)\n"
        "    NODE_CLASS_MAPPINGS.update(getattr(m, 'NODE_CLASS_MAPPINGS', {}))",
        "parts__a_py": "NODE_CLASS_MAPPINGS = {'A': 1}",
        "parts__b_py": "NODE_CLASS_MAPPINGS = {'B': 1}",
        "parts__none_py": "helper = 1",
        "parts__readme.txt": "no",
    },
    "modules by glob": {
        "init": "from pathlib import Path\nimport importlib\nNODE_CLASS_MAPPINGS = {}\n"
        "for f in (Path(__file__).parent / 'parts').glob('*.py'):\n"
        "    m = importlib.import_module(f'.parts.{f.stem}', __name__)\n"
        "    NODE_CLASS_MAPPINGS |= m.NODE_CLASS_MAPPINGS",
        "parts__a_py": "NODE_CLASS_MAPPINGS = {'A': 1, 'B': 2}",
    },
    "a submodule by name": {
        "init": "from . import one\nNODE_CLASS_MAPPINGS = {**one.NODE_CLASS_MAPPINGS}",
        "one_py": "NODE_CLASS_MAPPINGS = {'A': 1, 'B': 2}",
    },
    "a shared table": {
        "init": "from .table import NODE_CLASS_MAPPINGS\nfrom . import adds",
        "table_py": "NODE_CLASS_MAPPINGS = {'A': 1}",
        "adds_py": "from .table import NODE_CLASS_MAPPINGS\nNODE_CLASS_MAPPINGS['B'] = 2",
    },
    "a directory on Python's path": {
        "init": "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), 'lib'))\n"
        "from parts import MORE\nNODE_CLASS_MAPPINGS = {'A': 1, **MORE}",
        "lib__parts_py": "MORE = {'B': 2}",
    },
    "constants of another module": {
        "init": "from .lib.names import get\nNODE_CLASS_MAPPINGS = {get('A'): 1, get('B'): 2}",
        "lib__names_py": "SUFFIX = ''\ndef get(name):\n    return f'{name}{SUFFIX}'",
    },
    "one of two that is there": {
        "init": "try:\n    from .gone import NODE_CLASS_MAPPINGS\nexcept ImportError:\n"
        "    from .here import NODE_CLASS_MAPPINGS",
        "here_py": "NODE_CLASS_MAPPINGS = {'A': 1, 'B': 2}",
    },
    "modules that import each other": {
        "init": "from .a import A\nfrom .b import B\nNODE_CLASS_MAPPINGS = {A: 1, B: 2}",
        "a_py": "from .b import B\nA = 'A'",
        "b_py": "from . import a\nB = 'B'",
    },
}


@pytest.mark.parametrize("form", MODULES)
def test_what_other_modules_of_the_pack_bring_is_read(tmp_path: Path, form: str) -> None:
    found = read(tmp_path / "pack", **MODULES[form])

    assert found.types == {"A", "B"}
    assert found.complete, found.why


UNTOLD = {
    "a library makes it": "from elsewhere import make\nNODE_CLASS_MAPPINGS = make()",
    "a library adds to it": "import elsewhere\nNODE_CLASS_MAPPINGS = {'A': 1}\n"
    "NODE_CLASS_MAPPINGS.update(elsewhere.more())",
    "a name nobody knows": "import os\nNODE_CLASS_MAPPINGS = {'A': 1}\n"
    "NODE_CLASS_MAPPINGS[os.environ['X']] = 2",
    "everything of a library": "NODE_CLASS_MAPPINGS_ = {'A': 1}\nfrom elsewhere import *",
    "a node that names itself": "from comfy_api.latest import io\nimport os\n"
    "class X(io.ComfyNode):\n    @classmethod\n    def define_schema(cls):\n"
    "        return io.Schema(node_id=os.environ['X'])\n"
    "class E:\n    async def get_node_list(self): return [X]\n"
    "def comfy_entrypoint(): return E()",
}


@pytest.mark.parametrize("form", UNTOLD)
def test_what_only_running_it_would_tell_is_said_not_to_be_told(tmp_path: Path, form: str) -> None:
    found = read(tmp_path / "pack", init=UNTOLD[form])

    assert not found.complete
    assert found.why


def test_of_what_cannot_be_followed_the_usual_shapes_are_taken(tmp_path: Path) -> None:
    found = read(
        tmp_path / "pack",
        init="from elsewhere import register\nNODE_CLASS_MAPPINGS, _ = register()",
        nodes__a_py="class Fancy:\n    NAME = 'Fancy Node'\n    def INPUT_TYPES(s): pass\n"
        "NODE_CLASS_MAPPINGS = {'A': Fancy}\nNODE_CLASS_MAPPINGS['B'] = Fancy",
    )

    assert found.types == {"A", "B"}
    assert not found.complete
    assert {"Fancy", "Fancy Node"} <= found.mentions


def test_a_class_without_a_table_is_no_node_type(tmp_path: Path) -> None:
    found = read(tmp_path / "pack", init="class A:\n    def INPUT_TYPES(s): pass")

    assert (found.types, found.complete) == (frozenset(), True)


def test_a_file_that_nobody_imports_registers_nothing(tmp_path: Path) -> None:
    found = read(
        tmp_path / "pack",
        init="NODE_CLASS_MAPPINGS = {'A': 1}",
        old_py="NODE_CLASS_MAPPINGS = {'Z': 1}",
    )

    assert found.types == {"A"}


def test_a_directory_without_an_init_file_is_no_pack_that_python_would_load(tmp_path: Path) -> None:
    found = read(tmp_path / "pack", nodes_py="NODE_CLASS_MAPPINGS = {'A': 1}")

    assert (found.types, found.complete) == (frozenset(), True)


def test_a_single_file_is_a_pack(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("NODE_CLASS_MAPPINGS = {'A': 1}")
    (tmp_path / "two.py").write_text("NODE_CLASS_MAPPINGS = {'Z': 1}")

    assert registered(str(tmp_path / "one.py")).types == {"A"}


def test_a_pack_in_newer_python_than_ours_is_read_but_for_what_we_cannot_parse(
    tmp_path: Path,
) -> None:
    found = read(
        tmp_path / "pack",
        init="class A:\n    def f(self):\n        return not python at all\n\n"
        "X = also not python\nNODE_CLASS_MAPPINGS = {'A': A, 'B': 1}\n",
    )

    assert found.types == {"A", "B"}


def test_where_its_scripts_lie_is_told(tmp_path: Path) -> None:
    assert (
        read(tmp_path / "p", init="WEB_DIRECTORY = './web'\nNODE_CLASS_MAPPINGS={}").web == "./web"
    )


# -- nothing of it runs


def test_nothing_of_the_source_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    found = read(
        tmp_path / "pack",
        init=f"import os\nos.system('touch {mark}')\nopen({str(mark)!r}, 'w').write('x')\n"
        f"__import__('pathlib').Path({str(mark)!r}).touch()\n"
        f"exec('open({str(mark)!r}, \"w\")')\nos.makedirs({str(mark)!r})\n"
        "NODE_CLASS_MAPPINGS = {'A': 1}",
    )

    assert found.types == {"A"}
    assert not mark.exists()


def test_no_file_outside_the_pack_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("NODE_CLASS_MAPPINGS = {'Z': 1}")
    root = tmp_path / "pack"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)

    found = read(
        root,
        init="import os, glob, importlib\nNODE_CLASS_MAPPINGS = {'A': 1}\n"
        f"for n in os.listdir({str(tmp_path)!r}) + glob.glob({str(tmp_path)!r} + '/*')"
        " + os.listdir(os.path.dirname(__file__) + '/link'):\n"
        "    NODE_CLASS_MAPPINGS[n] = 1\n"
        "from .link.outside import NODE_CLASS_MAPPINGS as M\nNODE_CLASS_MAPPINGS.update(M)\n"
        "from ..outside import NODE_CLASS_MAPPINGS as N\nNODE_CLASS_MAPPINGS.update(N)",
    )

    assert found.types == {"A"}


HOSTILE = {
    "brackets": "x = " + "(" * 50_000 + ")" * 50_000,
    "signs": "x = " + "-" * 50_000 + "1",
    "a long sum": "x = " + "+".join(["'a'"] * 5_000),
    "an endless loop": "while True:\n    x = 1",
    "loops in loops": "for a in range(5000):\n  for b in range(5000):\n    for c in range(5000): 1",
    "a function that calls itself": "def f(x): return f(x) + f(x)\nf(1)",
    "a function that calls itself often": "def f(x): return [f(x) for _ in range(1000)]\nf(1)",
    "a generator of itself": "def f():\n    yield from f()\nlist(f())",
    "a list that doubles": "l = [1]\nfor i in range(100): l = l + l",
    "a list put into itself": "l = [1]\nfor i in range(30): l.extend(l)",
    "a text that doubles": "s = 'a'\nfor i in range(100): s = s + s",
    "a wide format": "a = '%1000000000d' % 1\nb = f'{1:1000000000}'\nc = '{:1000000000}'.format(1)",
    "padding": "a = 'a'.zfill(10**9)\nb = 'a' * 10**9\nc = 'a' * 1000000000",
    "a replacement that grows": "a = ('a' * 1).replace('', 'b' * 20000)\nb = a.replace('', a)",
    "a slow pattern": "import re\nre.sub('(a+)+$', '', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')",
    "a table in itself": "d = {}\nd['d'] = d\nd.update(d)\nstr(d)",
    "classes without end": "\n".join(
        f"class C{i}({f'C{i - 1}' if i else 'object'}): pass" for i in range(2000)
    )
    + "\nx = C1999.NAME",
    "itself": "from . import *\nfrom .pack import *\nimport pack\nfrom .. import pack",
    "lone surrogates": "NODE_CLASS_MAPPINGS['\\ud83d'] = 1",
    "deep statements": "".join(" " * i + "if x:\n" for i in range(90)) + " " * 90 + "pass",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_source_ends_within_its_limits(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "pack"
    root.mkdir()
    source = f"NODE_CLASS_MAPPINGS = {{'A': 1}}\n{HOSTILE[kind]}\n"
    (root / "__init__.py").write_text(source, encoding="utf-8")

    found = registered(str(root), Limits(steps=50_000, seconds=5))

    assert found.types >= ({"A"} if "A" in found.types or found.complete else set())


@pytest.mark.parametrize(
    "data", [b"\0\0\0", os.urandom(1000), b"\xff\xfe", b"# coding: nonsense\n"]
)
def test_what_is_no_python_is_told_and_has_nothing(tmp_path: Path, data: bytes) -> None:
    root = tmp_path / "pack"
    root.mkdir()
    (root / "__init__.py").write_bytes(data)

    assert registered(str(root)).types == frozenset()


def test_a_source_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "pack"
    root.mkdir()
    (root / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {'A': 1}\n" + "#" * 2000)

    found = registered(str(root), Limits(file_bytes=1000))

    assert not found.complete


def test_a_named_pipe_holds_nobody(tmp_path: Path) -> None:
    root = tmp_path / "pack"
    root.mkdir()
    os.mkfifo(root / "pipe.py")

    found = read(root, init="from .pipe import *\nNODE_CLASS_MAPPINGS = {'A': 1}")

    assert found.types == {"A"}
