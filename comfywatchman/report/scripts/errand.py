"""What a script is to fetch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comfywatchman.report.visible import visible

PROMISE = ("None gets its name before its bytes were checked.",)

Variable = Literal["HF_TOKEN", "CIVITAI_API_KEY"]


@dataclass(frozen=True, slots=True)
class Errand:
    """One file: from where, to where, and what proves it."""

    folder: str
    name: str
    urls: tuple[str, ...]
    """Mirrors of one file, best first, as they are asked."""
    final: Path
    part: Path
    """Where it lies until it is proven; beside *final*, and listed by no loader."""
    sha256: str | None
    size: int | None
    variable: Variable | None = None
    """The variable of the environment with the token of the first host, where it knows tokens."""
    needs: str | None = None
    """``login`` and so on, where the source wants that."""

    @property
    def title(self) -> str:
        """``folder/name``, fit for a comment."""
        return visible(f"{self.folder}/{self.name}")


@dataclass(frozen=True, slots=True)
class Errands:
    """All of one script."""

    models: Path
    """ComfyUI's directory of models; a script can be told another one."""
    each: tuple[Errand, ...] = ()
    left_out: tuple[str, ...] = ()
    """One sentence for each model that no script can fetch."""

    @property
    def size(self) -> int:
        """Bytes, of those that say how many."""
        return sum(errand.size or 0 for errand in self.each)

    def heading(self) -> list[str]:
        """Return what a person should read first, a line each."""
        count = len(self.each)
        lines = [
            f"Fetches {count} model{'' if count == 1 else 's'} that ComfyUI lacks,"
            f" {self.size / 1e9:.2f} GB.",
            "Run it again to go on where it stopped. It writes over no file.",
        ]
        if self.left_out:
            lines += ["", "Not part of it:", *(f"  {visible(text)}" for text in self.left_out)]
        return lines
