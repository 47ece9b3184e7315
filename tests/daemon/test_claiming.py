"""Taking in what the caches of other programs say, and telling of what was wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.daemon.claiming import Gathered, gather, refuted, shelf_of
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.listing import rows_of
from comfywatchman.daemon.stock import Stock
from comfywatchman.domain.files import Folders
from comfywatchman.report.render.inspection import ClaimRow
from comfywatchman.state import claims, models
from tests.pipeline.office import Office, model_bytes, put_model, sha256
from tests.state.rows import OTHER_HASH

GOOD = sha256(model_bytes())


@dataclass
class Desk:
    office: Office
    place: Place
    model: Path

    def gather(self) -> Gathered:
        return gather(self.place, self.office.keeper, self.office.reader)

    def claim(self, digest: str, size: int | None = None) -> Path:
        sidecar = self.model.with_name(f"{self.model.stem}.metadata.json")
        told = {"size": self.model.stat().st_size if size is None else size, "sha256": digest}
        sidecar.write_text(json.dumps(told))
        return sidecar

    def measure(self) -> None:
        seen = put_model(self.model)
        self.office.keeper.write(lambda c: models.note(c, self.model, seen, whole=True))
        self.office.measured(self.model, seen, GOOD)

    def refuted(self) -> list[tuple[Path, str]]:
        found = refuted(self.office.keeper, self.office.reader)
        return [(path, trouble.code) for path, trouble in found]

    def shown(self) -> tuple[str | None, tuple[ClaimRow, ...]]:
        """Return hash and claims as ``inventory list`` shows them."""
        stock = Stock(self.place.layout.folders, self.office.reader)
        (row,) = rows_of(stock.files(), stock.folders)
        return row.sha256, row.claims


@pytest.fixture
def desk(office: Office, folders: Folders, tmp_path: Path) -> Desk:
    root = tmp_path / "ComfyUI"
    place = Place(root, read_layout(root), (), tmp_path / "state")
    model = folders.models_root / "loras/a.safetensors"
    seen = put_model(model)
    office.keeper.write(lambda c: models.note(c, model, seen, whole=True))
    return Desk(office, place, model)


def test_where_nothing_answers_nobody_looks_for_claims(desk: Desk) -> None:
    desk.claim(GOOD)
    keeper, reader = desk.office.keeper, desk.office.reader

    assert gather(desk.place, keeper, reader, answers=lambda _path: False) == Gathered(0, ())


def test_a_claim_about_a_file_that_nobody_measured_is_shown_as_claimed(desk: Desk) -> None:
    sidecar = desk.claim(GOOD)
    assert desk.gather() == Gathered(1, ())

    digest, (claim,) = desk.shown()
    assert digest is None
    assert (claim.source, claim.sha256, claim.verdict) == ("lora-manager", GOOD, "claimed")
    assert claim.told_by == str(sidecar)


def test_a_measure_confirms_a_claim(desk: Desk) -> None:
    desk.claim(GOOD)
    desk.measure()
    desk.gather()

    digest, (claim,) = desk.shown()
    assert (digest, claim.verdict) == (GOOD, "confirmed")
    assert desk.refuted() == []


def test_a_wrong_claim_is_told_once_with_both_hashes(desk: Desk) -> None:
    desk.claim(OTHER_HASH)
    desk.measure()
    desk.gather()

    [(path, trouble)] = refuted(desk.office.keeper, desk.office.reader)
    assert path == desk.model
    assert trouble.code == "claim-refuted"
    assert OTHER_HASH in trouble.cause
    assert GOOD in trouble.cause
    desk.gather()
    assert desk.refuted() == []
    digest, (claim,) = desk.shown()
    assert (digest, claim.verdict) == (GOOD, "refuted")


def test_a_claim_does_not_outlive_the_file_that_it_spoke_of(desk: Desk) -> None:
    desk.claim(GOOD)
    desk.gather()
    put_model(desk.model, model_bytes("other"))

    assert desk.shown() == (None, ())


def test_a_file_of_another_size_is_not_spoken_of(desk: Desk) -> None:
    desk.claim(GOOD, size=5)

    assert desk.gather().claims == 0


def test_a_sidecar_that_cannot_be_read_is_told_and_the_others_are_read(desk: Desk) -> None:
    desk.claim(GOOD)
    desk.model.with_name("a.civitai.info").write_text("{")
    found = desk.gather()

    assert found.claims == 1
    assert [(path, trouble.code) for path, trouble in found.unreadable] == [
        (desk.model, "claims-unreadable")
    ]


def test_claims_about_files_that_are_gone_go_too(desk: Desk) -> None:
    desk.claim(GOOD)
    desk.gather()
    desk.office.keeper.write(lambda c: models.forget(c, desk.model))
    desk.gather()

    assert desk.office.reader.read(claims.every) == []


def test_a_webui_is_looked_for_a_few_directories_above_the_models_and_never_at_the_top(
    desk: Desk,
) -> None:
    shelf = shelf_of(desk.place, {})

    assert desk.place.comfyui_root not in shelf.webui_roots
    assert desk.place.comfyui_root / "models" in shelf.webui_roots
    assert Path("/") not in shelf.webui_roots
    assert desk.place.comfyui_root / "custom_nodes" in shelf.custom_nodes
    assert all(directory.is_absolute() for directory in shelf.settings_directories)
