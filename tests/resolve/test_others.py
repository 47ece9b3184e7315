from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import SettingsInvalid, SourceUnavailable, WrongAnswer
from comfywatchman.domain.messages import SearchAsked
from comfywatchman.resolve.backend import ask
from comfywatchman.resolve.others import other_backend

WANTED = Wanted("loras", "x.safetensors")
GOOD = """
from comfywatchman.domain.candidates import Candidate, Grade

class Mine:
    name = "mine"
    def search(self, wanted):
        {search}

def backend():
    return Mine()
"""
OFFER = 'return [Candidate("mine", "{url}", wanted.name, grade=Grade.E, evidence=("Mine.",){more})]'


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "my_backend.py"
    path.write_text(text)
    return str(path)


def test_a_backend_from_a_file_is_asked_like_ours(tmp_path: Path) -> None:
    search = OFFER.format(url="https://mine.example/x.safetensors", more="")
    backend = other_backend(written(tmp_path, GOOD.format(search=search)))

    offers = ask([backend], WANTED, lambda _: None)

    assert [offer.url for offer in offers] == ["https://mine.example/x.safetensors"]
    assert backend.name == "mine"


def test_whatever_its_grade_without_a_hash_nothing_is_proven(tmp_path: Path) -> None:
    search = OFFER.format(url="https://mine.example/x.safetensors", more="")
    text = GOOD.format(search=search.replace("Grade.E", "Grade.A"))

    (offer,) = other_backend(written(tmp_path, text)).search(WANTED)

    assert offer.grade == "E"


@pytest.mark.parametrize(
    "search",
    [
        "raise KeyError('a bug of theirs')",
        "return [1, 2]",
        "return None",
        OFFER.format(url="https://mine.example/x?token=secret", more=""),
        OFFER.format(url="https://mine.example/x", more=', sha256="ABC"'),
    ],
)
def test_its_mistakes_end_nothing_but_its_own_answer(tmp_path: Path, search: str) -> None:
    backend = other_backend(written(tmp_path, GOOD.format(search=search)))
    told: list[SearchAsked] = []

    offers = ask([backend], WANTED, told.append)

    assert list(offers) == []
    assert offers.complete
    assert [trouble.code for trouble in offers.troubles] == [WrongAnswer.code]
    assert told[0].result == "mismatch"


def test_its_outage_is_an_outage(tmp_path: Path) -> None:
    search = (
        "from comfywatchman.domain.errors import SourceUnavailable\n"
        "        raise SourceUnavailable('Down.', remedy='Wait.')"
    )
    backend = other_backend(written(tmp_path, GOOD.format(search=search)))

    with pytest.raises(SourceUnavailable):
        backend.search(WANTED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def backend(): raise ValueError('x')",
        "syntax error here",
        GOOD.format(search="return []").replace('"mine"', '"catalog"'),
        GOOD.format(search="return []").replace('"mine"', '"Not A Word"'),
    ],
)
def test_one_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsInvalid, match="search_backends"):
        other_backend(written(tmp_path, text))


@pytest.mark.parametrize("name", ["nobody_has_this", "/nowhere/at/all.py"])
def test_one_that_is_not_there_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(SettingsInvalid, match="search_backends"):
        other_backend(name)
