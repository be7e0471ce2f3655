"""Brings a home up and down: image registry, etcd, discovery and receiver daemon."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nap_start
from receiver import engine_choice, installed
from receiver.builds import image_registry
from receiver.client import Client
from receiver.daemon import limits, state
from receiver.errors import ReceiverError
from receiver.home import folder as home_folder
from receiver.home import settings as home_settings
from receiver.home.paths import Home
from receiver.home.settings import EtcdSettings, Settings
from receiver.ledger.ledger import in_progress
from receiver.nodes import reach
from receiver.push import hook_scripts, preflight
from receiver.runs import cleanup, services
from receiver.runs.cleanup import PendingCleanup
from registry.discovery import daemon as discovery
from registry.etcd import program as etcd_program
from registry.etcd import server as etcd_server
from registry.etcd.endpoint import Endpoint, StoreSettings
from registry.etcd.open import choose_api, open_store
from registry.images import mirror as image_mirror
from registry.keys import Keys
from registry.node_proxy import proxy as node_proxy
from registry.processes import Detached, PidLock
from units.engine import Engine
from units.errors import UnitError
from units.job import Handle

Say = Callable[[str], None]
_OTHER = "it was started from other files than these"


@contextlib.contextmanager
def _private() -> Iterator[None]:
    """Create files inside the context for their owner only, independent of the user's umask."""
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)


@_private()
def up(root: Path, engine: str | None, say: Say) -> None:
    """Start the parts that are not running, and restart those that were started from other files than these.

    Runs continue. Raise the error of the part that prevents the start.
    """
    home = Home(root)
    home_folder.refuse_odd(root)
    home_folder.refuse_anothers(root)
    settings = home_settings.load(home.settings)
    limits.take(own_etcd=not settings.etcd.url)
    chosen = engine_choice.choose(home, engine, settings.engine)
    chosen.check_machine()
    home_folder.make(home)
    with _nobody_else(home):
        preflight.check(home)
        beyond = reach.addresses(home, settings) if chosen.engine.on_nodes else ()
        chosen.prepare(home, settings, say)
        engine_choice.keep(home, chosen.engine.name)
        hook_scripts.write(home)
        endpoint = _have_etcd(home, settings.etcd, say)
        if beyond:
            _open_for_nodes(home, settings, endpoint, beyond, say)
        _have_discovery(home, say)
        _have_daemon(home, say)
    say(_summary(Client(root).get("/status")))


def down(root: Path, say: Say) -> None:
    """Stop the receiver, its runs, discovery and etcd. Services come back with the next `up`.

    If runs cannot be stopped, everything else is stopped before the ReceiverError that names them.
    """
    home = Home(root)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        say(line)

    home_folder.refuse_anothers(root)
    if home.root.is_dir():
        settings = home_settings.load(home.settings)
        with _nobody_else(home):
            _stop(home, settings, tell)
    if not told:
        say("nap is not up")


def _stop(home: Home, settings: Settings, say: Say) -> None:
    """Stop each part that is running, and report it in a line.

    The receiver goes first: it would start queued runs when others end.
    """
    if _daemon(home).pid():
        _daemon(home).stop()
        say("receiver stopped")
    try:
        _stop_runs(home, settings, say)
    finally:
        _stop_servers(home, say)


def _stop_servers(home: Home, say: Say) -> None:
    if discovery.pid(home.root):
        discovery.stop(home.root)
        say("discovery stopped")
    if node_proxy.pid(home.root):
        node_proxy.stop(home.root)
        say("what nodes announce at stopped")
    if etcd_server.pid(home.etcd):
        etcd_server.stop(home.etcd)
        say("etcd stopped")
    if image_mirror.pid(home.image_registry):
        image_mirror.stop(home.image_registry, _images_log(home))
        say("images for nodes stopped")
    image_registry.stop(home, say)


def _summary(status: Mapping[str, Any]) -> str:
    engine, etcd = status["engine"], status["etcd"]
    if "runtime" in status:
        engine += f" ({status['runtime']}, images in {status['registry']})"
    return f"nap is up: engine {engine}, etcd {etcd['url']} ({etcd['api']}), home {status['home']}"


@contextlib.contextmanager
def _nobody_else(home: Home) -> Iterator[None]:
    """Hold the lock that allows one `up` or `down` of a home at a time."""
    with contextlib.closing(PidLock(home.root / "up.lock")) as lock:
        lock.wait()
        lock.write(os.getpid())
        yield


def _have_etcd(home: Home, settings: EtcdSettings, say: Say) -> Endpoint:
    """Start etcd, or use the configured one. Save its endpoint in a file for all processes, and return it."""
    if settings.url:
        endpoint = Endpoint(
            settings.url, ca=settings.ca, cert=settings.cert, key=settings.key, user=settings.user,
            password=image_registry.secret("etcd.password_file", settings.password_file),
        )  # fmt: skip
    else:
        before = etcd_server.authority(home.etcd)
        endpoint = etcd_server.start(home.etcd, say, settings.port)
        if before != etcd_server.authority(home.etcd) and discovery.pid(home.root):
            discovery.stop(home.root)  # it trusts the old certificate authority only
    endpoint = choose_api(endpoint) if settings.api == "auto" else replace(endpoint, api=settings.api)
    open_store(endpoint).ping()
    StoreSettings(endpoint, Keys(home.id), settings.timing).save(home.etcd_settings)
    return endpoint


def _open_for_nodes(
    home: Home, settings: Settings, endpoint: Endpoint, beyond: tuple[str, ...], say: Say
) -> None:
    """Start the announcement proxy and the image mirror for nodes, unless etcd or the registry is external.

    `beyond` has the addresses at which nodes reach this machine.
    """
    from registry import certificates

    files = certificates.ensure(home.etcd / etcd_server.CERTIFICATES, beyond)
    if settings.etcd.url:
        node_proxy.stop(home.root)
    else:
        node_proxy.start(home.root, beyond, say, settings.etcd.nodes.port, installed.version())
    _say_what_is_known(endpoint, bool(settings.etcd.url), say)
    if not settings.registry.url:
        image_mirror.start(home.image_registry, _images_log(home), files, beyond, say)


def _say_what_is_known(endpoint: Endpoint, others: bool, say: Say) -> None:
    """Report known holes in etcd's user permissions. Nodes are users of an external etcd (`others`)."""
    version = etcd_program.version_at(endpoint)
    known = etcd_program.known_against(version) if version else ""
    if known and version:
        what = "a node can get around its rights there" if others else "nodes do not reach it themselves"
        say(f"the rights of users have holes in etcd {etcd_program.text(version)} ({known}): {what}")


def _images_log(home: Home) -> Path:
    return home.log / "node-images.log"


def _have_discovery(home: Home, say: Say) -> None:
    before = discovery.pid(home.root)
    pid = discovery.start(home.root, home.log / "discovery.log", installed.version())
    if before and pid != before:
        say(f"discovery stopped: {_OTHER}")
    if pid != before:
        say(f"discovery started (pid {pid})")


def _daemon(home: Home) -> Detached:
    return Detached("the receiver", home.lock, home.log / "daemon.log")


def _have_daemon(home: Home, say: Say) -> None:
    """Start the daemon. Keep a running one if it has this version, its sockets and the current settings."""
    process, digest = _daemon(home), state.digest(home)
    if process.stop_other(installed.version()):
        say(f"receiver stopped: {_OTHER}")
    if process.pid() and not state.has_sockets(home):
        process.stop()
        say("receiver stopped: its sockets were gone")
    if process.pid() and not state.has_read(home, digest):
        process.stop()
        say("receiver stopped: its settings have changed")
    with process.closed_door() as lock:
        if not lock.take():
            return
        home.settings_read.write_text(digest)
        command = nap_start.argv("receiver.daemon.main", str(home.root))
        pid = process.launch(command, _environment(), lock, version=installed.version())
    say(f"receiver started (pid {pid})")


def _environment() -> dict[str, str]:
    """Return this process's environment for the daemon, without variables meant for other programs.

    GIT_* of a hook or an alias would direct the daemon's git to another repository. PYTHON* are meant for the
    user's own programs. The `bin` of nap's virtual environment in PATH would reach all programs of runs.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTHON"))}
    path = os.pathsep.join(folder for folder in os.get_exec_path() if not _is_own(folder))
    return {**ours, "PATH": path}


def _is_own(folder: str) -> bool:
    """Return whether the folder is the bin/ of nap's own virtual environment."""
    return sys.prefix != sys.base_prefix and Path(folder) == Path(sys.prefix) / "bin"


def _stop_runs(home: Home, settings: Settings, say: Say) -> None:
    """End all runs and clean up. The next daemon records their ends, and starts services again.

    Raise ReceiverError, after all others have ended, when some cannot be stopped.
    """
    unfinished = in_progress(home.ledger)
    if not unfinished and not any(home.owed.glob(f"*{cleanup.RECORD}")):
        return
    engine = engine_choice.of(home).open(home, settings)
    try:
        _stop_each(home, engine, unfinished, say)
    finally:
        _clean_up(home, engine, say)


def _stop_each(home: Home, engine: Engine, unfinished: list[tuple[str, int]], say: Say) -> None:
    left = []
    for app, number in unfinished:
        name, handle = f"{app} run {number}", Handle(home.run(app, number))
        try:
            _stop_run(engine, name, handle, say)
        except (UnitError, OSError) as error:
            say(f"{name} could not be stopped: {error}")
            left.append(name)
    if left:
        sentence = f"not everything that ran could be stopped: {', '.join(left)}"
        raise ReceiverError(sentence, "nap up takes it up again; nap cancel then tries once more")


def _clean_up(home: Home, engine: Engine, say: Say) -> None:
    """Remove the remains of runs that have ended, and nothing of runs that continue."""
    pending = PendingCleanup(home, engine)
    ended = [key for key in pending.recorded() if not engine.running(Handle(home.run(*key)))]
    pending.run_each(ended, say)


def _stop_run(engine: Engine, name: str, handle: Handle, say: Say) -> None:
    if engine.running(handle):
        engine.stop(handle, services.WENT_DOWN)
        say(f"stopped {name}")
        for line in handle.remarked:
            say(line)
    if engine.has_ended(handle):
        with contextlib.suppress(UnitError):
            engine.results(handle)
