"""The scripts that git runs on a push: they start `receiver/push/hook.py`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from receiver.home.paths import Home

_HOOKS = ("pre-receive", "proc-receive", "post-receive")
# Both files are missing when the virtual environment was moved or removed.
_HOOK = """\
#!/bin/sh
if [ ! -x {python} ] || [ ! -r {program} ]; then
    echo "nap: nap is not where it was when it was brought up, so this push was refused:" {python} >&2
    echo "  hint: on the receiver, from where nap is now: nap up" >&2
    exit 1
fi
exec {python} -I -S {program} "$0"
"""


def write(home: Home) -> None:
    """Write the three hook scripts. They name the Python and the nap that serve this home.

    Each is replaced atomically: git would run a half-written script, and an empty one accepts the push.
    """
    program = str(Path(__file__).with_name("hook.py"))
    words = {name: shlex.quote(word) for name, word in (("python", sys.executable), ("program", program))}
    for name in _HOOKS:
        script = home.hooks / name
        unfinished = script.with_suffix(".new")
        unfinished.write_text(_HOOK.format(**words))
        unfinished.chmod(0o700)
        unfinished.replace(script)
