"""Ask a machine's tools about themselves, and keep the answers on disk until one of the tools changes."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Answer = dict[str, str]

_SECONDS = 20


def output(argv: Sequence[str]) -> str:
    """Return a command's stdout and stderr together; "" when it cannot be run or takes over 20 seconds."""
    try:
        answer = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", "replace")


def which(*tools: str) -> dict[str, Path]:
    """Return the paths of those `tools` that are on PATH."""
    found = ((tool, shutil.which(tool)) for tool in tools)
    return {tool: Path(path) for tool, path in found if path}


def identity(path: Path) -> str:
    """Return a text that changes when the file behind `path` is replaced or modified."""
    real = path.resolve()
    return f"{real} {real.stat().st_mtime_ns}"


def remembered(memory: Path, tools: Mapping[str, Path], ask: Callable[[], Answer]) -> Answer:
    """Return the answer kept in the file `memory` for exactly these tools, else the answer of `ask`."""
    seen = {name: f"{path} {identity(path)}" for name, path in tools.items()}
    try:
        kept = json.loads(memory.read_bytes())
        if kept["seen"] == seen:
            return {str(name): str(value) for name, value in kept["answer"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # nothing kept, or in another version's form: ask
    answer = ask()
    _keep(memory, json.dumps({"seen": seen, "answer": answer}))
    return answer


def _keep(memory: Path, text: str) -> None:
    # Several processes can write at once: each renames a complete file of its own into place.
    memory.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=memory.parent, prefix=f".{memory.name}-")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(new).replace(memory)
