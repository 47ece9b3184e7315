"""What a person is told about a file that is not simply there: code, cause, remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import ModelFile
from comfywatchman.domain.references import Hint, ModelReference, Writing

_MOST_NAMED = 5
_WHOLE, _DIGITS = 64, 16
"""Of a SHA-256, and of those how many in a sentence; the rows have all of them."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a file was found that is not where it is asked for."""

    folder: str
    spelling: str
    """As ComfyUI lists it in that folder."""
    path: Path
    whole: bool


def unusable(file: ModelFile) -> Trouble | None:
    """Say why a file that has the name cannot be loaded; ``None`` where nothing is known of it."""
    if file.whole or file.trouble is None:
        return None
    code = Hint.DAMAGED if file.damaged else Hint.INCOMPLETE
    return Trouble(code.value, file.trouble.cause, file.trouble.remedy)


def other_slash(
    reference: ModelReference, listed: str, wrong: Sequence[Writing], also: Trouble | None
) -> Trouble:
    """Say that the widget must be set again; *also* is what else there is to know of the file."""
    cause = f"The file is here, but ComfyUI lists it as {listed} and refuses {wrong[0].raw}."
    if also is not None:
        cause = f"{cause} {also.cause}"
    every = dict.fromkeys(each.node for each in wrong)
    if len(every) == 1 and not reference.also_written and len(reference.nodes) > 1:
        every = dict.fromkeys(reference.nodes)
    remedy = f"Select {listed} in {_nodes(reference, list(every))}; nothing has to be fetched."
    return Trouble(Hint.OTHER_SLASH.value, cause, remedy)


def elsewhere(
    code: Hint, reference: ModelReference, spot: Spot, goes_to: Path | None, *, readable: bool
) -> Trouble:
    """Say where the file is and what would have to happen; *readable*: the node looks there."""
    is_here = "is here" if spot.whole else "is being written"
    match code:
        case Hint.WRONG_FOLDER:
            cause = (
                f"{spot.spelling} {is_here} in the folder {spot.folder} ({spot.path}), where "
                f"{node_words(reference)} does not look: it reads {reference.folder}."
            )
        case Hint.SAME_BYTES:
            cause = (
                "The bytes that the workflow asks for are here under another name: "
                f"{spot.spelling} in the folder {spot.folder} ({spot.path})."
            )
        case Hint.OTHER_CASE:
            cause = (
                f"It {is_here} as {spot.spelling}, which differs from {reference.name} "
                f"only in its letters' case ({spot.path})."
            )
        case Hint.OTHER_UNICODE:
            cause = (
                f"It {is_here} as {spot.spelling} ({spot.path}): the same letters as in the "
                "workflow, composed otherwise (Unicode NFC, NFD), which ComfyUI takes for another "
                "name."
            )
        case Hint.OTHER_SUFFIX:
            return _not_tried(reference, spot)
        case _:
            cause = f"It {is_here} in another subdirectory, as {spot.spelling} ({spot.path})."
    ways = [_selecting(reference, spot.spelling)] if readable else []
    if goes_to is not None:
        ways.append(f"move or link it to {goes_to}")
    remedy = " or ".join(ways) or f"put it where {node_words(reference)} looks"
    return Trouble(code.value, cause, f"{remedy[0].upper()}{remedy[1:]}.")


def _not_tried(reference: ModelReference, spot: Spot) -> Trouble:
    return Trouble(
        Hint.OTHER_SUFFIX.value,
        f"{spot.path} is here, but behind a name without a suffix ComfyUI tries only "
        f"{', '.join(reference.lists)}.",
        f"Write {spot.spelling} in {node_words(reference)}.",
    )


def other_suffix(reference: ModelReference, spelling: str, file: ModelFile) -> Trouble:
    """Say that a file of that name is here which ends otherwise."""
    return Trouble(
        Hint.OTHER_SUFFIX.value,
        f"{spelling} is here ({file.path}): the same name with another suffix.",
        f"Select {spelling} in {node_words(reference)} if that is the one you mean.",
    )


def other_parts(lacking: Trouble) -> Trouble:
    """Say of a file that its node opens alone that it is a part of a model, as *lacking* tells."""
    return Trouble(
        Hint.OTHER_PARTS.value,
        f"{lacking.cause} The node opens only the one that it names.",
        "Nothing to do where that works; else bring the other parts, or select a whole model.",
    )


def part_of_name(reference: ModelReference, file: ModelFile) -> Trouble:
    """Say which file a node opens that takes any whose name has the wanted one in it."""
    return Trouble(
        Hint.PART_OF_NAME.value,
        f"No file is called {reference.name}; {node_words(reference)} opens {file.path}, whose "
        "name has that in it.",
        "Nothing to do if that is the one you mean; else write its whole name.",
    )


def other_bytes(file: ModelFile, promised: str, right: Path | None) -> Trouble:
    """Say that a file of the right name has been measured to be another one."""
    after = file.after_sha256
    also = "" if after is None or "AutoV3" not in promised else f", AutoV3 {after[:12]}"
    cause = (
        f"{file.path} has the SHA-256 {_short(file.sha256)}{also}, and the workflow asks for "
        f"{_short(promised)}."
    )
    if right is not None:
        return Trouble(
            Hint.OTHER_BYTES.value,
            f"{cause} The right bytes are in {right}.",
            "Give that one the name, or select it; your files are left as they are.",
        )
    remedy = (
        "Move it away to have the right one fetched, or keep it if you meant it; your files are "
        "left as they are."
    )
    return Trouble(Hint.OTHER_BYTES.value, cause, remedy)


def several(reference: ModelReference, found: Sequence[tuple[str, ModelFile]]) -> Trouble:
    """Say which files could be meant; those that are listed by one name, by their paths."""
    names = Counter(name for name, _ in found)
    named = [
        f"{name if names[name] == 1 else file.path} ({_facts(file)})"
        for name, file in found[:_MOST_NAMED]
    ]
    cause = f"Different files could be meant: {_and_more(named, len(found))}."
    return Trouble(
        Hint.SEVERAL.value, cause, f"Select the one that you mean in {node_words(reference)}."
    )


def shadowed(opened: ModelFile, other: ModelFile) -> Trouble:
    """Say that a file which a person may mean is never opened."""
    return Trouble(
        Hint.SHADOWED.value,
        f"ComfyUI opens {opened.path} ({_facts(opened)}) and never the different file "
        f"{other.path} ({_facts(other)}).",
        "Rename or remove the one that you do not mean.",
    )


def found_in(reference: ModelReference, found: Sequence[str]) -> Trouble:
    """Say where a file was found that a node of unknown habits names."""
    names = list(dict.fromkeys(found))
    return Trouble(
        Hint.FOUND_IN.value,
        f"Nobody says which folder {node_words(reference)} reads; the name is here as "
        f"{_and_more(names[:_MOST_NAMED], len(names))}.",
        "Nothing to do where the node finds it; analyze.loaders can tell the folder.",
    )


def _selecting(reference: ModelReference, spelling: str) -> str:
    """Say how the name is changed; what a picture tells of its making is there to be read only."""
    if not reference.node:
        return f"choose {spelling} where the picture is made anew"
    return f"select {spelling} in {node_words(reference)}"


def node_words(reference: ModelReference) -> str:
    """Name the node that asks first, as sentences do."""
    return _nodes(reference, [reference.node])


def _nodes(reference: ModelReference, nodes: Sequence[str]) -> str:
    if not any(nodes):
        return f"the {reference.node_type}"
    ids = ", ".join(nodes[:_MOST_NAMED])
    more = f" and {len(nodes) - _MOST_NAMED} more" if len(nodes) > _MOST_NAMED else ""
    word = "node" if len(nodes) == 1 else "nodes"
    return f"{word} {ids}{more} ({reference.node_type})"


def _facts(file: ModelFile) -> str:
    size = f"{file.size:,} bytes"
    return size if file.sha256 is None else f"{size}, SHA-256 {_short(file.sha256)}"


def _short(digits: str | None) -> str:
    if digits is None:
        return "not measured"
    each = (f"{one[:_DIGITS]}…" if len(one) == _WHOLE else one for one in digits.split(" or "))
    return " or ".join(each)


def _and_more(names: Sequence[str], total: int) -> str:
    more = total - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
