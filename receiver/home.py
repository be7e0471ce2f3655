"""Bring a home up and down: the registry of images, etcd, discovery, the receiver daemon; and back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from receiver import engine_opening, engines, serving
from receiver import settings as home_settings
from receiver.client import Client
from receiver.errors import ReceiverError
from receiver.images import registries
from receiver.ledger import Ledger
from receiver.nodes import fleets, reach
from receiver.paths import Home
from receiver.settings import EtcdSettings, Settings
from registry import discovery, etcd_server, node_images
from registry.endpoint import Endpoint
from registry.endpoint import Settings as StoreSettings
from registry.keys import Keys
from registry.opening import choose_api, open_store
from registry.processes import Detached, PidLock
from units.engine import Engine
from units.errors import UnitError
from units.job import Handle
from units.local.engine import check

Say = Callable[[str], None]
_HOOKS = ("pre-receive", "proc-receive", "post-receive")


def up(root: Path, engine: str | None, say: Say) -> None:
    """Start what is not running yet; what runs is left alone. An error says what stands in the way."""
    home = Home(root)
    _refuse_odd(root)
    settings = home_settings.load(home.settings)
    chosen = engines.choose(home, engine, settings.engine)
    if chosen == "local":
        check()
    if chosen in engines.ON_NODES:
        _refuse_v2(settings.etcd)
    _make_folders(home)
    with _nobody_else(home):
        beyond = reach.addresses(home, settings) if chosen in engines.ON_NODES else ()
        if chosen == "fleet":
            fleets.check(home, settings, say)
        if chosen in engines.OF_IMAGES:
            _have_containers(home, settings, say)
        engines.keep(home, chosen)
        _write_hooks(home)
        _have_etcd(home, settings.etcd, beyond, say)
        if beyond:
            _open_images(home, settings, beyond, say)
        if discovery.pid(root) is None:
            say(f"discovery started (pid {discovery.start(root, home.log / 'discovery.log')})")
        _have_daemon(home, say)
    say(_summary(Client(root).get("/status")))


def down(root: Path, say: Say) -> None:
    """Stop the receiver, what it runs, discovery and etcd. Services come back with the next `up`.

    Runs that cannot be stopped keep nothing else up: the error that names them comes last.
    """
    home = Home(root)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        say(line)

    if home.root.is_dir():
        settings = home_settings.load(home.settings)
        with _nobody_else(home):
            _stop(home, settings, tell)
    if not told:
        say("nap is not up")


def _stop(home: Home, settings: Settings, say: Say) -> None:
    """Each part that runs, with a line of it."""
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
    if etcd_server.pid(home.etcd):
        etcd_server.stop(home.etcd)
        say("etcd stopped")
    if node_images.pid(home.image_registry):
        node_images.stop(home.image_registry, _images_log(home))
        say("images for nodes stopped")
    registries.stop(home, say)


def _summary(status: Mapping[str, Any]) -> str:
    engine, etcd = status["engine"], status["etcd"]
    if "runtime" in status:
        engine += f" ({status['runtime']}, images in {status['registry']})"
    return f"nap is up: engine {engine}, etcd {etcd['url']} ({etcd['api']}), home {status['home']}"


def _refuse_odd(root: Path) -> None:
    """MPI's compilers and launchers hand paths to a shell, and cut them at commas, colons and spaces."""
    odd = dict.fromkeys(re.findall(r"[^\w/.+@%=#~^-]", str(root)))
    if odd:
        raise ReceiverError(
            f"{str(root)!r} cannot be nap's home: MPI's tools stumble over {' '.join(map(repr, odd))} in it",
            "set NAP_HOME to a folder without spaces and punctuation in its path",
        )


def _refuse_v2(settings: EtcdSettings) -> None:
    """The users that nodes need are the v3 API's: see `etcd_users`."""
    if settings.api == "v2" and not settings.url:
        sentence = "etcd.api is v2, and the etcd that nap starts speaks v3 alone to nodes"
        raise ReceiverError(sentence, "leave etcd.api out, or name an etcd of your own: etcd.url")


@contextlib.contextmanager
def _nobody_else(home: Home) -> Iterator[None]:
    """One `up` or `down` of a home at a time."""
    with contextlib.closing(PidLock(home.root / "up.lock")) as lock:
        lock.wait()
        lock.write(os.getpid())
        yield


def _make_folders(home: Home) -> None:
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.root.chmod(0o700)
        for folder in (home.log, home.hooks, home.repository("x").parent, home.stacks, home.buildpacks):
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ReceiverError(
            f"{home.root} cannot be written: {error.strerror}", "set NAP_HOME to a folder of your own"
        ) from error


def _write_hooks(home: Home) -> None:
    """Three scripts of two lines: which Python and which nap serve this home is decided here.

    Replaced in one step: to git an empty hook is one that agrees.
    """
    program = Path(__file__).with_name("hook.py")
    for name in _HOOKS:
        script = home.hooks / name
        command = shlex.join([sys.executable, "-I", "-S", str(program)])
        unfinished = script.with_suffix(".new")
        unfinished.write_text(f'#!/bin/sh\nexec {command} "$0"\n')
        unfinished.chmod(0o700)
        unfinished.replace(script)


def _have_etcd(home: Home, settings: EtcdSettings, beyond: tuple[str, ...], say: Say) -> None:
    """The settings of whichever etcd serves this home, in a file for every writer and reader.

    `beyond` is what nodes call this machine by, empty where there are none.
    """
    if settings.url:
        endpoint = Endpoint(
            settings.url, ca=settings.ca, cert=settings.cert, key=settings.key, user=settings.user,
            password=registries.secret("etcd.password_file", settings.password_file),
        )  # fmt: skip
    else:
        endpoint = etcd_server.start(home.etcd, say, settings.port, beyond)
    endpoint = choose_api(endpoint) if settings.api == "auto" else replace(endpoint, api=settings.api)
    open_store(endpoint).ping()
    StoreSettings(endpoint, Keys(home.id), settings.timing).save(home.etcd_settings)


def _have_containers(home: Home, settings: Settings, say: Say) -> None:
    """A registry that answers, and a runtime that does; the rest of the home waits for them."""
    registries.have(home, settings.registry, say)
    registries.runtime(home, settings)


def _open_images(home: Home, settings: Settings, beyond: tuple[str, ...], say: Say) -> None:
    """What is in nap's own registry, for nodes."""
    if not settings.registry.url:
        from registry import certificates

        files = certificates.ensure(home.etcd / etcd_server.CERTIFICATES, beyond)
        node_images.start(home.image_registry, _images_log(home), files, beyond, say)


def _images_log(home: Home) -> Path:
    return home.log / "node-images.log"


def _daemon(home: Home) -> Detached:
    return Detached("the receiver", home.lock, home.log / "daemon.log")


def _settings_digest(home: Home) -> str:
    """Of all that a daemon reads once, when it starts."""
    logins = (home.logins / "config.json", home.logins / "certs" / "ca.crt")
    read = (home.settings, home.etcd_settings, home.engine, *logins)
    there = {str(path): path.read_bytes() for path in read if path.exists()}
    return hashlib.sha256(repr(there).encode()).hexdigest()


def _have_daemon(home: Home, say: Say) -> None:
    """The one that runs, if it has read the settings that hold now."""
    process, digest = _daemon(home), _settings_digest(home)
    if process.pid() and not (home.settings_read.exists() and home.settings_read.read_text() == digest):
        process.stop()
        say("receiver stopped: its settings have changed")
    with process.closed_door() as lock:
        if not lock.take():
            return
        home.settings_read.write_text(digest)
        pid = process.launch((sys.executable, "-m", "receiver.daemon", str(home.root)), _environment(), lock)
    say(f"receiver started (pid {pid})")


def _environment() -> dict[str, str]:
    """Ours, where nap's packages are found also when they are not installed.

    Without git's variables: in a hook or an alias these name a repository, where the daemon's git would go.
    And without nap's own Python on PATH, which a shell that has it activated would hand to all programs.
    """
    here = str(Path(__file__).resolve().parent.parent)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = os.pathsep.join(folder for folder in os.get_exec_path() if not _is_own(folder))
    return {**ours, "PATH": path, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}


def _is_own(folder: str) -> bool:
    """Whether it is the bin/ of the virtual environment that nap itself is in."""
    return sys.prefix != sys.base_prefix and Path(folder) == Path(sys.prefix) / "bin"


def _stop_runs(home: Home, settings: Settings, say: Say) -> None:
    """End what runs. The next daemon records how; a service it starts again.

    ReceiverError, once all others have ended, when some cannot be stopped.
    """
    if not home.ledger.exists():
        return
    ledger = Ledger(home.ledger)
    unfinished = ledger.unfinished()
    ledger.close()
    if not unfinished:
        return
    engine = engine_opening.opened(home, settings)
    left = []
    for run in unfinished:
        name, handle = f"{run.app} run {run.number}", Handle(home.run(run.app, run.number))
        try:
            _stop_run(engine, name, handle, say)
        except (UnitError, OSError) as error:
            say(f"{name} could not be stopped: {error}")
            left.append(name)
    if left:
        sentence = f"not everything that ran could be stopped: {', '.join(left)}"
        raise ReceiverError(sentence, "nap up takes it up again; nap cancel then tries once more")


def _stop_run(engine: Engine, name: str, handle: Handle, say: Say) -> None:
    if engine.running(handle):
        engine.stop(handle, serving.WENT_DOWN)
        say(f"stopped {name}")
        for line in handle.remarked:
            say(line)
    if engine.has_ended(handle):
        with contextlib.suppress(UnitError):
            engine.results(handle)
