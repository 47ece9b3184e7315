"""What can go wrong between us and a ComfyUI server that is to run something."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from comfywatchman.domain.errors import WatchmanError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a server has against a node of a prompt."""

    kind: str
    """The server's own word: ``value_not_in_list``, ``missing_node_type``, …"""
    message: str
    node_id: str = ""
    node_type: str = ""
    input: str = ""
    value: Any = None
    choices: tuple[str, ...] | None = None
    """What the server has instead, where it says so."""

    def __str__(self) -> str:
        where = f"node {self.node_id} ({self.node_type}): " if self.node_id else ""
        return where + self.message


@dataclass(frozen=True, slots=True)
class Details:
    """What else is known about an error."""

    prompt_id: str = ""
    node_id: str = ""
    node_type: str = ""
    exception_type: str = ""
    traceback: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = field(default=())


class Detailed:
    """An error with details, for programs."""

    details: Details = Details()

    def with_details(self, details: Details) -> Self:
        self.details = details
        return self


class ComfyUIUnavailable(Detailed, WatchmanError):
    """Nobody answers at the server's address, or not in time."""

    code = "comfyui-unavailable"
    retryable = True


class QueueingUncertain(Detailed, WatchmanError):
    """The connection ended before the server said whether it took the prompt."""

    code = "queueing-uncertain"


class PromptRefused(Detailed, WatchmanError):
    """The server does not take the prompt."""

    code = "prompt-refused"


class RunFailed(Detailed, WatchmanError):
    """A node failed while the prompt ran."""

    code = "run-failed"


class VramOverflow(RunFailed):
    """The memory of the graphics card is not enough."""

    code = "vram-overflow"


class RunInterrupted(Detailed, WatchmanError):
    """Somebody ended the run, or took the prompt out of the queue."""

    code = "run-interrupted"


class RunLost(Detailed, WatchmanError):
    """The server knows nothing of the prompt any more: it was started anew."""

    code = "run-lost"


class OutputMissing(Detailed, WatchmanError):
    """The run ended well, and files that it should have made are not there."""

    code = "output-missing"
