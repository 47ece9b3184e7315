"""The token for Hugging Face, and what is done where the hub refuses it.

A bad token makes even what is public a 401, so that every question would be put twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from comfywatchman.resolve.asking import FEW_BYTES, Answer, Ask, Follow, Kind

LEFT_OUT_SECONDS = 900.0
"""After this the token is tried again: the hub, or its clock, may have been wrong."""
NEW_TOKEN = "https://huggingface.co/settings/tokens"  # noqa: S105 - the page where one is made


class WithToken:
    """An `Ask` that puts a question again without the token where the hub refuses the token.

    Later questions go without it at once, for a while.
    """

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._refused_at: float | None = None

    @property
    def refused(self) -> bool:
        """Whether the hub said a while ago that the token is none of its own."""
        at = self._refused_at
        return at is not None and self._clock() - at < LEFT_OUT_SECONDS

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        follow: Follow = "none",
        authenticate: bool = True,
        limit: int = FEW_BYTES,
        kind: Kind = "metadata",
    ) -> Answer:
        """See `Ask`."""

        def once(*, authenticate: bool) -> Answer:
            return self._ask(
                method,
                url,
                headers=headers,
                follow=follow,
                authenticate=authenticate,
                limit=limit,
                kind=kind,
            )

        if not authenticate or self.refused:
            return once(authenticate=False)
        answer = once(authenticate=True)
        if not is_bad(answer):
            return answer
        self._refused_at = self._clock()
        return once(authenticate=False)


def is_bad(answer: Answer) -> bool:
    """Whether the hub refuses the token itself, on what may need none."""
    said = answer.headers.get("X-Error-Message", "")[:200]
    return answer.status == 401 and "credentials" in said.lower()
