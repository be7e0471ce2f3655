"""Convert a unit file to the form of fleet's API: a list of options with section, name and value."""

from __future__ import annotations

from units.job import UnitFile

Option = dict[str, str]


def options(unit: UnitFile) -> list[Option]:
    """Return the options in order. A value over several lines keeps its breaks: fleet writes it as it is."""
    found: list[Option] = []
    section, goes_on = "", False
    for line in unit.content.split("\n"):
        if goes_on:
            found[-1]["value"] += f"\n{line}"
        elif line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;":
            name, _, value = line.partition("=")
            found.append({"section": section, "name": name, "value": value})
        else:
            continue
        goes_on = line.endswith("\\")
    return found
