"""A client of a running ComfyUI server."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from comfywatchman.api.told import told
from comfywatchman.domain.api_errors import ComfyUIError, ConfigurationError

if TYPE_CHECKING:
    from comfywatchman.comfyui.client.outputs import OutputFile
    from comfywatchman.comfyui.client.server import Server
    from comfywatchman.domain.errors import Trouble
    from comfywatchman.domain.run_errors import Problem

Json = Any
Workflow = Mapping[str, Any] | str | os.PathLike[str]
"""What the editor saves, or what a server takes (API form): decoded, or its file (JSON, image)."""
ProgressOfRun = Callable[[float, str | None], object]
"""Called with percent (0 to 100) and the id of the node that works, or ``None``."""

USUAL = "http://127.0.0.1:8188"


class QueuedPrompt(str):
    """The id of a prompt that the server took; a text."""

    __slots__ = ("number", "problems")

    number: float | None
    """Its place in the server's queue."""
    problems: tuple[Problem, ...]
    """What the server has against parts of it: those do not run."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that ended well."""

    prompt_id: str
    outputs: tuple[OutputFile, ...] = ()
    texts: Mapping[str, Json] | None = None
    """What the server has of each output node, files and all, as it says it."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a server is; true where it works."""

    up: bool
    version: str | None = None
    devices: tuple[str, ...] = ()
    vram_free: int | None = None
    """Bytes, of the first device."""
    waiting: int = 0
    """Prompts in the queue, the one that runs among them."""
    error: Trouble | None = None

    def __bool__(self) -> bool:
        return self.up


class ComfyUIClient:
    """Talks with a ComfyUI server: connections are kept, any thread may use it.

    >>> with ComfyUIClient() as client:
    ...     prompt_id = client.queue_workflow("workflow.json")
    ...     client.monitor_execution(prompt_id, lambda percent, node: print(percent, node))
    """

    def __init__(
        self, base_url: str = USUAL, timeout: float = 30, *, patience: float = 120
    ) -> None:
        """Prepare; nothing is asked yet.

        *timeout*: seconds without a byte before an answer counts as none. *patience*: seconds that
        a server which goes away in the middle of a run is waited for.

        Raises:
            ConfigurationError: *base_url* is no address.
        """
        from comfywatchman.comfyui.client.server import Server

        with told(ConfigurationError):
            self._server: Server = Server(base_url, timeout, patience)
        self._types: Json = None
        weakref.finalize(self, self._server.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections; what runs on the server goes on."""
        self._server.close()

    @property
    def base_url(self) -> str:
        return self._server.http.base_url

    @property
    def client_id(self) -> str:
        """Return the random name under which the server knows this client."""
        return self._server.client_id

    @property
    def connected(self) -> bool:
        """Say whether the web socket is open now."""
        return self._server.listen().connected.is_set()

    def reconnect(self, timeout: float | None = None) -> bool:
        """Have the web socket opened where it is not; return whether it is open in time.

        It also comes back by itself: runs are followed on, by ``/history`` in the meantime.
        """
        ear = self._server.listen()
        return ear.connected.wait(self._server.http.timeout if timeout is None else timeout)

    # -- prompts

    def to_prompt(self, workflow: Workflow) -> dict[str, Any]:
        """Return *workflow* as a server takes it; what is in that form already stays as it is.

        Raises:
            WorkflowParseError: it is no workflow, or its file cannot be read.
            ComfyUIError: the server does not answer, or lacks node types (``prompt-refused``).
        """
        from comfywatchman.api.prompts import prompt_of

        with told(ComfyUIError):
            return prompt_of(workflow, self._node_types)

    def _node_types(self, *, again: bool = False) -> Json:
        if self._types is None or again:
            self._types = self.get_object_info()
        return self._types

    def queue_workflow(
        self,
        workflow: Workflow,
        *,
        extra_data: Mapping[str, Any] | None = None,
        front: bool = False,
        number: float | None = None,
    ) -> QueuedPrompt:
        """Have a server run *workflow* and return the id of the prompt. It is never queued twice.

        Where the answer is lost the prompt is looked for in the queue and not sent again.

        Raises:
            WorkflowParseError: it is no workflow.
            ComfyUIError: ``prompt-refused`` with all problems, ``comfyui-unavailable``, or
                ``queueing-uncertain``.
        """
        from comfywatchman.api.prompts import document_of_workflow, every_missing_type

        with told(ComfyUIError):
            document = document_of_workflow(workflow)
            prompt = self.to_prompt(document)
            extra = dict(extra_data or {})
            if "nodes" in document:
                extra.setdefault("extra_pnginfo", {"workflow": document})
            where: dict[str, Any] = {"front": True} if front else {}
            if number is not None:
                where["number"] = number
            with every_missing_type(prompt, lambda: self._node_types(again=True)):
                queued = self._server.queue(prompt, extra, **where)
        prompt_id = QueuedPrompt(queued.prompt_id)
        prompt_id.number, prompt_id.problems = queued.number, queued.problems
        return prompt_id

    def monitor_execution(
        self,
        prompt_id: str,
        progress_callback: ProgressOfRun | None = None,
        *,
        timeout: float | None = None,
    ) -> RunResult:
        """Wait until the run has ended; the callback gets percent and node, on this thread.

        Raises:
            VRAMOverflowError: the graphics card's memory is not enough.
            ComfyUIError: ``run-failed``, ``run-interrupted``, ``run-lost`` (the server was started
                anew), ``comfyui-unavailable`` (it went away, or *timeout* passed; the run may go
                on).
        """
        from comfywatchman.comfyui.client.outputs import files_of

        with told(ComfyUIError):
            run = self._server.follow(str(prompt_id), progress_callback, timeout)
        return RunResult(str(prompt_id), tuple(files_of(run.outputs)), run.outputs)

    def run(self, workflow: Workflow, progress_callback: ProgressOfRun | None = None) -> RunResult:
        """Queue, wait and check the outputs, in one."""
        prompt_id = self.queue_workflow(workflow)
        result = self.monitor_execution(prompt_id, progress_callback)
        return replace(result, outputs=tuple(self.get_outputs(prompt_id)))

    def get_outputs(self, prompt_id: str, *, check: bool = True) -> list[OutputFile]:
        """Return the files of a run that has ended, each looked at: it is there and not empty.

        Raises:
            ComfyUIError: ``output-missing`` names what is not there; ``run-lost`` where the server
                knows no such run.
        """
        from comfywatchman.api.results import checked_outputs

        with told(ComfyUIError):
            return checked_outputs(self._server, str(prompt_id), check=check)

    def download_output(self, output: OutputFile, path: str | os.PathLike[str]) -> Path:
        """Write a file of a run to *path*, which must not be there yet.

        Raises:
            ComfyUIError: ``output-missing``: it has vanished or came in part.
            FileExistsError: something is at *path*.
        """
        from comfywatchman.api.results import bring

        with told(ComfyUIError):
            return bring(self._server, output, Path(path))

    # -- the server

    def get_queue(self) -> dict[str, list[Any]]:
        """Return the prompts that run and wait: ``queue_running`` and ``queue_pending``."""
        with told(ComfyUIError):
            lists = self._server.queue_lists()
        return {"queue_running": lists["running"], "queue_pending": lists["pending"]}

    def get_history(
        self, prompt_id: str | None = None, max_items: int | None = None
    ) -> dict[str, Any]:
        """Return what has run, by prompt id; with *prompt_id* that one, or nothing."""
        path = "/history" if prompt_id is None else f"/history/{_segment(prompt_id)}"
        if max_items is not None:
            path += f"?max_items={int(max_items)}"
        return self._object(path)

    def get_system_stats(self) -> dict[str, Any]:
        """Return version, memory and devices of the server."""
        return self._object("/system_stats", "system")

    def get_object_info(self, node_type: str | None = None) -> dict[str, Any]:
        """Return the server's node types, or one of them; empty where there is no such type."""
        path = "/object_info" if node_type is None else f"/object_info/{_segment(node_type)}"
        return self._object(path)

    def get_models(self, folder: str) -> list[str]:
        """Return the names that the server lists in a folder; empty where it knows no such one."""
        with told(ComfyUIError):
            answer = self._server.http.get(f"/models/{_segment(folder)}")
            names = answer.json() if answer.status == 200 else []
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def interrupt(self, prompt_id: str | None = None) -> None:
        """End the run of *prompt_id*, or whatever runs; a server stops between nodes."""
        body = {} if prompt_id is None else {"prompt_id": str(prompt_id)}
        self._post("/interrupt", body, repeatable=prompt_id is not None)

    def cancel(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, and end it where it runs already."""
        self._post("/queue", {"delete": [str(prompt_id)]}, repeatable=True)
        self.interrupt(prompt_id)

    def free(self, unload_models: bool = True, free_memory: bool = True) -> None:
        """Have the server let go of models and of what it keeps of earlier runs."""
        body = {"unload_models": unload_models, "free_memory": free_memory}
        self._post("/free", body, repeatable=True)

    def upload_image(
        self,
        image: str | os.PathLike[str] | bytes,
        name: str | None = None,
        *,
        subfolder: str = "",
        type: str = "input",  # noqa: A002 - ComfyUI's own word
        overwrite: bool = False,
    ) -> str:
        """Give the server a picture, and return the value that LoadImage takes for it.

        Raises:
            ComfyUIError: ``wrong-answer``: it was not taken.
            OSError: the file cannot be read.
        """
        from comfywatchman.api.results import upload

        with told(ComfyUIError):
            return upload(
                self._server.http, image, name, subfolder=subfolder, type_=type, overwrite=overwrite
            )

    def health(self) -> Health:
        """Return how the server is; nothing is raised."""
        try:
            stats, queue = self.get_system_stats(), self.get_queue()
        except ComfyUIError as error:
            return Health(up=False, error=error.trouble())
        return _health(stats, sum(map(len, queue.values())))

    def _object(self, path: str, key: str = "") -> dict[str, Any]:
        from comfywatchman.comfyui.client.http import wrong

        with told(ComfyUIError):
            found = self._server.read(path)
            if not isinstance(found, dict) or (key and not isinstance(found.get(key), dict)):
                raise wrong(path, "another kind of answer")
        return found

    def _post(self, path: str, body: Mapping[str, Any], *, repeatable: bool) -> None:
        from comfywatchman.comfyui.client.http import wrong

        with told(ComfyUIError):
            answer = self._server.http.post(path, body, repeatable=repeatable)
            if answer.status != 200 or answer.body.lstrip().startswith(b"<"):
                raise wrong(path, f"HTTP {answer.status}")


def _segment(text: str) -> str:
    from urllib.parse import quote

    return quote(str(text), safe="")


def _health(stats: Mapping[str, Any], waiting: int) -> Health:
    system, listed = stats["system"], stats.get("devices")
    devices: Iterable[Any] = listed if isinstance(listed, list) else ()
    known = [each for each in devices if isinstance(each, dict)]
    free = known[0].get("vram_free") if known else None
    version = system.get("comfyui_version")
    return Health(
        True,
        version if isinstance(version, str) else None,
        tuple(str(each.get("name", "")) for each in known),
        free if isinstance(free, int) else None,
        waiting,
    )
