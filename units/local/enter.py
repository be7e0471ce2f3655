"""Run one command in a capsule of its own: `enter.py HOME FOLDER READ_ONLY... -- ARGV...`.

Started by `engine.capsule_argv` under `unshare`; FOLDER becomes the working directory.
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from units.local import capsule, namespaces


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    home, folder, *read_only = arguments[:split]
    argv = arguments[split + 1 :]
    capsule.arrange(home, [folder], read_only)
    os.chdir(folder)
    namespaces.drop_privileges()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
