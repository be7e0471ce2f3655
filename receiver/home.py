"""Bring a home up and down: etcd, the node's discovery, the receiver daemon; in that order, and back."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from receiver import serving
from receiver import settings as home_settings
from receiver.client import Client
from receiver.errors import ReceiverError
from receiver.ledger import Ledger
from receiver.paths import Home
from receiver.settings import EtcdSettings
from registry import discovery, etcd_server
from registry.endpoint import Endpoint, Secret
from registry.endpoint import Settings as StoreSettings
from registry.errors import RegistryError
from registry.keys import Keys
from registry.opening import choose_api, open_store
from registry.processes import Detached, PidLock
from units.job import Handle
from units.launching import Machine
from units.local.engine import LocalEngine, check

Say = Callable[[str], None]
_HOOKS = ("pre-receive", "proc-receive", "post-receive")


def up(root: Path, engine: str | None, say: Say) -> None:
    """Start what is not running yet; what runs is left alone. An error says what stands in the way."""
    home = Home(root)
    _refuse_odd(root)
    settings = home_settings.load(home.settings)
    if (engine or settings.engine) != "local":
        raise ReceiverError(f"there is no engine {engine or settings.engine!r}", "nap up --engine local")
    check()
    _make_folders(home)
    with _nobody_else(home):
        _write_hooks(home)
        _have_etcd(home, settings.etcd, say)
        if discovery.pid(root) is None:
            say(f"discovery started (pid {discovery.start(root, home.log / 'discovery.log')})")
        _have_daemon(home, say)
    status = Client(root).get("/status")
    etcd = status["etcd"]
    say(f"nap is up: engine {status['engine']}, etcd {etcd['url']} ({etcd['api']}), home {root}")


def down(root: Path, say: Say) -> None:
    """Stop the receiver, what it runs, discovery and etcd. Services come back with the next `up`."""
    home = Home(root)
    if not home.root.is_dir():
        return
    with _nobody_else(home):
        if _daemon(home).pid():
            _daemon(home).stop()
            say("receiver stopped")
        _stop_runs(home, say)
        if discovery.pid(root):
            discovery.stop(root)
            say("discovery stopped")
        if etcd_server.pid(home.etcd):
            etcd_server.stop(home.etcd)
            say("etcd stopped")


def _refuse_odd(root: Path) -> None:
    """MPI's compilers and launchers hand paths to a shell, and cut them at commas, colons and spaces."""
    odd = dict.fromkeys(re.findall(r"[^\w/.+@%=#~^-]", str(root)))
    if odd:
        raise ReceiverError(
            f"{str(root)!r} cannot be nap's home: MPI's tools stumble over {' '.join(map(repr, odd))} in it",
            "set NAP_HOME to a folder without spaces and punctuation in its path",
        )


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


def _have_etcd(home: Home, settings: EtcdSettings, say: Say) -> None:
    """The settings of whichever etcd serves this home, in a file for every writer and reader."""
    if settings.url:
        endpoint = Endpoint(
            settings.url, ca=settings.ca, cert=settings.cert, key=settings.key, user=settings.user,
            password=_password(settings.password_file),
        )  # fmt: skip
    else:
        endpoint = etcd_server.start(home.etcd, say, settings.port)
    endpoint = choose_api(endpoint) if settings.api == "auto" else replace(endpoint, api=settings.api)
    open_store(endpoint).ping()
    _keep(StoreSettings(endpoint, Keys(home.id), settings.timing), home.etcd_settings)


def _keep(settings: StoreSettings, path: Path) -> None:
    """Write the file anew only when it says something else: see `_is_outdated`."""
    with contextlib.suppress(RegistryError):
        if StoreSettings.load(path) == settings:
            return
    settings.save(path)


def _password(file: str) -> Secret:
    if not file:
        return Secret()
    try:
        return Secret(Path(file).read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ReceiverError(
            f"etcd's password cannot be read from {file}", "see etcd.password_file in the settings"
        ) from error


def _daemon(home: Home) -> Detached:
    return Detached("the receiver", home.lock, home.log / "daemon.log")


def _is_outdated(home: Home) -> bool:
    """Whether the daemon, whose lock was written when it started, has read settings that are no more."""
    read = [path for path in (home.settings, home.etcd_settings) if path.exists()]
    return home.lock.exists() and any(
        path.stat().st_mtime_ns > home.lock.stat().st_mtime_ns for path in read
    )  # fmt: skip


def _have_daemon(home: Home, say: Say) -> None:
    process = _daemon(home)
    if _is_outdated(home) and process.pid():
        process.stop()
        say("receiver stopped: its settings have changed")
    with process.closed_door() as lock:
        if not lock.take():
            return
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


def _stop_runs(home: Home, say: Say) -> None:
    """End what runs. The next daemon records how; a service it starts again."""
    if not home.ledger.exists():
        return
    engine, ledger = LocalEngine(home.root, Machine.here()), Ledger(home.ledger)
    for run in ledger.unfinished():
        handle = Handle(home.run(run.app, run.number))
        if engine.running(handle):
            engine.stop(handle, serving.WENT_DOWN)
            say(f"stopped {run.app} run {run.number}")
    ledger.close()
