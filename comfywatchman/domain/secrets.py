"""Tokens and other secrets, in a type that does not print."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """A text that nobody but its addressee may see.

    Printing, formatting and logging show ``***``; encoders and pickle refuse it, because it is
    deliberately no dataclass. `reveal` gives the text, and is called at the last moment.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")
