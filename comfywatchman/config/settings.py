"""Every setting: its name, type, default, bounds and meaning.

The reference (docs/settings.md), the file that ``config init`` writes and the error messages are
made from what stands here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import field

from comfywatchman.config.analysis import Analyze
from comfywatchman.config.comfyui import ComfyUI as ComfyUI  # noqa: PLC0414 - told on from here
from comfywatchman.config.hubs import Hubs
from comfywatchman.config.keys import Says, Section
from comfywatchman.config.lookups import Cache, Catalog
from comfywatchman.config.notify import Notify
from comfywatchman.config.places import state_directory
from comfywatchman.domain.secrets import Secret

MIB = 1024**2
GIB = 1024**3


class ModelDirectory(Section, frozen=True):
    type: Annotated[str, Says("A folder name of ComfyUI or a word for one: lora, loras, …")]
    path: Annotated[Path, Says("The directory, relative to comfyui_root or absolute.")]


class Watch(Section, frozen=True):
    """How changes on disk are noticed."""

    settle_seconds: Annotated[
        float,
        Says("How long a file must rest where nothing tells that it is whole.", ge=0.05, le=3600),
    ] = 2.0
    sweep_minutes: Annotated[
        float,
        Says("How often all directories are walked and compared.", ge=0.05, le=10080),
    ] = 60
    polling: Annotated[
        Literal["auto", "always", "never"],
        Says(
            "Look at directories again and again instead of waiting for notifications; "
            "auto: on network file systems only."
        ),
    ] = "auto"
    polling_seconds: Annotated[
        float, Says("How often a polled directory is looked at.", ge=0.2, le=86400)
    ] = 60


class Inventory(Section, frozen=True):
    """Which model files are here."""

    hash: Annotated[
        Literal["background", "on-demand", "off"],
        Says(
            "When the SHA-256 of a model is measured: by and by; when a workflow declares a hash "
            "for its name, or before a file of its size is fetched; never."
        ),
    ] = "background"
    hash_workers: Annotated[
        int,
        Says(
            "Files read at the same time from flash and memory. A turning disk, a network share "
            "and whatever nobody knows are read one file at a time.",
            ge=1,
            le=16,
        ),
    ] = 2
    bandwidth_limit: Annotated[
        int, Says("Bytes a second for all measuring together; 0: no limit.", kind="size", ge=0)
    ] = 0
    yield_to_comfyui: Annotated[
        bool,
        Says("Pause measuring while a ComfyUI server runs a prompt (comfyui.url and more_urls)."),
    ] = True
    blake3: Annotated[
        bool,
        Says("Measure BLAKE3 as well, ComfyUI's own hash of its assets; needs the extra blake3."),
    ] = False
    scrub_days: Annotated[
        float,
        Says(
            "How often every file is read again to notice decay, a part of them each night; "
            "0 never.",
            ge=0,
            le=3650,
        ),
    ] = 30
    scrub_hour: Annotated[
        int, Says("At which hour of the local time that begins.", ge=0, le=23)
    ] = 3
    claims: Annotated[
        Literal["auto", "off"],
        Says(
            "Read the hash caches of other programs (LoRA Manager, Civitai Toolkit, "
            "stable-diffusion-webui, .civitai.info): files that they say have a wanted hash are "
            "measured first. Nothing is believed before it was measured."
        ),
    ] = "auto"


class Download(Section, frozen=True):
    """What is fetched, from where, and how hard."""

    auto: Annotated[
        Literal["proven", "exact", "ask", "off"],
        Says(
            "What is fetched with nobody asked: grades A and B; A to D; nothing, but the "
            "candidates are looked for; nothing at all."
        ),
    ] = "exact"
    concurrency: Annotated[int, Says("Transfers at the same time.", ge=1, le=32)] = 3
    per_host: Annotated[int, Says("Of these, from one host.", ge=1, le=32)] = 2
    per_volume: Annotated[
        int,
        Says(
            "Of these, onto one volume. 0: one at a time onto a turning disk or a share, any "
            "number elsewhere.",
            ge=0,
            le=32,
        ),
    ] = 0
    connections: Annotated[
        int,
        Says(
            "Connections for one large file at most, where the server has shown that it gives "
            "ranges and one alone is slow. 1: never more than one.",
            ge=1,
            le=32,
        ),
    ] = 8
    windows: Annotated[
        tuple[str, ...],
        Says(
            "Times of day, local, in which files are fetched, such as 22:00-07:00; none means "
            "always. What a person asks for by `fix` is fetched at once.",
            kind="hours",
            example=["22:00-07:00"],
        ),
    ] = ()
    max_retries: Annotated[
        int, Says("Further tries after a failure that may pass.", ge=0, le=100)
    ] = 3
    stall_seconds: Annotated[
        float,
        Says(
            "A transfer that brings less than 10 kB/s for this long is broken off.", ge=0.1, le=3600
        ),
    ] = 60
    bandwidth_limit: Annotated[
        int, Says("Bytes a second for all transfers together; 0: no limit.", kind="size", ge=0)
    ] = 0
    yield_to_comfyui: Annotated[
        bool,
        Says(
            "Slow the daemon's transfers down to yield_limit while a ComfyUI server runs a prompt."
        ),
    ] = True
    yield_limit: Annotated[
        int,
        Says(
            "Bytes a second for all transfers together while a ComfyUI server runs a prompt.",
            kind="size",
            ge=64 << 10,
        ),
    ] = 8 << 20
    handlers: Annotated[
        tuple[str, ...], Says("Handlers of other people to try before ours: names, Python files.")
    ] = ()
    min_free_bytes: Annotated[
        int,
        Says("What a download leaves free on the volume, at least.", kind="size", ge=0),
    ] = 5 * GIB
    max_bytes: Annotated[int, Says("The largest file that is fetched.", kind="size", ge=1)] = (
        200 * GIB
    )
    allowed_hosts: Annotated[
        tuple[str, ...],
        Says(
            "Hosts that files are fetched from with nobody asked, each with all its "
            "subdomains. Redirects are held to it as well.",
            kind="host",
        ),
    ] = (
        "huggingface.co",
        "hf.co",
        "civitai.com",
        "civitai.red",
        "github.com",
        "githubusercontent.com",
        "modelscope.cn",
        "r2.cloudflarestorage.com",
    )
    insecure_hosts: Annotated[
        tuple[str, ...],
        Says(
            "Hosts, or HOST:PORT, that may be asked over plain http and at private addresses: "
            "a mirror in your own network.",
            kind="host-and-port",
        ),
    ] = ()
    allow_pickle: Annotated[
        Literal["scan", "never", "always"],
        Says(
            "Files that can run code when loaded (.ckpt, .pt, .bin): with nobody asked only where "
            "a look through them finds nothing suspicious, never, or without a look.",
        ),
    ] = "scan"
    quarantine_days: Annotated[
        float,
        Says(
            "How long a file that failed its checks is kept; 0 for ever.",
            ge=0,
            le=3650,
        ),
    ] = 30


class Http(Section, frozen=True):
    """The daemon's own pages: status, metrics, API."""

    listen: Annotated[
        str, Says('HOST:PORT, or "" for no server. Port 0 takes a free one.', kind="listen")
    ] = "127.0.0.1:8189"
    token_file: Annotated[
        Path | None,
        Says(
            "File with the token that requests need which change something.",
            shown="`http-token` in the state directory",
            example="~/.config/comfywatchman/http-token",
        ),
    ] = None
    names: Annotated[
        tuple[str, ...],
        Says(
            "Names that requests may come under besides addresses: what other machines and "
            "containers call this one.",
            kind="host",
        ),
    ] = ()
    open: Annotated[
        tuple[Literal["/metrics", "/healthz", "/readyz"], ...],
        Says(
            "What needs no token where the server listens on more than loopback: "
            "/metrics, /healthz, /readyz."
        ),
    ] = ()


class Log(Section, frozen=True):
    """What the daemon writes about its work."""

    format: Annotated[
        Literal["json", "text"], Says("One JSON object a line, or lines for people.")
    ] = "json"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Says("The least that is written.")
    ] = "info"
    file: Annotated[
        Path | None,
        Says(
            "Write to this file.",
            shown="stderr",
            example="~/.local/state/comfywatchman/comfywatchman.log",
        ),
    ] = None


class State(Section, frozen=True):
    """What survives a restart."""

    directory: Annotated[
        Path,
        Says(
            "Database, lock and audit log.",
            shown="`$STATE_DIRECTORY` of systemd, or the platform's state directory",
            example="~/.local/state/comfywatchman",
        ),
    ] = field(default_factory=state_directory)
    url: Annotated[
        Secret | None,
        Says(
            "Database address; shown as *** since it may hold a password.",
            shown="SQLite in the state directory",
            example="postgresql+psycopg://name:password@host/database",
            planned=True,
        ),
    ] = None


class Settings(Section, frozen=True):
    """Everything that can be set, as it is in force."""

    comfyui_root: Annotated[
        Path | None,
        Says(
            "The directory that holds ComfyUI (COMFYUI_ROOT).",
            shown="looked for in the usual places",
            example="/path/to/ComfyUI",
        ),
    ] = None
    workflow_dirs: Annotated[
        tuple[Path, ...],
        Says(
            "Directories whose workflows are kept fixed, relative to comfyui_root (or to "
            "comfyui.base_directory) or absolute.",
            kind="in-comfyui",
        ),
    ] = (Path("user/default/workflows"),)
    model_directories: Annotated[
        tuple[ModelDirectory, ...],
        Says(
            "Model directories besides models/ and extra_model_paths.yaml.",
            kind="in-comfyui",
            example=[{"type": "lora", "path": "models/adapters"}],
        ),
    ] = ()
    search_backends: Annotated[
        tuple[str, ...],
        Says(
            "Who is asked for a missing model, in this order: workflow, hfcache (with huggingface "
            "in any case), catalog, civitai, huggingface, github, modelscope, the name of an "
            "installed package's, or a Python file with one.",
            kind="backend",
        ),
    ] = ("workflow", "catalog", "civitai", "huggingface")
    offline: Annotated[
        bool,
        Says("Ask nobody: what was answered before is used, and the rest is named."),
    ] = False
    watch: Watch = Watch()
    inventory: Inventory = Inventory()
    download: Download = Download()
    analyze: Analyze = Analyze()
    cache: Cache = Cache()
    catalog: Catalog = Catalog()
    http: Http = Http()
    log: Log = Log()
    hubs: Hubs = Hubs()
    comfyui: ComfyUI = ComfyUI()
    notify: Notify = Notify()
    state: State = field(default_factory=State)
