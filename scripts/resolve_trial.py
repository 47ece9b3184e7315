"""Prints what becomes of each trap of the stand-in hubs, and of every name that they have.

    python -m scripts.resolve_trial [--all]

The stand-in lies beside a checkout of the team (``../shared/standin``); without it there is
nothing to try. ``--all`` lists every name of the second table. Status 1 where an outcome is not the
expected one, or where a wrong file was chosen with nobody asked.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfywatchman.domain.candidates import Wanted
from scripts.hub_traps import STANDIN, TRAPS, Room, ending, stand_in, tried

_FOLDERS = {
    "Checkpoint": "checkpoints", "LORA": "loras", "LoCon": "loras", "VAE": "vae",
    "TextualInversion": "embeddings", "Upscaler": "upscale_models", "Controlnet": "controlnet",
    "MotionModule": "animatediff_models", "Diffusion Model": "diffusion_models",
    "UNet": "diffusion_models", "Text Encoder": "text_encoders",
}  # fmt: skip
_NO_MODELS = (".md", ".json", ".yaml", ".zip")


@dataclass(frozen=True)
class Name:
    """A name that a hub has, in the folder where it belongs."""

    folder: str
    name: str
    sha256: str
    at: str
    """``civitai`` or ``huggingface``."""


def names(hubs: Any) -> list[Name]:
    """Return every model of the hubs by the name that a workflow would have for it."""
    found: dict[tuple[str, str, str], Name] = {}
    for repo in hubs.repos.values():
        for path, entry in repo["files"].items():
            folder = {"unet": "diffusion_models"}.get(
                entry.extra.get("directory", ""), entry.extra.get("directory", "checkpoints")
            )
            name = Name(folder, path.rsplit("/", 1)[-1], entry.content.sha256, "huggingface")
            found[name.folder, name.name, name.sha256] = name
    for model in hubs.models.values():
        for release in model["versions"]:
            for file in release["files"]:
                folder = _FOLDERS.get(file["type"]) or _FOLDERS.get(model["type"], "checkpoints")
                sha256 = file["entry"].content.sha256
                name = Name(folder, file["name"], sha256, "civitai")
                found[name.folder, name.name, name.sha256] = name
    return [name for name in found.values() if not name.name.endswith(_NO_MODELS)]


@dataclass
class Score:
    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    questions: int = 0


def scored(hubs: Any, every: list[Name]) -> Score:
    """Resolve every name with nothing but the name, and compare with the bytes that are meant."""
    score, room = Score(), Room(hubs)
    same: dict[tuple[str, str], set[str]] = {}
    for name in every:
        same.setdefault((name.folder, name.name), set()).add(name.sha256)
    try:
        for name in every:
            resolution = room.resolve(Wanted(name.folder, name.name))
            ends = ending(resolution)
            score.endings[ends] += 1
            score.lines.append(f"  {name.at:<12}{name.folder + '/' + name.name:<84}{ends}")
            chosen = resolution.chosen[0].sha256 if resolution.chosen else None
            if chosen is not None and {chosen} != same[name.folder, name.name]:
                score.wrong.append(f"{name.folder}/{name.name}")
        score.questions = room.questions
    finally:
        room.close()
    return score


def main() -> int:
    arguments = argparse.ArgumentParser(description="Try the traps of the stand-in hubs.")
    arguments.add_argument("--all", action="store_true", help="list every name")
    given = arguments.parse_args()
    if not STANDIN.is_dir():
        print("The stand-in hubs are not here: nothing to try.")
        return 0
    with tempfile.TemporaryDirectory() as scratch, stand_in(Path(scratch) / "hashes.json") as hubs:
        failed = print_traps(hubs)
        leaks = hubs.stats()["token_leaks"]
        wrong = print_names(hubs, listed=given.all)
    print(f"\ntokens seen by other hosts: {len(leaks)}")
    return 1 if failed or wrong or leaks else 0


def print_traps(hubs: Any) -> int:
    """Print the table of traps; return how many did not end as they have to."""
    print(f"{'trap':<46}{'questions':>9}  {'outcome':<30}then")
    failed = 0
    for trap in TRAPS:
        verdict = tried(trap, hubs)
        mark = "" if verdict.as_expected else f"  !! expected {trap.ends} {trap.then} {trap.says!r}"
        failed += bool(mark)
        print(f"{trap.name:<46}{verdict.questions:>9}  {verdict.ends:<30}{verdict.then}{mark}")
    print(f"\n{len(TRAPS)} traps, {failed} with another outcome than the expected")
    return failed


# The hash on record is not that of the file: the right file is chosen, and refused once it came.
_KNOWN_LIES = {"loras/wrong_hash_on_record.safetensors"}


def print_names(hubs: Any, *, listed: bool) -> list[str]:
    """Print what became of every name; return those where another file was chosen."""
    every = names(hubs)
    score = scored(hubs, every)
    if listed:
        print("\n" + "\n".join(score.lines))
    wrong = [name for name in score.wrong if name not in _KNOWN_LIES]
    print(f"\n{len(every)} names and nothing else (no address, no catalog, no hash):")
    for ends, count in score.endings.most_common():
        print(f"  {ends:<30}{count:>5}")
    print(f"  wrong files chosen {len(wrong):>16}   {' '.join(wrong)}")
    chosen = sum(count for ends, count in score.endings.items() if ends.startswith("chosen"))
    print(
        f"  distinct questions {score.questions:>16}   {score.questions / len(every):.1f} a name, "
        f"{score.questions / max(1, chosen):.1f} a chosen file"
    )
    return wrong


if __name__ == "__main__":
    sys.exit(main())
