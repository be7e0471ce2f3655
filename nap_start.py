"""Start a nap process: `python -I -S -X utf8 nap_start.py MODULE ARGUMENT...` calls the module's `main`.

Modules are searched in the standard library, then in nap's own folder, then in the site-packages nap is
installed in; never in the current folder, PYTHONPATH or the user site. So a stray random.py is not imported,
and another `units` package does not shadow nap's. For the same reason this file's name is specific to nap.
"""

from __future__ import annotations

import os
import sys

# Only the standard library (-I -S), and UTF-8 text and file names in any locale (-X utf8).
BARE = (sys.executable, "-I", "-S", "-X", "utf8")


def argv(module: str, *arguments: str) -> list[str]:
    """Return the command line of a nap process that calls `main` of `module`."""
    return [*BARE, os.path.abspath(__file__), module, *arguments]


def main() -> None:
    """Run the `nap` command."""
    again("receiver.__main__")


def again(module: str) -> None:
    """Replace this process, whose import path is unknown, by a nap process that runs `module`."""
    os.execv(sys.executable, argv(module, *sys.argv[1:]))


def _start(module: str, *arguments: str) -> None:
    # Before site.main(), which appends site-packages: nap's own modules are found first.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import site

    site.main()
    from importlib import import_module

    sys.argv = [module, *arguments]
    sys.exit(import_module(module).main())


if __name__ == "__main__":
    _start(*sys.argv[1:])
