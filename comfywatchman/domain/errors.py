"""What can go wrong: a code, what was seen, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error as a value: stored with a job, told in a report, logged, answered over HTTP."""

    code: str
    cause: str
    remedy: str


class WatchmanError(Exception):
    """Something failed; *cause* says what we saw, *remedy* what to do about it."""

    code: ClassVar[str] = "error"
    """Kebab-case, stable, and a heading in ``docs/errors.md``."""

    retryable: ClassVar[bool] = False
    """Whether the same job may succeed later with nobody doing anything."""

    exit_status: ClassVar[int] = 3
    """What a command ends with: 2 for wrong usage or settings, 3 for what could not be finished."""

    def __init__(self, cause: str, *, remedy: str, retry_after: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait, where it did."""
        self.unsent = False  # true where nothing was sent: the host is left alone for now

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy} [{self.code}]"

    def trouble(self) -> Trouble:
        return Trouble(self.code, self.cause, self.remedy)


# -- settings and this installation


class SettingsInvalid(WatchmanError):
    """The settings cannot be used as they are."""

    code = "settings-invalid"
    exit_status = 2


class ComfyUINotFound(WatchmanError):
    """No ComfyUI tree where one should be."""

    code = "comfyui-not-found"
    exit_status = 2
    retryable = True


class StateLocked(WatchmanError):
    """Another process owns the state."""

    code = "state-locked"


class StateUnusable(WatchmanError):
    """The database cannot be opened, is damaged, or is newer than this program."""

    code = "state-unusable"


class ExtraMissing(WatchmanError):
    """What was asked for needs a package that is not installed."""

    code = "extra-missing"
    exit_status = 2


class NoticeFailed(WatchmanError):
    """Somebody who is to be told could not be."""

    code = "notice-failed"
    retryable = True


class AddressInUse(WatchmanError):
    """The HTTP address is taken."""

    code = "address-in-use"


class ServiceUnavailable(WatchmanError):
    """The service manager of this system cannot be asked, or refused."""

    code = "service-unavailable"


# -- reading a workflow


class WorkflowUnreadable(WatchmanError):
    """The file cannot be read as a workflow: broken, truncated, or hostile."""

    code = "workflow-unreadable"


class NotAWorkflow(WatchmanError):
    """The file is whole, and holds something else."""

    code = "not-a-workflow"


class WorkflowTooLarge(WatchmanError):
    """The file, or what it unpacks to, is larger than we read."""

    code = "workflow-too-large"


class WorkflowTooDeep(WatchmanError):
    """The data is nested deeper than any workflow is."""

    code = "workflow-too-deep"


class ParserFailed(WatchmanError):
    """The child process that reads untrusted files crashed or hit its limits."""

    code = "parser-failed"


class FileUnreadable(WatchmanError):
    """The file is gone, no regular file, or we may not read it."""

    code = "file-unreadable"


# -- names and places


class UnsafeName(WatchmanError):
    """A model name from a workflow that must not become a path."""

    code = "unsafe-name"


class UnknownFolder(WatchmanError):
    """Nobody says which folder the model belongs in."""

    code = "unknown-folder"


class FolderNotWritable(WatchmanError):
    """The directory a model should go to cannot be written."""

    code = "folder-not-writable"
    retryable = True


class DiskFull(WatchmanError):
    """Not enough room on the volume the model should go to."""

    code = "disk-full"
    retryable = True


class DiskFailed(WatchmanError):
    """The disk answered with an error."""

    code = "disk-failed"
    retryable = True


class NameTaken(WatchmanError):
    """A file of that name is there with other bytes; we never replace it."""

    code = "name-taken"


class LinkRefused(WatchmanError):
    """Two equal files are left as they are: to link them would change more than their place."""

    code = "link-refused"


class NameNotListed(WatchmanError):
    """A node does not list files of that name, whatever is on disk: ComfyUI refuses the value."""

    code = "name-not-listed"


class ModelIncomplete(WatchmanError):
    """A model file is shorter than it says of itself, or its end was never written."""

    code = "model-incomplete"


class ClaimsUnreadable(WatchmanError):
    """The hash cache of another program cannot be read."""

    code = "claims-unreadable"


class ClaimRefuted(WatchmanError):
    """Another program says that a file has other bytes than it has."""

    code = "claim-refuted"


class ModelDamaged(WatchmanError):
    """The bytes of a model file are other ones than before, though nothing has written to it."""

    code = "model-corrupt"


# -- network


class UrlRefused(WatchmanError):
    """An address we do not ask: scheme, credentials in it, or a private network."""

    code = "url-refused"


class HostNotAllowed(WatchmanError):
    """A host that is not among the allowed ones."""

    code = "host-not-allowed"


class SourceUnavailable(WatchmanError):
    """The source could not be asked: network, time-out, outage."""

    code = "source-unavailable"
    retryable = True


class RateLimited(WatchmanError):
    """The source asks us to slow down."""

    code = "rate-limited"
    retryable = True


class Offline(WatchmanError):
    """The settings say to ask nobody."""

    code = "offline"


class SourceMissing(WatchmanError):
    """The source does not have the file."""

    code = "source-missing"


class LoginNeeded(WatchmanError):
    """The source wants a login, an accepted licence or a payment."""

    code = "login-needed"


class NotGivenOut(WatchmanError):
    """The source has a record of the file and gives it to nobody: archived, withdrawn, disabled."""

    code = "not-given-out"


class WrongAnswer(WatchmanError):
    """The answer is not about the question, or not what it should be."""

    code = "wrong-answer"

    def __init__(
        self,
        cause: str,
        *,
        remedy: str,
        retry_after: float | None = None,
        requested: int | str | None = None,
        returned: int | str | None = None,
    ) -> None:
        super().__init__(cause, remedy=remedy, retry_after=retry_after)
        self.requested = requested
        """The identifier that was asked about, where the answer has one of its own."""
        self.returned = returned
        """The identifier in the answer; ``None`` where the answer is empty."""


class HashInvalid(WatchmanError):
    """What is given as a hash is none: a wrong length, or digits that are not hexadecimal."""

    code = "hash-invalid"
    exit_status = 2


class UnsafeFile(WatchmanError):
    """A scan, the source's own or ours, found code in the file that nobody vouches for."""

    code = "unsafe-file"


class VerificationFailed(WatchmanError):
    """The bytes are not the promised ones."""

    code = "verification-failed"


class SourceChanged(WatchmanError):
    """Twice a source gave other bytes than it, or the workflow, promised."""

    code = "source-changed"


class PickleRefused(WatchmanError):
    """The file is of a kind that can run code when it is loaded, and the settings want none."""

    code = "pickle-refused"


class NothingFound(WatchmanError):
    """No source is known for the model."""

    code = "nothing-found"


class ChoiceNeeded(WatchmanError):
    """Several files, or one without enough evidence: a person decides."""

    code = "choice-needed"


class BeingFetched(WatchmanError):
    """Another process has the part of the same file open."""

    code = "being-fetched"
    retryable = True


class DownloadOff(WatchmanError):
    """The settings say not to download."""

    code = "download-off"


class DownloadTooLarge(WatchmanError):
    """The file is larger than ``download.max_bytes`` allows."""

    code = "download-too-large"


class Interrupted(WatchmanError):
    """We are stopping; the work goes on at the next start."""

    code = "interrupted"
    retryable = True


class JobNotOpen(WatchmanError):
    """The job has ended, or runs: there is nothing to try again or to give up."""

    code = "job-not-open"


class InternalError(WatchmanError):
    """A bug of ours."""

    code = "internal-error"


# -- watching


class WatchLimitReached(WatchmanError):
    """The kernel refuses to watch more directories."""

    code = "watch-limit-reached"

    def __init__(self, *, needed: int, allowed: int) -> None:
        super().__init__(
            f"Watching needs {needed} inotify watches but the kernel allows {allowed}.",
            remedy=f"Set the sysctl fs.inotify.max_user_watches to at least {needed * 2}; no "
            "restart is needed. Until then what is not watched is looked at every "
            "watch.polling_seconds.",
        )


class WatchDeaf(WatchmanError):
    """The file system does not tell what happens in it; it is polled."""

    code = "watch-deaf"


class RootOffline(WatchmanError):
    """A watched directory is gone, or another device lies in its place."""

    code = "root-offline"
    retryable = True
