"""Drop a ComfyUI workflow into a folder, get its models: the names for Python programs.

Nothing happens at import. Each name is loaded when it is first used; ``docs/python.md`` describes
them all.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the one of typing would be an import; mypy knows this name, too
if TYPE_CHECKING:
    from comfywatchman.api.civitai import fetch_civitai_image, validate_civitai_response
    from comfywatchman.api.comfyui import ComfyUIClient, Health, QueuedPrompt, RunResult
    from comfywatchman.api.core import ComfyFixerCore
    from comfywatchman.api.downloads import DownloadManager
    from comfywatchman.api.files import ensure_directory, get_logger, save_json_file
    from comfywatchman.api.history import StateManager
    from comfywatchman.api.inventory import ModelInventory
    from comfywatchman.api.panels import ComfyUIIntegrationManager, PanelResult, ProjectResult
    from comfywatchman.api.scanner import WorkflowScanner
    from comfywatchman.api.search import ModelSearch
    from comfywatchman.api.values import (
        AnalysisResult,
        DownloadCounts,
        MissingNode,
        ModelInfo,
        ModelReference,
        WorkflowData,
        WorkflowRun,
        WorkflowValidation,
    )
    from comfywatchman.domain.api_errors import (
        APISearchError,
        ComfyFixerError,
        ComfyUIError,
        ConfigurationError,
        DownloadError,
        ValidationError,
        VRAMOverflowError,
        WorkflowParseError,
    )
    from comfywatchman.download.simple import DownloadHandler, DownloadResult, ProgressCallback
    from comfywatchman.resolve.simple import SearchBackend, SearchResult

    __version__: str

_WHERE = {
    "comfywatchman.api.civitai": ("fetch_civitai_image", "validate_civitai_response"),
    "comfywatchman.api.comfyui": ("ComfyUIClient", "Health", "QueuedPrompt", "RunResult"),
    "comfywatchman.api.core": ("ComfyFixerCore",),
    "comfywatchman.api.downloads": ("DownloadManager",),
    "comfywatchman.api.files": ("ensure_directory", "get_logger", "save_json_file"),
    "comfywatchman.api.history": ("StateManager",),
    "comfywatchman.api.inventory": ("ModelInventory",),
    "comfywatchman.api.panels": ("ComfyUIIntegrationManager", "PanelResult", "ProjectResult"),
    "comfywatchman.api.scanner": ("WorkflowScanner",),
    "comfywatchman.api.search": ("ModelSearch",),
    "comfywatchman.api.values": (
        *("AnalysisResult", "DownloadCounts", "MissingNode", "ModelInfo", "ModelReference"),
        *("WorkflowData", "WorkflowRun", "WorkflowValidation"),
    ),
    "comfywatchman.domain.api_errors": (
        *("APISearchError", "ComfyFixerError", "ComfyUIError", "ConfigurationError"),
        *("DownloadError", "VRAMOverflowError", "ValidationError", "WorkflowParseError"),
    ),
    "comfywatchman.download.simple": ("DownloadHandler", "DownloadResult", "ProgressCallback"),
    "comfywatchman.resolve.simple": ("SearchBackend", "SearchResult"),
}
_HOME = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "APISearchError",
    "AnalysisResult",
    "ComfyFixerCore",
    "ComfyFixerError",
    "ComfyUIClient",
    "ComfyUIError",
    "ComfyUIIntegrationManager",
    "ConfigurationError",
    "DownloadCounts",
    "DownloadError",
    "DownloadHandler",
    "DownloadManager",
    "DownloadResult",
    "Health",
    "MissingNode",
    "ModelInfo",
    "ModelInventory",
    "ModelReference",
    "ModelSearch",
    "PanelResult",
    "ProgressCallback",
    "ProjectResult",
    "QueuedPrompt",
    "RunResult",
    "SearchBackend",
    "SearchResult",
    "StateManager",
    "VRAMOverflowError",
    "ValidationError",
    "WorkflowData",
    "WorkflowParseError",
    "WorkflowRun",
    "WorkflowScanner",
    "WorkflowValidation",
    "__version__",
    "ensure_directory",
    "fetch_civitai_image",
    "get_logger",
    "save_json_file",
    "validate_civitai_response",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name == "__version__":
        from importlib.metadata import version

        found: object = version("comfywatchman")
    elif name in _HOME:
        from importlib import import_module

        found = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
