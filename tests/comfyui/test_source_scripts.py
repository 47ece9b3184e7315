from __future__ import annotations

from pathlib import Path

from comfywatchman.comfyui.source.scripts import scripted


def write(root: Path, **files: str) -> str:
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(root)


def test_a_name_in_the_call_is_a_node_type_of_the_editor(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        web__a='LiteGraph.registerNodeType("SetNode", SetNode)',
        web__b="LiteGraph.registerNodeType(\n  'easy getNode',\n  Getter)",
    )

    found = scripted(root, "./web")

    assert found.types == {"SetNode", "easy getNode"}
    assert found.mentions == set()


def test_where_names_stand_elsewhere_every_text_may_be_one(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        web__names='export const LABEL = add("Label"); const quiet = "x";',
        web__node="LiteGraph.registerNodeType(this.type, this)",
    )

    found = scripted(root, "web")

    assert found.types == set()
    assert "Label" in found.mentions


def test_scripts_that_register_nothing_are_mentioned_nowhere(tmp_path: Path) -> None:
    root = write(tmp_path, web__a='console.log("Hello World")')

    assert scripted(root, None).mentions == set()


def test_scripts_outside_the_pack_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "other", a='registerNodeType("Z", Z)')
    root = write(tmp_path / "pack", a='registerNodeType("A", A)')

    assert scripted(root, "../other").types == {"A"}
