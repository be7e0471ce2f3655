"""Run one command in its own capsule: `enter.py KIND HOME WRITABLE... -- READABLE... -- ARGV...`.

An enclosure of that KIND starts this file. The command starts in the first of all folders.
"""

from __future__ import annotations

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from units.capsule import inside, namespaces

_NOT_EXECUTED = 125


def main(arguments: list[str]) -> None:
    kind, home, *writable = arguments[: arguments.index("--")]
    rest = arguments[arguments.index("--") + 1 :]
    split = rest.index("--")
    readable, argv = rest[:split], rest[split + 1 :]
    inside.of_kind(kind).arrange(home, writable, readable)
    os.chdir((writable or readable)[0])
    namespaces.drop_privileges()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, os.fsencode(f"{argv[0]}: {error.strerror}\n"))
        sys.exit(_NOT_EXECUTED)


if __name__ == "__main__":
    main(sys.argv[1:])
