"""The daemon's life: lock, log, server, the moving parts, signals, and the way back."""

from __future__ import annotations

import faulthandler
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from msgspec.structs import replace

from comfywatchman.config.values import listen_address
from comfywatchman.daemon.gauges import Gauges
from comfywatchman.daemon.installation import Configuration, Place, locate
from comfywatchman.daemon.live import Live
from comfywatchman.daemon.lock import Owner, owning, write_owner
from comfywatchman.daemon.memory import use_few_arenas
from comfywatchman.daemon.notices.changes import NEW_SETTINGS
from comfywatchman.daemon.notices.targets import secrets_of
from comfywatchman.daemon.notifying import ServiceManager
from comfywatchman.daemon.orders import Orders
from comfywatchman.daemon.service import LABEL
from comfywatchman.daemon.serving import Running
from comfywatchman.daemon.tending import Tending
from comfywatchman.daemon.view_signs import described, signs
from comfywatchman.daemon.window import View
from comfywatchman.domain.errors import ComfyUINotFound, SettingsInvalid, WatchmanError
from comfywatchman.domain.messages import (
    DaemonReady,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    ErrorMet,
    Event,
)
from comfywatchman.domain.notices import Change
from comfywatchman.report.audit import AuditLog
from comfywatchman.report.log import EventLog, Log, configure
from comfywatchman.report.metrics import Build, Metrics
from comfywatchman.server.feed import Feed
from comfywatchman.server.http import HttpServer
from comfywatchman.server.routes import HANDLER_NAMES
from comfywatchman.server.token import load_or_make_token
from comfywatchman.state.schema import REVISION

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.notices.telling import Telling

INTERRUPTED = 130
"""What a shell calls a program that Ctrl-C ended."""

LOOK_AGAIN_SECONDS = 5.0
"""How often a ComfyUI that is not there is looked for, and at its extra_model_paths.yaml."""


@dataclass(slots=True)
class Signals:
    """What the service manager, or a person, asked for."""

    news: SimpleQueue[None] = field(default_factory=SimpleQueue)
    """A queue and no event: its put is reentrant, so a handler that interrupts a wait cannot lock
    itself out."""
    stop: str | None = None
    reload: bool = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self._take)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = signal.Signals(number).name
        self.news.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for news, *seconds* at the most."""
        with suppress(Empty):
            self.news.get(timeout=seconds)

    def wake(self) -> None:
        self.news.put(None)


def run_daemon(read: Callable[[], Loaded], *, download: bool) -> int:
    """Run until a signal asks to stop; return the exit status.

    Args:
        read: reads the settings; called again for SIGHUP.
        download: whether anything may be fetched.

    Raises:
        SettingsInvalid: the settings are wrong at the start.
        StateLocked: another daemon owns the state.
        AddressInUse: the HTTP address is taken.
    """
    # On SIGABRT too: where the watchdog of a service manager ends us, all stacks are told.
    faulthandler.enable()
    use_few_arenas()
    loaded = read()
    signals = Signals()
    by_launchd = os.environ.get("XPC_SERVICE_NAME") == LABEL
    tending = Tending(ServiceManager.of(os.environ), by_launchd)
    with signals.heard(), tending.running(), owning(loaded.settings.state.directory, "run"):
        daemon = _Daemon(loaded, signals, tending, download=download)
        while signals.stop is None:
            daemon.live(read)
        daemon.end()
    status = INTERRUPTED if signals.stop == "SIGINT" else 0
    if daemon.stuck:
        # All is stored and closed. Who waits for threads at the end would wait for these as well.
        os._exit(status)
    return status


class _Daemon:
    """What lasts over a reload: log, metrics, and the view that the server shows."""

    def __init__(
        self, loaded: Loaded, signals: Signals, tending: Tending, *, download: bool
    ) -> None:
        self._signals = signals
        self._tending = tending
        self._download = download
        self._loaded = loaded
        self._former: Loaded | None = None
        """To go back to, until new settings have proven that one can live by them."""
        self._born = self._began = time.monotonic()
        self.stuck: set[str] = set()
        """Threads that were left behind."""
        self._metrics = Metrics.on_own_registry(
            Build(version("comfywatchman"), "", platform.python_version(), REVISION),
            backends=[b for b in loaded.settings.search_backends if not b.endswith(".py")],
            handlers=HANDLER_NAMES,
        )
        self._log = self._open_log(loaded.settings)
        self._events = EventLog(self._log)
        self._events.config_loaded(loaded.path)
        self._metrics.config_read(successful=True)
        self._live = Live()
        self._audit = AuditLog(loaded.settings.state.directory)
        self._view = View(
            version("comfywatchman"), datetime.now(UTC), self._live, self._metrics.render
        )
        self._metrics.attach(Gauges(self._view))
        tending.signs = partial(signs, self._view)
        tending.describe = partial(described, self._view)
        self._view.troubled = tending.troubled
        self._feed = Feed()
        self._log.listen(self._feed.publish, self._feed.wanted)

    # -- one set of settings

    def live(self, read: Callable[[], Loaded]) -> None:
        """Run with the settings in force until told to stop, or until there are new ones."""
        try:
            self._live_by_settings(read)
        except WatchmanError as error:
            if self._former is None:
                raise
            # They read well and cannot be lived by, such as an address that is taken.
            self._events.config_rejected(self._loaded.path, error.trouble())
            self._metrics.config_read(successful=False)
            rejected = self._loaded.settings
            self._loaded, self._former = self._former, None
            self._renew_log(rejected)

    def _live_by_settings(self, read: Callable[[], Loaded]) -> None:
        settings = self._loaded.settings
        self._began = time.monotonic()
        for trouble in self._loaded.troubles:
            self._tell(ErrorMet(trouble))
        with ExitStack() as stack:
            address = self._serve(settings, stack)
            place = self._find(settings)
            if place is None:
                self._take_reload(read)
                return
            comfyui = Configuration(place, settings)
            self._tell(DaemonStarted(place.comfyui_root, os.getpid()))
            running = Running.build(
                settings,
                place,
                self._readers(),
                os.environ,
                self._metrics,
                download=self._download,
                listener=self._events,
            )
            stack.callback(self._stop, running)
            running.start()
            self._view.running = running
            # Not after the first sweep: that may take long, and nothing is missed meanwhile.
            self._tending.ready()
            self._await_first_sweep(running, address)
            self._stay(read, comfyui)

    def _stay(self, read: Callable[[], Loaded], comfyui: Configuration) -> None:
        """Wait for a reason to begin anew: a signal, or other directories of ComfyUI's."""
        while self._signals.stop is None:
            if self._signals.reload and (self._take_reload(read) or comfyui.changed()):
                return
            if comfyui.changed_and_rests():
                self._events.config_reloaded(self._loaded.path)
                return
            self._signals.wait(LOOK_AGAIN_SECONDS)

    def end(self) -> None:
        self._tell(DaemonStopped(time.monotonic() - self._born))
        self._log.close()

    def _await_first_sweep(self, running: Running, address: str | None) -> None:
        running.sweeps.when_first_done(self._signals.wake)
        while self._signals.stop is None and not running.sweeps.first_done.is_set():
            self._signals.wait()
        running.engine.desk.ring("fetch")  # who tidies up has waited for the first sweep
        self._former = None
        if self._signals.stop is None:
            self._tell(DaemonReady(time.monotonic() - self._began, address))

    def _stop(self, running: Running) -> None:
        if self._signals.stop is not None:
            self._tending.stopping()
        self._tell(DaemonStopping(self._signals.stop or NEW_SETTINGS))
        self._view.stopping.set()
        running.stop()
        self.stuck |= set(running.stuck)
        self._view.running = None
        self._view.stopping.clear()

    def _find(self, settings: Settings) -> Place | None:
        """Wait for ComfyUI to be where it should be; told once, looked for again and again.

        Returns ``None`` when a signal came first.
        """
        while True:
            try:
                return locate(settings, os.environ)
            except ComfyUINotFound as error:
                if settings.comfyui_root is None:
                    raise
                if self._view.obstacle is None:
                    self._tell(ErrorMet(error.trouble(), settings.comfyui_root))
                self._view.obstacle = error.trouble()
                self._tending.ready()  # starting again would not bring ComfyUI here
            self._signals.wait(LOOK_AGAIN_SECONDS)
            if self._signals.stop is not None or self._signals.reload:
                return None

    def _serve(self, settings: Settings, stack: ExitStack) -> str | None:
        """Start the HTTP server, and write down where it is."""
        address = listen_address(settings.http.listen)
        directory = settings.state.directory
        shown = None
        if address is not None:
            token_file = settings.http.token_file or directory / "http-token"
            server = HttpServer(
                host=address[0],
                port=address[1],
                window=self._view,
                commands=Orders(self._view, self._audit),
                token=load_or_make_token(token_file),
                feed=self._feed,
                tally=self._metrics,
                version=version("comfywatchman"),
                opened=settings.http.open,
                names=settings.http.names,
            )
            host, port = server.start()
            stack.callback(server.stop)
            self._view.serves = True
            stack.callback(setattr, self._view, "serves", False)
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        write_owner(directory, Owner(os.getpid(), "run", self._view.started_at.timestamp(), shown))
        return shown

    def _take_reload(self, read: Callable[[], Loaded]) -> bool:
        """Read the settings again; return whether there are new ones to begin anew with."""
        if not self._signals.reload:
            return False
        self._signals.reload = False
        self._tending.reloading()
        anew = self._reloaded(read)
        if not anew:
            self._tending.ready()
        return anew

    def _reloaded(self, read: Callable[[], Loaded]) -> bool:
        """Read the settings, and take what is about the log alone."""
        try:
            loaded = read()
            if loaded.settings.state.directory != self._loaded.settings.state.directory:
                raise SettingsInvalid(
                    "state.directory cannot change while the daemon runs.",
                    remedy="Restart the daemon for that; the old settings stay in force.",
                )
            _check_log_file(loaded.settings.log.file)
        except WatchmanError as error:
            trouble = error.trouble()
            self._events.config_rejected(self._loaded.path, trouble)
            self._tell_of_settings("config.rejected", trouble.cause, error=trouble)
            self._metrics.config_read(successful=False)
            return False
        before, self._loaded = self._loaded, loaded
        self._renew_log(before.settings)
        self._events.config_reloaded(loaded.path)
        self._tell_of_settings("config.reloaded", "")
        self._metrics.config_read(successful=True)
        if replace(loaded.settings, log=before.settings.log) == before.settings:
            return False
        self._former = before
        return True

    def _renew_log(self, before: Settings) -> None:
        """Write where and what the settings say now; their tokens are blanked out from now on."""
        settings = self._loaded.settings
        if settings.log == before.log and secrets_of(settings) == secrets_of(before):
            return
        old, self._log = self._log, self._open_log(settings)
        self._events.turn_to(self._log)
        self._log.listen(self._feed.publish, self._feed.wanted)
        old.close()

    def _open_log(self, settings: Settings) -> Log:
        _check_log_file(settings.log.file)
        return configure(
            format=settings.log.format,
            level=settings.log.level,
            file=settings.log.file,
            secrets=secrets_of(settings),
            count=self._metrics.count_log,
        )

    def _tell_of_settings(self, event: str, state: str, **data: object) -> None:
        """Have those told who want to be."""
        if self._telling is not None:
            level = "error" if data else "info"
            self._telling.noting.tell(Change(event, "settings", state, level, data))

    @property
    def _telling(self) -> Telling | None:
        running = self._view.running
        return None if running is None else running.telling

    def _readers(self) -> list[Callable[[Event], None]]:
        return [
            self._events.observe,
            self._metrics.observe,
            self._live.observe,
            self._audit.observe,
        ]

    def _tell(self, event: Event) -> None:
        for reader in self._readers():
            reader(event)
        if self._telling is not None:
            self._telling.noting.observe(event)


def _check_log_file(file: Path | None) -> None:
    """Refuse a log that nobody could read afterwards.

    Raises:
        SettingsInvalid: it cannot be opened for writing.
    """
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab"):
            pass
    except OSError as error:
        raise SettingsInvalid(
            f"log.file: {file} cannot be written: {error.strerror}.",
            remedy="Name another file, or none for standard error.",
        ) from error
