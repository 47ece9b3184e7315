from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.server import load_or_make_token


def test_a_token_is_made_once_for_our_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "token"

    first = load_or_make_token(path)

    assert len(first.reveal()) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_token(path) == first
    assert [file.name for file in path.parent.iterdir()] == ["token"]


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    load_or_make_token(path)
    path.chmod(0o644)

    with pytest.raises(SettingsInvalid, match="0o644") as caught:
        load_or_make_token(path)

    assert "chmod 600" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "short", "\n", "ä" * 40, "a b\nc" * 20])
def test_a_file_without_a_token_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(SettingsInvalid):
        load_or_make_token(path)

    assert path.read_text() == text


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid):
        load_or_make_token(tmp_path)


def test_the_token_does_not_stand_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("tell-nobody-tell-nobody")
    path.chmod(0o640)

    with pytest.raises(SettingsInvalid) as caught:
        load_or_make_token(path)

    assert "tell-nobody" not in str(caught.value)
