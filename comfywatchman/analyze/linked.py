"""Links of notes to models and repositories, which name no file: whoever asks there finds out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from comfywatchman.analyze.declared import joined
from comfywatchman.domain.secrets import without_secrets

MOST_LINKS = 16
"""Of one workflow; the longest notes that were seen name about ten models."""
MOST_LINKED = 64
"""References of a workflow that has them looked at: each is stored with all of them."""

_LINK = re.compile(
    r"urn:air:[\w.-]{1,60}:[\w-]{1,60}:civitai:\d{1,10}(?:@\d{1,10})?(?:\+\d{1,10})?"
    r"|https?://[^\s<>\"'`|\\^\[\]{}/()]{1,200}"
    r"/(?:models/\d|model-versions/\d|api/(?:v1|download)/model)[^\s<>\"'`|\\^\[\]{}()]{0,300}"
    r"|https?://(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)"
    r"/(?!(?:api|blog|collections|datasets|docs|models|papers|posts|spaces|tasks|join|settings)/)"
    r"[\w.-]{1,96}/[\w.-]{1,96}"
    r"(?:/tree/[^\s<>\"'`|\\^\[\]{}()]{1,300})?/?(?![\w./-])",
    re.IGNORECASE | re.ASCII,
)
_MAY_HAVE = re.compile(r"urn:air:|/model|huggingface|hf\.co|hf-mirror", re.IGNORECASE)


def note_links(notes: Iterable[str]) -> tuple[str, ...]:
    """Return the links of notes to a model of Civitai, or to a repository of Hugging Face.

    Whose a link is, only the place itself can tell: by the names of its files.
    """
    text = joined(notes)
    if not _MAY_HAVE.search(text):
        return ()
    found: dict[str, None] = {}
    for link in _LINK.finditer(text):
        found[without_secrets(link[0].rstrip(".,;:!?"))] = None
        if len(found) == MOST_LINKS:
            break
    return tuple(found)
