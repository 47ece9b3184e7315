"""One of each event, with names that are hard to write down."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from comfywatchman.domain import messages
from comfywatchman.domain.candidates import Candidate, Grade
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Measured, Reading, Stamp
from comfywatchman.domain.messages import Event
from comfywatchman.domain.references import (
    Analysis,
    Declared,
    Finding,
    ModelReference,
    NodeTypeUse,
    ReferenceState,
    WorkflowContent,
)

TROUBLE = Trouble("source-unavailable", "The source did not answer.", "It is asked again.")
NASTY = 'a"b\n\x1b[31m\u2028\udcff.safetensors'
WORKFLOW = Path("/wf/portrait.json")
MEASURED = Measured(151_112_712, "ab" * 32)
READING = Reading(Stamp(1, 2, 151_112_712, 4, 5), MEASURED, at_ns=6)
OFFER = Candidate(
    backend="civitai",
    url="https://civitai.com/api/download/models/1",
    filename="detail.safetensors",
    size=151_112_712,
    sha256="ab" * 32,
    grade=Grade.A,
    evidence=("The hash is the one that the workflow gives.",),
)


def reference(name: str = "detail.safetensors", folder: str | None = "loras") -> ModelReference:
    return ModelReference(folder, name, name, "12", "LoraLoader", "lora_name")


def analysis(*findings: Finding, trouble: Trouble | None = None, path: Path = WORKFLOW) -> Analysis:
    content = WorkflowContent(
        "json",
        "ui",
        references=tuple(finding.reference for finding in findings),
        node_types=(
            NodeTypeUse("LoraLoader", 1, core=True),
            NodeTypeUse("Fancy", 2, cnr_id="fancy-pack", aux_id="someone/fancy-pack"),
        ),
        trouble=trouble,
    )
    return Analysis(path, "cd" * 32, content, findings)


def missing(name: str = "detail.safetensors", size: int | None = None) -> Finding:
    wanted = ModelReference(
        "loras",
        name,
        name,
        "12",
        "LoraLoader",
        "lora_name",
        declared=(Declared("https://host.example/x?token=tell-nobody", None, "note"),),
    )
    return Finding(wanted, ReferenceState.MISSING, size=size, candidates=(OFFER,))


def present(name: str = "here.safetensors") -> Finding:
    path = Path("/models/loras") / name
    return Finding(reference(name), ReferenceState.PRESENT, path, 7, "ef" * 32)


EVENTS: tuple[Event, ...] = (
    messages.DaemonStarted(Path("/comfy"), 1),
    messages.DaemonReady(0.5, "127.0.0.1:8189"),
    messages.DaemonStopping("SIGTERM"),
    messages.DaemonStopped(0.1),
    messages.WatchStarted(Path("/models"), "models", "events", 12),
    messages.WatchDegraded(Path("/models"), TROUBLE),
    messages.WatchOverflowed(),
    messages.RootOffline(Path("/models"), TROUBLE),
    messages.RootOnline(Path("/models")),
    messages.SweepStarted("timer"),
    messages.SweepFinished("timer", 1.5, 3, 40, (("added", 2),)),
    messages.WorkflowSettled(WORKFLOW, 100),
    messages.WorkflowRemoved(WORKFLOW),
    messages.WorkflowAnalyzed(analysis(missing(NASTY)), 0.01),
    messages.WorkflowAnalyzed(analysis(present()), 0.01),
    messages.WorkflowAnalyzed(analysis(trouble=TROUBLE), 0.01),
    messages.ModelFound(Path("/models/loras") / NASTY, 7, whole=True),
    messages.ModelIndexed(Path("/models/loras/x"), "loras", NASTY, READING, 0.2),
    messages.InventoryProgressed(12, 3_000_000_000, 200e6, 15.0),
    messages.ModelChanged(Path("/models/loras/x")),
    messages.ModelMoved(Path("/models/loras/y"), Path("/models/loras/x")),
    messages.ModelRemoved(Path("/models/loras/x")),
    messages.ModelCorrupt(Path("/models/loras/x"), TROUBLE),
    messages.ModelCorrupt(Path("/models/loras/x"), TROUBLE, READING),
    messages.ModelVerified(Path("/models/loras/x"), READING),
    messages.ReferenceResolved("loras", "x", (OFFER,)),
    messages.ReferenceAmbiguous("loras", "x", (OFFER,), TROUBLE),
    messages.ReferenceUnresolved("loras", "x", TROUBLE),
    messages.SearchAsked("civitai", "loras", "x", "answered", 0.3),
    messages.SearchAsked("civitai", "loras", "x", "empty", 0.3),
    messages.SearchAsked("civitai", "loras", "x", "unavailable", 0.3, TROUBLE),
    messages.SearchAsked("stranger", "loras", "x", "mismatch", 0.3, TROUBLE),
    messages.DownloadQueued("loras", "x", None),
    messages.DownloadStarted("loras", "x", "civitai", "civitai.com", 100, 0),
    messages.DownloadStarted("loras", "x", "civitai", "civitai.com", 100, 50),
    messages.DownloadProgressed("loras", "x", 60, 100, 12.5),
    messages.DownloadVerified("loras", "x", "civitai", "civitai.com", MEASURED, 2.0, 50),
    messages.DownloadQuarantined("loras", "x", Path("/q/x"), TROUBLE),
    messages.DownloadVerified("loras", "x", "web", "a.example", MEASURED, 2.0, 50, promised=False),
    messages.DownloadPaused("loras", "x", "hours", 60),
    messages.DownloadRetrying("loras", "x", TROUBLE, 5.0),
    messages.DownloadFailed("loras", "x", "civitai", TROUBLE),
    messages.ModelPlaced("loras", "x", Path("/models/loras/x"), MEASURED, "civitai"),
    messages.ModelPlaced(
        "loras", "x", Path("/models/loras/x"), MEASURED, "here", Path("/models/vae/x")
    ),
    messages.JobFailed("fetch", "loras/x", TROUBLE),
    messages.JobSetAside("analyze", str(WORKFLOW), TROUBLE),
    messages.ErrorMet(TROUBLE, Path("/models"), (("root", "models"),)),
)

EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)
