"""Reading workflows: what they ask for, and what is wrong in them."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfywatchman.api.converting import absolute, reference_of
from comfywatchman.api.settings import settings_of
from comfywatchman.api.told import told
from comfywatchman.api.values import ModelReference, WorkflowData, WorkflowValidation
from comfywatchman.domain.api_errors import WorkflowParseError, api_error_of
from comfywatchman.domain.errors import WatchmanError

if TYPE_CHECKING:
    from comfywatchman.api.settings import Config
    from comfywatchman.domain.references import Remark, WorkflowContent
    from comfywatchman.parsing.parser import Parsed, Parser

Given = WorkflowData | Mapping[str, Any] | str | bytes | os.PathLike[str]
"""A workflow: read already, decoded JSON, its text, or (as a path and no text) its file."""


class WorkflowScanner:
    """Reads workflow files, in a confined process like the daemon's. Any thread may use it."""

    def __init__(self, config: Config = None) -> None:
        """Prepare; nothing is started yet.

        Raises:
            ConfigurationError: the settings cannot be used.
        """
        self.settings = settings_of(config)
        self._lock = threading.Lock()
        self._parser: Parser | None = None

    def __enter__(self) -> WorkflowScanner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process that reads; the next file starts another one."""
        with self._lock:
            if self._parser is not None:
                self._parser.close()
                self._parser = None

    def scan_workflow(self, path: str | os.PathLike[str]) -> WorkflowData:
        """Return what the file at *path* says: JSON, or an image, sound or film with a workflow.

        Raises:
            WorkflowParseError: it is not there, cannot be read, or holds no workflow.
        """
        file = absolute(Path(path))
        data = self._scanned(file)
        if data.error is not None:
            raise WorkflowParseError(
                data.error,
                code=str(data.metadata.get("code", WorkflowParseError.usual_code)),
                remedy=str(data.metadata.get("remedy", "")),
            )
        return data

    def scan_directory(
        self, directory: str | os.PathLike[str], recursive: bool = True
    ) -> list[WorkflowData]:
        """Return what each workflow below *directory* says, by path.

        A file that cannot be read is among them, with its `WorkflowData.error`; one that holds no
        workflow is not.

        Raises:
            WorkflowParseError: there is no such directory.
        """
        from comfywatchman.daemon.survey import each_workflow

        place = absolute(Path(directory))
        if not place.is_dir():
            raise WorkflowParseError(
                f"{str(place)!r} is no directory.",
                code="file-unreadable",
                remedy="Check the path.",
            )
        files = [file for file in each_workflow([str(place)]) if recursive or file.parent == place]
        found = [self._scanned(file) for file in sorted(files)]
        return [data for data in found if data.metadata.get("code") != "not-a-workflow"]

    def extract_models(self, workflow_data: Given) -> list[ModelReference]:
        """Return every model that the workflow asks for.

        Raises:
            WorkflowParseError: it is no workflow.
        """
        if isinstance(workflow_data, WorkflowData):
            return list(workflow_data.model_references)
        content = self._read_given(workflow_data)
        if content.trouble is not None:
            raise api_error_of(content.trouble, WorkflowParseError)
        if content.format == "none":
            raise WorkflowParseError(
                "This is neither a workflow nor a prompt of ComfyUI.", code="not-a-workflow"
            )
        return [reference_of(each) for each in content.references]

    def validate_workflow(self, workflow_data: Given) -> WorkflowValidation:
        """Return what is wrong in the workflow itself, whatever models there are.

        Raises:
            WorkflowParseError: its file is not there, or may not be read.
        """
        if isinstance(workflow_data, WorkflowData):
            with told(WorkflowParseError), self._reading() as parser:
                content = parser.read(workflow_data.path).content
        else:
            content = self._read_given(workflow_data)
        findings = [_finding(remark) for remark in content.findings]
        if content.trouble is not None:
            findings.insert(0, _error(content.trouble.code, content.trouble.cause))
        elif content.format == "none":
            findings.insert(0, _error("not-a-workflow", "This is no workflow of ComfyUI."))
        wrong = any(finding["severity"] == "error" for finding in findings)
        return WorkflowValidation(not wrong, tuple(findings))

    # -- reading

    @contextmanager
    def _reading(self) -> Iterator[Parser]:
        from comfywatchman.daemon.lessons import first_lessons
        from comfywatchman.daemon.parts import parser_for

        with self._lock:  # a parser is one thread's at a time
            if self._parser is None:
                lines = first_lessons(self.settings)[0].lines
                self._parser = parser_for(self.settings, lines)
                # Who forgets to close the scanner leaves no process behind.
                weakref.finalize(self, self._parser.close)
            yield self._parser

    def _read_given(
        self, given: Mapping[str, Any] | str | bytes | os.PathLike[str]
    ) -> WorkflowContent:
        import json

        if isinstance(given, os.PathLike):
            with told(WorkflowParseError), self._reading() as parser:
                return parser.read(absolute(Path(given))).content
        if isinstance(given, str):
            data = given.encode()
        elif isinstance(given, bytes):
            data = given
        else:
            try:
                data = json.dumps(given).encode()
            except (TypeError, ValueError, RecursionError) as error:
                raise WorkflowParseError(
                    f"This has no form in JSON: {error}.", remedy="Give decoded JSON, or its text."
                ) from error
        with told(WorkflowParseError), self._reading() as parser:
            return parser.read_bytes(data, "workflow").content

    def _scanned(self, file: Path) -> WorkflowData:
        try:
            with self._reading() as parser:
                parsed = parser.read(file)
        except WatchmanError as error:
            return _unreadable(file, error.code, error.cause, error.remedy)
        content = parsed.content
        if content.trouble is not None:
            trouble = content.trouble
            return _unreadable(file, trouble.code, trouble.cause, trouble.remedy)
        if content.format == "none":
            cause = f"{str(file)!r} holds neither a workflow nor a prompt of ComfyUI."
            return _unreadable(file, "not-a-workflow", cause, "Export the workflow again.")
        return self._data(file, parsed)

    def _data(self, file: Path, parsed: Parsed) -> WorkflowData:
        from comfywatchman.api.nodes import Document, document_of, nodes_of
        from comfywatchman.daemon.parts import limits_of

        content, document = parsed.content, Document()
        with suppress(OSError), file.open("rb") as source:
            document = document_of(source, content.taken, limits_of(self.settings))
        told_id = document.get("id")
        metadata: dict[str, Any] = {
            "container": content.container,
            "format": content.format,
            "taken": content.taken,
            "sha256": parsed.sha256,
        }
        metadata |= {key: document[key] for key in ("version", "revision") if key in document}
        return WorkflowData(
            path=file,
            workflow_id=told_id if isinstance(told_id, str) and told_id else parsed.sha256,
            nodes=nodes_of(document),
            model_references=tuple(reference_of(each) for each in content.references),
            custom_node_types=tuple(use.type for use in content.node_types if not use.core),
            metadata=metadata,
        )


def _unreadable(file: Path, code: str, cause: str, remedy: str) -> WorkflowData:
    return WorkflowData(file, "", error=cause, metadata={"code": code, "remedy": remedy})


def _finding(remark: Remark) -> dict[str, Any]:
    return {
        "code": remark.code,
        "severity": remark.severity.value,
        "pointer": remark.pointer,
        "message": remark.message,
        "node": remark.node,
        "node_type": remark.node_type,
    }


def _error(code: str, message: str) -> dict[str, Any]:
    return {
        "code": code,
        "severity": "error",
        "pointer": "",
        "message": message,
        "node": None,
        "node_type": None,
    }
