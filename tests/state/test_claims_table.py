"""What other programs say of model files, kept apart from what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comfywatchman.domain.files import Measured, Reading
from comfywatchman.state import claims, hashes, models
from comfywatchman.state.claims import Claim, standing
from comfywatchman.state.keeper import Keeper, Reader
from tests.state.rows import HASH, NOT_UTF8, OTHER_HASH, stamp

LORA = Path("/m/loras/detail.safetensors")
CLAIM = Claim(LORA, "lora-manager", stamp(), HASH, told_by=Path("/m/loras/detail.metadata.json"))


def note(keeper: Keeper, *found: Claim, now: float = 10.0) -> None:
    keeper.write(lambda c: claims.note(c, found, now))


def measure(keeper: Keeper, sha256: str, *, at: int = 20, racy: bool = False) -> None:
    told = Reading(stamp(), Measured(10, sha256), at * 1_000_000_000, racy=racy)
    keeper.write(lambda c: models.note(c, LORA, stamp(), whole=True))
    keeper.write(lambda c: hashes.measured(c, LORA, told))


def test_a_claim_comes_back_as_it_was_told(keeper: Keeper, reader: Reader) -> None:
    full = Claim(
        Path(f"/m/loras/{NOT_UTF8}"),
        "civitai-info",
        stamp(),
        HASH,
        OTHER_HASH,
        "ab" * 6,
        "ef" * 32,
        Path("/m/loras/x.civitai.info"),
    )
    note(keeper, full, CLAIM)

    assert reader.read(lambda c: claims.of(c, full.path)) == [full]
    assert reader.read(claims.every) == [full, CLAIM]
    assert reader.read(lambda c: claims.in_directory(c, Path("/m/loras"))) == {
        NOT_UTF8: [full],
        LORA.name: [CLAIM],
    }


def test_two_programs_may_say_different_things_of_one_file(keeper: Keeper, reader: Reader) -> None:
    other = replace(CLAIM, source="webui", sha256=OTHER_HASH)
    note(keeper, CLAIM, other)

    assert reader.read(lambda c: claims.of(c, LORA)) == [CLAIM, other]


def test_what_a_program_says_now_replaces_what_it_said(keeper: Keeper, reader: Reader) -> None:
    note(keeper, CLAIM)
    note(keeper, replace(CLAIM, sha256=OTHER_HASH))

    assert [c.sha256 for c in reader.read(claims.every)] == [OTHER_HASH]


def test_claims_about_files_that_are_gone_are_dropped(keeper: Keeper, reader: Reader) -> None:
    measure(keeper, HASH)
    note(keeper, CLAIM, replace(CLAIM, path=Path("/m/gone")))

    assert keeper.write(claims.forget_gone) == 1
    assert reader.read(claims.every) == [CLAIM]


def test_a_wrong_claim_is_told_with_what_was_measured(keeper: Keeper, reader: Reader) -> None:
    note(keeper, CLAIM)
    measure(keeper, OTHER_HASH)

    assert reader.read(claims.wrong) == [(CLAIM, OTHER_HASH)]


def test_a_wrong_claim_is_not_told_again_when_it_was_before_the_last_time(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, CLAIM, now=10.0)
    measure(keeper, OTHER_HASH, at=20)
    assert reader.read(lambda c: claims.wrong(c, 21.0)) == []

    note(keeper, CLAIM, now=30.0)  # the same words at another time are nothing new
    assert reader.read(lambda c: claims.wrong(c, 21.0)) == []

    note(keeper, replace(CLAIM, sha256="ef" * 32), now=30.0)
    assert len(reader.read(lambda c: claims.wrong(c, 21.0))) == 1


def test_a_measure_that_proves_nothing_refutes_nothing(keeper: Keeper, reader: Reader) -> None:
    note(keeper, CLAIM)
    measure(keeper, OTHER_HASH, racy=True)

    assert reader.read(claims.wrong) == []


def test_a_claim_about_an_earlier_file_of_that_name_is_not_refuted_by_this_one(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, replace(CLAIM, stamp=stamp(mtime_ns=7)))
    measure(keeper, OTHER_HASH)

    assert reader.read(claims.wrong) == []


def test_a_claim_stands_as_claimed_until_the_hash_it_speaks_of_is_measured() -> None:
    assert standing(CLAIM, None, None) == "claimed"
    assert standing(CLAIM, HASH, None) == "confirmed"
    assert standing(CLAIM, OTHER_HASH, None) == "refuted"

    short = Claim(LORA, "x", stamp(), autov3=OTHER_HASH[:12])
    assert standing(short, HASH, None) == "claimed"
    assert standing(short, HASH, OTHER_HASH) == "confirmed"
    assert standing(short, HASH, HASH) == "refuted"

    both = replace(short, sha256=HASH)
    assert standing(both, HASH, HASH) == "refuted"
