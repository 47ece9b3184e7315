"""A pickle that holds nothing but a flat dictionary, read without running it."""

from __future__ import annotations

import pickletools

from comfywatchman.disk.heads.machine import Machine, Made, Name, TooMuchError

_LARGEST = 64 << 10


def plain_dictionary(data: bytes) -> dict[str, str | int | float] | None:
    """Return the texts and numbers of the dictionary that *data* pickles.

    ``None`` where it holds anything else at its top, imports a name, or cannot be followed.
    """
    if len(data) > _LARGEST:
        return None
    imports: dict[Name, None] = {}
    machine = Machine(imports)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
    except (TooMuchError, ValueError, OverflowError, IndexError, TypeError, Warning):
        return None
    result = machine.result
    if imports or not isinstance(result, Made) or result.maker != "dict":
        return None
    return {
        key: value
        for key, value in result.items
        if isinstance(key, str) and isinstance(value, str | int | float)
    }
