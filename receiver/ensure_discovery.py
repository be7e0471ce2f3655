"""Discovery publishes live slaves in etcd. Code that depends on it restarts it when it has died."""

from __future__ import annotations

from receiver import installed
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.text.output import Say
from registry.discovery import daemon as discovery
from registry.errors import RegistryError


def ensure(home: Home, say: Say) -> None:
    """Start discovery again when it has died, and report that. Raise ReceiverError when it does not come up.

    Runners announce their slaves to the new process on their own.
    """
    if discovery.pid(home.root) is not None:
        return
    log = home.log / "discovery.log"
    try:
        pid = discovery.start(home.root, log, installed.version())
    except (RegistryError, OSError) as error:
        reason = getattr(error, "message", str(error))
        sentence = f"discovery, which tells that slaves are up, is dead and cannot be started: {reason}"
        raise ReceiverError(sentence, f"on the receiver, see {log}, then: nap up") from error
    say(f"-----> discovery had died: it is up again (pid {pid})")
