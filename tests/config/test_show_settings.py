from __future__ import annotations

import re
from pathlib import Path

from comfywatchman.config import Settings, default_file, load, reference, rows, settings_path
from comfywatchman.config.load import KEYS


def test_the_default_file_as_it_is_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(default_file())
    file.chmod(0o600)

    loaded = load({}, {"HOME": str(tmp_path)}, file)

    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_every_key_of_the_default_file_can_be_taken_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(re.sub(r"^#(\w+ = )", r"\1", default_file(), flags=re.MULTILINE))
    file.chmod(0o600)

    loaded = load({}, {"HOME": str(tmp_path)}, file)

    assert set(loaded.origins.values()) == {f"file {file}"}
    changed = {row.key for row in rows(loaded) if row.value != _default(row.key)}
    assert changed == {name for name, key in KEYS.items() if key.says.example is not None}


def _default(name: str) -> object:
    value = KEYS[name].default
    return [str(each) for each in value] if isinstance(value, tuple) else value


def test_the_default_file_names_no_path_of_this_machine() -> None:
    assert str(Path.home()) not in default_file().replace("/path/to", "")
    assert str(Path.home()) not in reference()


def test_the_reference_has_a_line_for_every_key() -> None:
    text = reference()

    for name, key in KEYS.items():
        section, _, last = name.rpartition(".")
        part = text.split(f"## [{section}]\n" if section else "## Outside the sections\n")[1]
        line = re.search(rf"^\| `{last}` \|.*$", part.split("\n## ")[0], re.MULTILINE)
        assert line is not None, name
        assert key.says.description in line[0]


def test_the_path_of_a_file_that_is_not_there_yet_can_be_asked(tmp_path: Path) -> None:
    assert settings_path({}, tmp_path / "new.toml") == tmp_path / "new.toml"
