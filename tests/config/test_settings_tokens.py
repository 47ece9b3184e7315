from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from comfywatchman.config import Loaded, load
from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.domain.secrets import Secret
from tests.config.writing import Write


def token(loaded: Loaded, hub: str) -> tuple[str | None, str]:
    found: Secret | None = getattr(loaded.settings.hubs, hub).token
    return None if found is None else found.reveal(), loaded.origins[f"hubs.{hub}.token"]


def test_a_token_is_taken_from_the_first_place_that_has_one(
    write: Write, home: Mapping[str, str], tmp_path: Path
) -> None:
    login = tmp_path / "home" / ".cache" / "huggingface" / "token"
    login.parent.mkdir(parents=True)
    login.write_text("from-login\n")
    file = tmp_path / "token"
    file.write_text("from-file\n")
    file.chmod(0o600)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    bare, named = write(""), f"[hubs.huggingface]\ntoken_file = '{file}'\n"

    def found(text: str, **environ: str) -> str | None:
        return token(load({}, {**home, **environ}, write(text)), "huggingface")[0]

    assert token(load({}, home, bare), "huggingface") == ("from-login", f"file {login}")
    assert found("", HF_HUB_DISABLE_IMPLICIT_TOKEN="1") is None
    assert found(named) == "from-file"
    assert found(named + "token = 'from-settings'\n") == "from-settings"
    assert found(named, HF_TOKEN="from-variable") == "from-variable"
    assert (
        found(named, HF_TOKEN="x", COMFYWATCHMAN_HUBS__HUGGINGFACE__TOKEN="from-ours")
        == "from-ours"
    )
    (credentials / "hf_token").write_text("from-systemd")
    assert found(named, HF_TOKEN="x", CREDENTIALS_DIRECTORY=str(credentials)) == "from-systemd"


@pytest.mark.parametrize("moved", ["HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"])
def test_the_login_of_hugging_face_is_found_where_its_variables_say(
    write: Write, home: Mapping[str, str], tmp_path: Path, moved: str
) -> None:
    below = {"HF_TOKEN_PATH": "", "HF_HOME": "token", "XDG_CACHE_HOME": "huggingface/token"}
    file = tmp_path / "moved" / below[moved]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("moved-token")

    loaded = load({}, {**home, moved: str(tmp_path / "moved")}, write(""))

    assert token(loaded, "huggingface")[0] == "moved-token"


def test_both_names_of_the_civitai_key_are_read_the_shorter_first(
    write: Write, home: Mapping[str, str]
) -> None:
    one = load({}, {**home, "CIVITAI_API_TOKEN": "a"}, write(""))
    both = load({}, {**home, "CIVITAI_API_TOKEN": "a", "CIVITAI_API_KEY": "b"}, write(""))

    assert token(one, "civitai") == ("a", "environment CIVITAI_API_TOKEN")
    assert token(both, "civitai") == ("b", "environment CIVITAI_API_KEY")


def test_a_token_file_that_cannot_be_used_is_told_and_everything_else_goes_on(
    write: Write, home: Mapping[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("hidden-words")
    file.chmod(0o644)
    text = f"[hubs.civitai]\ntoken_file = '{file}'\n[hubs.huggingface]\ntoken_file = 'absent'\n"

    loaded = load({}, {**home, "CREDENTIALS_DIRECTORY": str(tmp_path / "none")}, write(text))

    assert token(loaded, "civitai") == (None, "default")
    assert len(loaded.troubles) == 2
    assert "chmod 600" in loaded.troubles[0].remedy
    assert "hidden-words" not in repr(loaded)


def test_a_variable_with_an_unusable_token_does_not_tell_it(
    write: Write, home: Mapping[str, str]
) -> None:
    with pytest.raises(SettingsInvalid, match="HF_TOKEN") as raised:
        load({}, {**home, "HF_TOKEN": "two\nhidden-lines"}, write(""))

    assert "hidden-lines" not in str(raised.value)
