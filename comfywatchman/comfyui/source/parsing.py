"""Python text to a syntax tree, also where part of it is not Python to us.

A pack may be written for a newer Python than ours. What of its top level can be read is read; a
class or function that cannot be keeps its name and nothing else.
"""

from __future__ import annotations

import ast
import io
import re
import warnings

_STARTS = re.compile(r"[^\s#)\]}]")
_GOES_ON = re.compile(r"(else|elif|except|finally|case)\b")
_NAMED = re.compile(r"(?:async\s+)?(?:def|class)\s+(\w+)")
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def parsed(source: bytes) -> tuple[ast.Module, str]:
    """Return the tree of *source*, and which lines it lacks, if any, in words."""
    try:
        return _parsed(source), ""
    except _UNREADABLE as error:
        why = type(error).__name__
    body: list[ast.stmt] = []
    lost = 0
    for block in _blocks(_text(source)):
        try:
            body.extend(_parsed(block.encode()).body)
        except _UNREADABLE:
            placeholder = _placeholder(block)
            body.extend(placeholder)
            lost += not placeholder
    return ast.Module(body, []), f"{why}, {lost} statements not read" if lost else ""


def _parsed(source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in other people's texts
        return ast.parse(source)


def _text(source: bytes) -> str:
    return source.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\0", " ")


def _blocks(text: str) -> list[str]:
    """Cut *text* before each line that begins a statement of the top level."""
    blocks: list[list[str]] = [[]]
    decorated = False
    for line in io.StringIO(text):
        begins = _STARTS.match(line) is not None and _GOES_ON.match(line) is None
        if begins and not decorated:
            blocks.append([])
        if begins:
            decorated = line.startswith("@")
        blocks[-1].append(line)
    return ["".join(lines) for lines in blocks if lines]


def _placeholder(block: str) -> list[ast.stmt]:
    """Return a class of the same name that is known to be nothing but a class of that name."""
    first = next((line for line in block.splitlines() if not line.startswith(("@", "#"))), "")
    named = _NAMED.match(first)
    if named is None:
        return []
    return _parsed(f"import unread\nclass {named[1]}(unread.Unread): pass".encode()).body
