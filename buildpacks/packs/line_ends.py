"""Find scripts with Windows line ends, which do not start: the kernel looks for `/bin/sh\\r`."""

import re
from pathlib import Path

from buildpacks.errors import BuildpackError

_WORD = re.compile(r"[\w./+-]+")
_SHELL = re.compile(rb"#!.*sh\s")
_CONVERTS = ("dos2unix", "\\r")
_LONGEST_LINE = 256


def refuse(tree: Path, text: str) -> None:
    """Raise BuildpackError when a shell text names a CRLF script of `tree` without converting it."""
    if name := find(tree, text):
        raise BuildpackError(f"{name} has Windows line ends (CRLF), which no shell takes", hint(name))


def find(tree: Path, text: str) -> str:
    """Return the first script with CRLF line ends that a shell text names, or ""."""
    if any(word in text for word in _CONVERTS):
        return ""
    words = [word.removeprefix("./") for word in _WORD.findall(text)]
    return next((word for word in words if has_crlf(tree, word, is_first=word == words[0])), "")


def has_crlf(folder: Path, name: str, is_first: bool) -> bool:
    """Return whether a file of `folder` cannot be run because of its line ends.

    Interpreters other than shells accept CRLF in a file that they get as an argument (not `is_first`).
    """
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        return False
    with file.open("rb") as script:
        line = script.readline(_LONGEST_LINE)
    if not line.endswith(b"\r\n"):
        return False
    return bool(_SHELL.match(line)) or file.suffix == ".sh" or (is_first and line.startswith(b"#!"))


def hint(name: str) -> str:
    """Return the commands that convert the line ends and keep git from restoring them."""
    return f"sed -i 's/\\r$//' {name}; and for git: echo '{Path(name).name} text eol=lf' >> .gitattributes"
