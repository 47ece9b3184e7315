"""Files of runs: looked at, brought, and given to a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.run_errors import Details, OutputMissing, RunLost

if TYPE_CHECKING:
    from comfywatchman.comfyui.client.http import Http
    from comfywatchman.comfyui.client.outputs import OutputFile
    from comfywatchman.comfyui.client.server import Server

_BLOCK = 1 << 16
_MOST_TOLD = 5


def checked_outputs(server: Server, prompt_id: str, *, check: bool) -> list[OutputFile]:
    """Return the files of a run, each looked at.

    Raises:
        OutputMissing: some are not there, or empty, or a node that saves made none.
        RunLost: the server knows no such run.
    """
    from comfywatchman.comfyui.client.outputs import files_of, silent_nodes

    entry = server.history(prompt_id)
    if entry is None:
        raise RunLost(
            f"The server knows no run {prompt_id}: it has not ended, or the server was started "
            "anew.",
            remedy="Wait for its end with monitor_execution, or queue it again.",
        ).with_details(Details(prompt_id))
    outputs = entry.get("outputs")
    files = files_of(outputs if isinstance(outputs, dict) else {})
    if not check:
        return files
    looked = [replace(file, size=_size(server.http, file)) for file in files]
    lacking = [str(file) for file in looked if not file.size]
    lacking += [f"anything of node {node}" for node in silent_nodes(entry)]
    if lacking:
        more = f" and {len(lacking) - _MOST_TOLD} more" if len(lacking) > _MOST_TOLD else ""
        raise OutputMissing(
            f"The run should have made {', '.join(lacking[:_MOST_TOLD])}{more}; the server does "
            "not have it.",
            remedy="Look whether something cleans ComfyUI's output directory; queue it again.",
        ).with_details(Details(prompt_id))
    return looked


def _size(http: Http, file: OutputFile) -> int:
    """Return how many bytes the server has of a file; 0 where it has none."""
    with http.open("GET", file.view) as response:
        if response.status_code != 200:
            return 0
        told = response.headers.get("Content-Length", "")
        first = next(response.iter_content(16), b"")
        if not first:
            return 0
        return int(told) if told.isdecimal() else len(first)


def bring(server: Server, file: OutputFile, path: Path) -> Path:
    """Write a file to *path*, whole or not at all.

    Raises:
        OutputMissing: the server does not have it, or gave a part of it.
        FileExistsError: something is at *path*.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with staged.open("xb") as target:
            size = sum(target.write(block) for block in _content(server.http, file))
        if not size:
            raise _vanished(file)
        os.link(staged, path)  # never over a file
    finally:
        staged.unlink(missing_ok=True)
    return path


def _content(http: Http, file: OutputFile) -> Iterator[bytes]:
    with http.open("GET", file.view, however_long=True) as response:
        if response.status_code != 200:
            raise _vanished(file)
        yield from response.iter_content(_BLOCK)


def _vanished(file: OutputFile) -> OutputMissing:
    return OutputMissing(
        f"The server does not have {file} any more.", remedy="Queue the workflow again."
    )


def upload(
    http: Http,
    image: str | os.PathLike[str] | bytes,
    name: str | None,
    *,
    subfolder: str,
    type_: str,
    overwrite: bool,
) -> str:
    """Give a picture to a server; return what LoadImage calls it.

    Raises:
        WrongAnswer: it was not taken.
    """
    from comfywatchman.comfyui.client.http import wrong

    data = image if isinstance(image, bytes) else Path(image).read_bytes()
    called = name or ("image.png" if isinstance(image, bytes) else Path(image).name)
    fields = {"type": type_, "subfolder": subfolder, "overwrite": "true" if overwrite else "false"}
    answer = http.post("/upload/image", fields, files={"image": (called, data)})
    if answer.status != 200:
        raise wrong("/upload/image", f"HTTP {answer.status}")
    told = answer.json()
    if not isinstance(told, dict) or not isinstance(told.get("name"), str):
        raise wrong("/upload/image", "no name")
    within = told.get("subfolder")
    return f"{within}/{told['name']}" if within else str(told["name"])
