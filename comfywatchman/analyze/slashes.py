"""Names of files that are in place, as a widget has to spell them."""

from __future__ import annotations

from dataclasses import replace

from comfywatchman.analyze import hints
from comfywatchman.domain.references import Finding, ReferenceState, Writing


def checked_slashes(found: Finding, listed: str) -> Finding:
    """Return the row of a file that is in place, or say that a widget has another system's slashes.

    ComfyUI compares with its list as text, so it refuses such a workflow (value_not_in_list).
    """
    reference = found.reference
    if found.state is ReferenceState.MISSING:
        return found
    if reference.raw == listed and not reference.also_written:
        return found
    written = (Writing(reference.node, reference.raw), *reference.also_written)
    arriving = found.state is ReferenceState.ARRIVING
    return replace(
        found,
        state=ReferenceState.ARRIVING if arriving else ReferenceState.ELSEWHERE,
        spelling=listed,
        hint=hints.other_slash(
            reference, listed, [each for each in written if each.raw != listed], found.hint
        ),
    )
