"""Start a process of nap: `python -I -S -X utf8 nap_start.py MODULE ARGUMENT...` calls the module's `main`.

Modules come from the standard library, then from where nap is, then from the site that nap is installed
in; never from the current folder, PYTHONPATH or the user's own site. So nobody's random.py is imported,
and nobody's package `units` is found before nap's. The name of this file is nap's alone for that reason.
"""

from __future__ import annotations

import os
import sys

# The standard library alone, whatever the locale says about text and file names.
BARE = (sys.executable, "-I", "-S", "-X", "utf8")


def argv(module: str, *arguments: str) -> list[str]:
    """The command line of a process of nap."""
    return [*BARE, os.path.abspath(__file__), module, *arguments]


def main() -> None:
    """The `nap` command."""
    again("receiver.__main__")


def again(module: str) -> None:
    """Go on as a process of nap: what this one was told to import from is not known."""
    os.execv(sys.executable, argv(module, *sys.argv[1:]))


def _start(module: str, *arguments: str) -> None:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import site

    site.main()
    from importlib import import_module

    sys.argv = [module, *arguments]
    sys.exit(import_module(module).main())


if __name__ == "__main__":
    _start(*sys.argv[1:])
