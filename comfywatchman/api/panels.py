"""Panels of a project, each a run of one workflow with its own text, seed and size."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfywatchman.api.comfyui import USUAL, ComfyUIClient, ProgressOfRun, Workflow
from comfywatchman.api.files import ensure_directory, save_json_file
from comfywatchman.api.projects import Panel, Project, read_project
from comfywatchman.api.told import told
from comfywatchman.domain.api_errors import (
    ComfyFixerError,
    ComfyUIError,
    ConfigurationError,
    ValidationError,
    VRAMOverflowError,
)

if TYPE_CHECKING:
    from types import TracebackType

    from comfywatchman.api.comfyui import Health
    from comfywatchman.comfyui.client.outputs import OutputFile

ProgressOfProject = Callable[[float, str | None], object]
"""Called with percent of the whole project and the panel that is at work."""

RECORD = "project.json"
_SIGNATURES = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".webp": (b"RIFF",),
    ".gif": (b"GIF8",),
    ".flac": (b"fLaC",),
}


@dataclass(frozen=True, slots=True)
class PanelResult:
    """What became of one panel."""

    panel_id: str
    success: bool
    prompt_id: str = ""
    seed: int = 0
    files: tuple[Path, ...] = ()
    """Where an output directory was given; else the server alone has them."""
    outputs: tuple[OutputFile, ...] = ()
    batch_size: int = 1
    """How many pictures at once were possible."""
    error_code: str | None = None
    error_message: str | None = None
    skipped: bool = False
    """It was made by an earlier run, and is still there."""


@dataclass(frozen=True, slots=True)
class ProjectResult:
    """What became of all of them; true where every panel was made."""

    name: str
    panels: tuple[PanelResult, ...]

    def __bool__(self) -> bool:
        return all(panel.success for panel in self.panels)

    @property
    def failed(self) -> tuple[PanelResult, ...]:
        return tuple(panel for panel in self.panels if not panel.success)


class ComfyUIIntegrationManager:
    """Makes panels on a server: text, seed and size are put into a copy of the workflow.

    >>> manager = ComfyUIIntegrationManager("workflow.json", output_dir="panels")
    >>> manager.initialize()
    >>> manager.process_project({"global_seed": 7, "panels": [{"id": "1", "prompt": "a cat"}]})
    """

    def __init__(
        self,
        workflow: Workflow | None = None,
        base_url: str = USUAL,
        *,
        client: ComfyUIClient | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        resolution: str | None = None,
        timeout: float = 30,
    ) -> None:
        """Prepare; nothing is asked yet. *resolution* (``1920x1080``) is for panels without one.

        Raises:
            ConfigurationError: *base_url* is no address, or *resolution* no size.
        """
        self.workflow = workflow
        self.client = client or ComfyUIClient(base_url, timeout)
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.resolution = _checked_size(resolution)
        self._prompt: dict[str, Any] | None = None

    def __enter__(self) -> ComfyUIIntegrationManager:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def initialize(self, workflow: Workflow | None = None) -> Health:
        """Look whether the server works, and turn the workflow into a prompt for it.

        Raises:
            ComfyUIError: the server does not answer, or lacks node types.
            WorkflowParseError: the workflow is none.
        """
        self.workflow = self.workflow if workflow is None else workflow
        stats = self.client.health()
        if not stats:
            self.client.get_system_stats()  # raises what is wrong
            self.client.get_queue()
        if self.workflow is not None:
            self._prompt = self.client.to_prompt(self.workflow)
        return stats

    # -- one panel

    def process_single_panel(
        self,
        panel_id: str | int,
        prompt: str,
        global_seed: int = 0,
        progress_callback: ProgressOfRun | None = None,
        *,
        negative_prompt: str | None = None,
        resolution: str | None = None,
        seed: int | None = None,
    ) -> PanelResult:
        """Make one panel; its seed follows from *global_seed* and *panel_id*, the same every time.

        Where the graphics card's memory is not enough the server is asked to free it, and the batch
        is halved, down to one.

        Raises:
            VRAMOverflowError: one picture at a time is too much as well.
            ComfyUIError: the run failed, or its files are not there or not whole.
        """
        from comfywatchman.comfyui.prompt.changes import seed_of

        used = seed_of(global_seed, str(panel_id)) if seed is None else seed
        panel = Panel(str(panel_id), prompt, used, negative_prompt, _checked_size(resolution))
        return self._make(panel, progress_callback)

    def _make(self, panel: Panel, progress: ProgressOfRun | None) -> PanelResult:
        from comfywatchman.comfyui.prompt import changes

        changed = self._changed(panel)
        batch = changes.batch_size(changed)
        freed = False
        while True:
            try:
                return self._run(panel, changed, batch, progress)
            except VRAMOverflowError:
                if batch <= 1 and freed:
                    raise
                self.client.free()
                freed = True
                batch = max(1, batch // 2)
                changes.set_batch_size(changed, batch)

    def _run(
        self, panel: Panel, prompt: dict[str, Any], batch: int, progress: ProgressOfRun | None
    ) -> PanelResult:
        prompt_id = self.client.queue_workflow(prompt)
        if prompt_id.problems:
            self.client.cancel(prompt_id)
            raise ComfyUIError(
                f"The server would make a part of the panel only: {prompt_id.problems[0]}.",
                code="prompt-refused",
                remedy="Open the workflow in ComfyUI, which marks the nodes.",
            )
        self.client.monitor_execution(prompt_id, progress)
        outputs = self.client.get_outputs(prompt_id)
        files = tuple(self._bring(panel, outputs))
        return PanelResult(panel.id, True, str(prompt_id), panel.seed, files, tuple(outputs), batch)

    def _changed(self, panel: Panel) -> dict[str, Any]:
        """Return a copy of the workflow with the panel's text, seed and size in it.

        Raises:
            ValidationError: there is no workflow, or nowhere to put the text.
        """
        from comfywatchman.comfyui.prompt import changes

        if self._prompt is None:
            if self.workflow is None:
                raise ConfigurationError(
                    "No workflow was given.", remedy="Give one to initialize() or the constructor."
                )
            self._prompt = self.client.to_prompt(self.workflow)
        prompt = changes.copied(self._prompt)
        if not changes.set_text(prompt, panel.prompt):
            raise ValidationError(
                "The workflow has no place for the panel's text.",
                code="settings-invalid",
                remedy="Write {prompt} where it belongs.",
            )
        if panel.negative is not None:
            changes.set_text(prompt, panel.negative, negative=True)
        changes.set_seed(prompt, panel.seed)
        size = panel.size or self.resolution
        if size is not None and not changes.set_size(prompt, *size):
            raise ValidationError(
                "The workflow has no node whose size could be set.",
                code="settings-invalid",
                remedy="Leave the resolution out, or use a workflow with an empty latent.",
            )
        return prompt

    def _bring(self, panel: Panel, outputs: list[OutputFile]) -> Iterator[Path]:
        """Bring the files that are to stay, and look whether they are what their names say."""
        if self.output_dir is None:
            return
        place = ensure_directory(self.output_dir)
        kept = [file for file in outputs if file.type == "output"] or outputs
        for number, file in enumerate(kept, 1):
            suffix = Path(file.filename).suffix
            path = place / f"{_file_name(panel.id)}_{number:02}{suffix}"
            path.unlink(missing_ok=True)  # ours, of an earlier run of this panel
            self.client.download_output(file, path)
            if not _is_whole(path):
                raise ComfyUIError(
                    f"{file} is not what its name says.",
                    code="output-missing",
                    remedy="Queue it again.",
                )
            yield path

    # -- all of them

    def process_project(
        self,
        project_data: Mapping[str, Any] | str | os.PathLike[str],
        progress_callback: ProgressOfProject | None = None,
    ) -> ProjectResult:
        """Make every panel of a project; one that fails does not stop the others.

        What an earlier run made, with the same text, seed and size, is not made again where it is
        still in *output_dir*.

        Raises:
            ValidationError: fields of the project are missing or wrong; all are named.
            ComfyUIError: the server does not answer at the beginning.
        """
        project = read_project(project_data)
        if project.workflow is not None:
            self.workflow, self._prompt = project.workflow, None
        if self.resolution is None:
            self.resolution = project.size
        self.initialize()
        record = _Record(self.output_dir, self._prompt)
        done = []
        for number, panel in enumerate(project.panels):
            tell = _part(progress_callback, panel.id, number, len(project.panels))
            if tell is not None:
                tell(0.0, None)
            done.append(self._one_of(project, panel, record, tell))
        if progress_callback is not None:
            progress_callback(100.0, None)
        return ProjectResult(project.name, tuple(done))

    def _one_of(
        self, project: Project, panel: Panel, record: _Record, tell: ProgressOfRun | None
    ) -> PanelResult:
        panel = replace(panel, size=panel.size or project.size or self.resolution)
        before = record.made(panel)
        if before is not None:
            return before
        try:
            result = self._make(panel, tell)
        except (ComfyFixerError, OSError) as error:
            code = error.code if isinstance(error, ComfyFixerError) else "disk-failed"
            cause = error.cause if isinstance(error, ComfyFixerError) else str(error)
            return PanelResult(
                panel.id, False, seed=panel.seed, error_code=code, error_message=cause
            )
        record.keep(panel, result)
        return result


class _Record:
    """What was made before: beside the files, so that a project goes on where it stopped."""

    def __init__(self, directory: Path | None, prompt: Mapping[str, Any] | None) -> None:
        self._file = None if directory is None else directory / RECORD
        plain = json.dumps(prompt, sort_keys=True, default=str)
        self._workflow = hashlib.sha256(plain.encode()).hexdigest()
        self._rows: dict[str, Any] = {}
        if self._file is not None:
            try:
                rows = json.loads(self._file.read_bytes())
            except (OSError, ValueError):
                rows = {}
            self._rows = rows if isinstance(rows, dict) else {}

    def made(self, panel: Panel) -> PanelResult | None:
        row = self._rows.get(panel.id)
        if self._file is None or not isinstance(row, dict) or row.get("of") != self._of(panel):
            return None
        files = [(self._file.parent / name, told) for name, told in row.get("files", {}).items()]
        if not files or any(_digest(path) != told for path, told in files):
            return None
        paths = tuple(path for path, _ in files)
        return PanelResult(
            panel.id, True, str(row.get("prompt_id", "")), panel.seed, paths, skipped=True
        )

    def keep(self, panel: Panel, result: PanelResult) -> None:
        if self._file is None:
            return
        files = {path.name: _digest(path) for path in result.files}
        row = {"of": self._of(panel), "prompt_id": result.prompt_id, "files": files}
        self._rows[panel.id] = row
        save_json_file(self._file, self._rows)

    def _of(self, panel: Panel) -> str:
        told = json.dumps([self._workflow, asdict(panel)], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


def _part(
    callback: ProgressOfProject | None, panel: str, number: int, count: int
) -> ProgressOfRun | None:
    if callback is None:
        return None
    return lambda percent, _node: callback((number + percent / 100) * 100 / count, panel)


def _checked_size(resolution: str | None) -> tuple[int, int] | None:
    from comfywatchman.comfyui.prompt.changes import parse_size

    with told(ConfigurationError):
        return None if resolution is None else parse_size(resolution)


def _file_name(panel: str) -> str:
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in panel)[:100]
    same = safe == panel and safe
    return (
        f"panel_{safe}"
        if same
        else f"panel_{safe}_{hashlib.sha256(panel.encode()).hexdigest()[:8]}"
    )


def _is_whole(path: Path) -> bool:
    expected = _SIGNATURES.get(path.suffix.lower())
    with path.open("rb") as file:
        head = file.read(16)
        if expected is None:
            return bool(head)
        if not head.startswith(expected):
            return False
        if path.suffix.lower() != ".png":
            return True
        file.seek(-12, os.SEEK_END)
        return file.read(12)[4:8] == b"IEND"


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
