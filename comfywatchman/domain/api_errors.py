"""The errors of the Python API: fewer kinds than inside, each with code, cause and remedy."""

from __future__ import annotations

from typing import ClassVar, Self

from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.run_errors import Details


class ComfyFixerError(Exception):
    """Something failed; base of all errors of the Python API."""

    usual_code: ClassVar[str] = "error"

    def __init__(
        self,
        cause: str,
        *,
        code: str | None = None,
        remedy: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.code = code or self.usual_code
        """Kebab-case and stable; ``docs/errors.md`` has an entry for each that we give."""
        self.cause = cause
        """What was seen."""
        self.remedy = remedy
        """What to do about it; empty where nobody has said."""
        self.retryable = retryable
        """Whether the same call may succeed later with nobody doing anything."""
        self.retry_after = retry_after
        """Seconds that the other side asked to wait, where it did."""

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}".rstrip() + f" [{self.code}]"

    def trouble(self) -> Trouble:
        return Trouble(self.code, self.cause, self.remedy)

    @classmethod
    def of(cls, error: WatchmanError) -> Self:
        """Return *error* as one of this class."""
        return cls(
            error.cause,
            code=error.trouble().code,
            remedy=error.remedy,
            retryable=error.retryable,
            retry_after=error.retry_after,
        )


class ConfigurationError(ComfyFixerError):
    """Settings, or this installation: no ComfyUI, a state that another process owns."""

    usual_code = "settings-invalid"


class WorkflowParseError(ComfyFixerError):
    """A file cannot be read as a workflow."""

    usual_code = "workflow-unreadable"


class APISearchError(ComfyFixerError):
    """A place where models are looked for could not be asked, or gave a wrong answer."""

    usual_code = "source-unavailable"


class DownloadError(ComfyFixerError):
    """A file could not be brought, verified or placed."""

    usual_code = "source-unavailable"


class ValidationError(ComfyFixerError):
    """What was given, or what came back, is not what it has to be."""

    usual_code = "wrong-answer"

    requested: int | str | None = None
    """The identifier that was asked about, where an answer is about another one."""
    returned: int | str | None = None


class ComfyUIError(ComfyFixerError):
    """A running ComfyUI server: it does not answer, refuses a prompt, or a run failed."""

    usual_code = "comfyui-unavailable"

    details: Details = Details()
    """Prompt, node, the server's own words; ``details.problems`` has each thing it refuses."""

    @classmethod
    def of(cls, error: WatchmanError) -> Self:
        found = super().of(error)
        found.details = getattr(error, "details", Details())
        return found


class VRAMOverflowError(ComfyUIError):
    """A ComfyUI server ran out of the memory of its graphics card."""

    usual_code = "vram-overflow"


_KINDS: dict[type[ComfyFixerError], tuple[str, ...]] = {
    ConfigurationError: (
        *("settings-invalid", "comfyui-not-found", "state-locked", "state-unusable"),
        *("extra-missing", "address-in-use", "root-offline"),
    ),
    WorkflowParseError: (
        *("workflow-unreadable", "not-a-workflow", "workflow-too-large", "workflow-too-deep"),
        "parser-failed",
    ),
    APISearchError: ("nothing-found", "choice-needed"),
    ValidationError: ("hash-invalid", "unsafe-name", "unknown-folder", "name-not-listed"),
    DownloadError: (
        *("unsafe-file", "verification-failed", "source-changed", "pickle-refused"),
        *("being-fetched", "download-off", "download-too-large", "name-taken", "link-refused"),
    ),
    ComfyUIError: (
        *("comfyui-unavailable", "queueing-uncertain", "prompt-refused", "run-failed"),
        *("run-interrupted", "run-lost", "output-missing"),
    ),
    VRAMOverflowError: ("vram-overflow",),
}
"""Codes that are of one kind wherever they come up; the others are of whoever met them."""
_BY_CODE = {code: kind for kind, codes in _KINDS.items() for code in codes}


def api_error(
    error: WatchmanError, otherwise: type[ComfyFixerError] = ComfyFixerError
) -> ComfyFixerError:
    """Return *error* as users of the API meet it; *otherwise* where its code is of no one kind."""
    return _BY_CODE.get(error.trouble().code, otherwise).of(error)


def api_error_of(
    trouble: Trouble, otherwise: type[ComfyFixerError] = ComfyFixerError
) -> ComfyFixerError:
    """Return the error that *trouble* stands for."""
    kind = _BY_CODE.get(trouble.code, otherwise)
    return kind(trouble.cause, code=trouble.code, remedy=trouble.remedy)
