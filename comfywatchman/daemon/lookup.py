"""Asking the backends without a daemon: for commands, one file after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfywatchman.daemon.others import NOBODY, Others
from comfywatchman.daemon.parts import (
    answers_for,
    backends_for,
    endpoints_for,
    policy_for,
    questions_for,
    token_hosts,
)
from comfywatchman.net.asking import Net
from comfywatchman.net.manners import OF_A_COMMAND
from comfywatchman.pipeline.places import Verified
from comfywatchman.resolve.backend import ask
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.room import publisher_of
from comfywatchman.state import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfywatchman.config.settings import Settings
    from comfywatchman.domain.candidates import Resolution, Wanted
    from comfywatchman.domain.messages import SearchAsked
    from comfywatchman.pipeline.questions import Question, Questions
    from comfywatchman.resolve.backend import SearchBackend
    from comfywatchman.resolve.offers import Offers
    from comfywatchman.resolve.published import Publisher
    from comfywatchman.resolve.urls import Endpoints


@dataclass(frozen=True, slots=True)
class Lookup:
    """The backends of the settings, and how one is chosen among what they offer."""

    settings: Settings
    backends: Sequence[SearchBackend]
    ask: Questions
    endpoints: Endpoints

    def offers(
        self, wanted: Wanted, on_asked: Callable[[SearchAsked], None] = lambda _event: None
    ) -> Offers:
        return ask(self.backends, wanted, on_asked)

    def publisher(self) -> Publisher:
        """Return who says what lies at an address."""
        return publisher_of(self.ask, self.endpoints)

    def chosen(self, wanted: Wanted, offers: Offers) -> Resolution:
        return choose(
            offers.candidates,
            wanted,
            auto=self.settings.download.auto,
            tokens=token_hosts(self.settings),
            complete=offers.complete,
            troubles=offers.troubles,
        )


@contextmanager
def lookup(
    settings: Settings,
    environ: Mapping[str, str],
    watch: Callable[[Question], None] = lambda _question: None,
    others: Others = NOBODY,
) -> Iterator[Lookup]:
    """Yield what commands look things up with; *watch* is told of every question.

    Raises:
        SettingsInvalid: a catalog or a backend of the settings cannot be used.
    """
    with ExitStack() as stack:
        answers = answers_for(settings)
        stack.callback(answers.close)
        reader = store.open_reader(settings.state.directory)
        if reader is not None:
            stack.callback(reader.close)
        policy = policy_for(
            settings, environ, answers=answers, longest_sleep=OF_A_COMMAND, on_wait=_say
        )
        net = Net(policy)
        stack.callback(net.close)
        verified = Verified(reader) if reader is not None else None
        questions = questions_for(settings, net, answers, watch)
        backends = backends_for(settings, questions, environ, verified, others)
        yield Lookup(settings, backends, questions, endpoints_for(settings))


_SHORT = 2.0
"""Seconds that nobody has to be told of."""


def _say(host: str, seconds: float) -> None:
    """Tell whoever called a command why nothing happens."""
    if seconds > _SHORT:
        sys.stderr.write(f"waiting {seconds:.0f} s for the next turn at {host}\n")
