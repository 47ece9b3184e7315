"""Typed decoders of JSON, each made by one thread at a time.

What msgspec knows about a class is put together when the class is first used, and can be seen by
another thread before it is complete: four threads that decoded a dataclass for the first time at
once ended the process with a segmentation fault in half of the tries (msgspec 0.22).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")
Hook = Callable[[type, Any], Any]

_MAKING = threading.Lock()


def decoder_of(kind: type[T], hook: Hook | None = None) -> msgspec.json.Decoder[T]:
    """Return the decoder of *kind*; *hook* makes what msgspec does not know."""
    with _MAKING:
        return cast("msgspec.json.Decoder[T]", _made(cast("Hashable", kind), hook))


@cache
def _made(kind: Any, hook: Hook | None) -> msgspec.json.Decoder[Any]:
    """Return the decoder of *kind*; making one reads every annotation of a class."""
    return msgspec.json.Decoder(kind, dec_hook=hook)


def converted(value: object, kind: type[T]) -> T:
    """Return *value*, made of JSON's own types, as *kind*.

    Raises:
        msgspec.ValidationError: it is not.
    """
    decoder_of(kind)
    return msgspec.convert(value, kind)
