"""A run that is counted: ``prometheus_run.py FILE.prom WORKFLOW…``.

The file is for node_exporter's textfile collector. A daemon has metrics of its own: see
docs/metrics.md.
"""

import sys
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, write_to_textfile

from comfywatchman import ComfyFixerCore, WorkflowRun


def counted(
    core: ComfyFixerCore, workflows: Sequence[str]
) -> tuple[WorkflowRun, CollectorRegistry]:
    registry = CollectorRegistry()
    received = Counter("comfy_run_bytes", "Bytes of models that came.", registry=registry)
    models = Gauge("comfy_run_models", "Models of the run.", ["state"], registry=registry)
    lasted = Gauge("comfy_run_duration_seconds", "How long it took.", registry=registry)
    before: dict[str, int] = {}

    def progress(filename: str, downloaded: int, total: int | None) -> None:
        received.inc(max(0, downloaded - before.get(filename, 0)))
        before[filename] = max(downloaded, before.get(filename, 0))

    with lasted.time():
        run = core.run(workflows, progress_callback=progress)
    for state in ("planned", "finished", "failed", "skipped"):
        models.labels(state).set(getattr(run.downloads, state))
    return run, registry


def main(arguments: Sequence[str]) -> int:
    file, *workflows = arguments
    with ComfyFixerCore() as core:
        run, registry = counted(core, workflows)
    write_to_textfile(file, registry)
    return 0 if run.status == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
