"""Check that the first command of a user's shell text exists, before the text is run."""

import difflib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import sources
from buildpacks.packs import line_ends, program
from buildpacks.plan import Plan

Finds = Callable[[str], bool]
"""Returns whether a stack has a command, given by its name on PATH or by an absolute path."""

_FIRST = re.compile(r"(?:\w+=\S*\s+)*([\w./+-]+)(?=[\s;|&<>]|$)")
# The shell's own words, and the commands of every stack: these are not checked.
_KNOWN = {
    ".", ":", "alias", "break", "case", "cd", "command", "continue", "eval", "exec", "exit", "export",
    "for", "if", "local", "printf", "pwd", "read", "return", "set", "shift", "test", "times", "trap",
    "true", "false", "type", "ulimit", "umask", "unset", "until", "wait", "while", "echo", "kill",
    "mpirun", "mpiexec", "sh", "bash", "env", "cat", "cp", "ls", "mkdir", "mv", "rm", "sleep", "seq",
    "hostname", "date", "grep", "sed", "sort", "tee", "uname", "head", "tail", "wc", "timeout", "nice",
    "touch", "chmod", "expr", "id", "dirname", "basename", "ln",
}  # fmt: skip


def on_path(path: str) -> Finds:
    """Return a `Finds` for this machine that searches `path`, a PATH value."""
    return lambda command: shutil.which(command, path=path) is not None


def check(plan: Plan, tree: Path, finds: Finds) -> None:
    """Raise BuildpackError when a program, script or process of the built `tree` could not start."""
    manifest = plan.manifest
    if manifest and not manifest.run:
        line_ends.refuse(tree, program.name_of(manifest))
    if manifest and manifest.run:
        _check("mpi.xml: `run`", manifest.run, plan, tree, finds)
    for process in plan.processes:
        _check(f"{plan.run_by}: `{process.name}`", process.command, plan, tree, finds)


def _check(where: str, text: str, plan: Plan, tree: Path, finds: Finds) -> None:
    """Raise BuildpackError when `text` cannot start. A folder pack can extend PATH: its commands pass."""
    line_ends.refuse(tree, text)
    word = first(text)
    if plan.pack or _starts(word, plan.manifest is not None, tree, finds):
        return
    sentence = f"{where} starts with {word}, which is neither in the tree nor on PATH"
    raise BuildpackError(sentence, _instead(tree, word))


def first(text: str) -> str:
    """Return the name of a shell text's first command; "" when only a shell can determine it."""
    found = _FIRST.match(text.lstrip())
    return found[1] if found else ""


def _starts(word: str, is_script: bool, tree: Path, finds: Finds) -> bool:
    """Return whether `word` can start. Only a script can name a file of the tree without `./`."""
    if not word or word in _KNOWN or ".." in word:
        return True
    if (is_script or "/" in word) and (tree / word).is_file():
        return True
    return finds(word) if "/" not in word or word.startswith("/") else False


def _instead(tree: Path, word: str) -> str:
    names = sources.names(tree)
    near = [word] if word in names else difflib.get_close_matches(word, names, n=1)
    if near:
        return f"Did you mean ./{near[0]}?"
    return "Was it added with `git add`? What a stack has not got is named in `packages:` of mpi.xml."
