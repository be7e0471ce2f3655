"""Checks the folder of a home, and creates it."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from receiver.errors import ReceiverError
from receiver.home.paths import Home


def refuse_odd(root: Path) -> None:
    """Raise ReceiverError when the home's path has characters that MPI's tools cannot handle.

    MPI's compilers and launchers pass paths to a shell, and split them at commas, colons and spaces.
    """
    odd = dict.fromkeys(re.findall(r"[^\w/.+@%=#~^-]", str(root)))
    if odd:
        raise ReceiverError(
            f"{str(root)!r} cannot be nap's home: MPI's tools stumble over {' '.join(map(repr, odd))} in it",
            "set NAP_HOME to a folder without spaces and punctuation in its path",
        )


def refuse_anothers(root: Path) -> None:
    """Raise ReceiverError when the home belongs to another user.

    For a new home, root also needs to own the nearest existing parent. Root can write anywhere, but its files
    would lock other users out of their own home.
    """
    nearest = next(folder for folder in (root, *root.parents) if os.path.lexists(folder))
    try:
        owner, own = nearest.stat().st_uid, os.geteuid()
    except OSError:
        return
    if owner == own or (nearest != root and (own or not owner)):
        return
    name = _name(owner)
    raise ReceiverError(
        f"{nearest} belongs to {name}, and this is {_name(own)}",
        f"as {name}: nap up; or set NAP_HOME to a folder of {_name(own)}'s own",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def make(home: Home) -> None:
    """Create the home, readable by its owner alone, and its folders. ReceiverError when that fails."""
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.root.chmod(0o700)
        for folder in (home.log, home.hooks, home.repository("x").parent, home.stacks, home.buildpacks):
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ReceiverError(
            f"{home.root} cannot be written: {error.strerror}", "set NAP_HOME to a folder of your own"
        ) from error
