"""Scripts with the line ends of Windows, which no shell takes: the kernel looks for `/bin/sh\\r`."""

import re
from pathlib import Path

from buildpacks.errors import BuildpackError

_WORD = re.compile(r"[\w./+-]+")
_SHELL = re.compile(rb"#!.*sh\s")
_CONVERTS = ("dos2unix", "\\r")
_LONGEST_LINE = 256


def refuse(tree: Path, text: str) -> None:
    """Raise BuildpackError for a script of `tree` that the shell text `text` names, unless it converts it."""
    if name := find(tree, text):
        raise BuildpackError(f"{name} has Windows line ends (CRLF), which no shell takes", hint(name))


def find(tree: Path, text: str) -> str:
    """The first script with such line ends that a shell text names; "" for none."""
    if any(word in text for word in _CONVERTS):
        return ""
    words = [word.removeprefix("./") for word in _WORD.findall(text)]
    return next((word for word in words if has_crlf(tree, word, is_first=word == words[0])), "")


def has_crlf(folder: Path, name: str, is_first: bool) -> bool:
    """Whether a file of `folder` cannot be run for its line ends.

    Other interpreters than shells take them in a file that they are given, as a word that is not the first.
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
    """How they are changed, and stay so."""
    return f"sed -i 's/\\r$//' {name}; and for git: echo '{Path(name).name} text eol=lf' >> .gitattributes"
