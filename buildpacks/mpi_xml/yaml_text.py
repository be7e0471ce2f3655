"""A reader of plain YAML that keeps every scalar as the text that was written.

So `no`, `010` and `1e9` stay what the user typed, and the reader of each key interprets them. Anchors,
aliases and tags are refused, which rules out expansion bombs and loops. Duplicate keys are refused too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml.values import Raw

_DEEPEST = 2


@dataclass(frozen=True)
class Entry:
    """A key's value and the number of the key's line (from 1)."""

    value: Raw
    line: int


@dataclass
class _Open:
    """A list or mapping that is being read.

    The items of a mapping are its keys and values in turn. `lines` starts with the collection's own line,
    followed by the line of each item.
    """

    mapping: bool
    items: list[str | tuple[str, ...] | dict[str, str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read(text: str, name: str) -> dict[str, Entry]:
    """Return the `key: value` lines of `text`, a file that errors call `name`.

    Raises:
        BuildpackError: it is not a mapping of plain values, lists and blocks one level deep.
    """
    try:
        return _document(yaml.parse(text, Loader=yaml.SafeLoader), name)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BuildpackError(
            f"{name}, line {line}: there is a character that text files don't have",
            "Save it as plain UTF-8 text.",
        ) from None
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error, text, name) from None


def _document(events: Iterator[yaml.Event], name: str) -> dict[str, Entry]:
    stack: list[_Open] = []
    entries: dict[str, Entry] | None = None
    for event in events:
        _refuse_references(event, name)
        if isinstance(event, yaml.DocumentStartEvent) and entries is not None:
            raise BuildpackError(
                f"{name}, line {_line(event)}: a second document starts here (`---`)",
                "Keep one block of `key: value` lines.",
            )
        if isinstance(event, yaml.CollectionStartEvent):
            _check_depth(stack, event, name)
            stack.append(_Open(isinstance(event, yaml.MappingStartEvent), lines=[_line(event)]))
        elif isinstance(event, yaml.ScalarEvent):
            if not stack:
                raise _not_lines(event, name)
            _add(stack[-1], event.value, _line(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = stack.pop()
            if not stack:
                entries = _entries(closed, name)
            else:
                _add(stack[-1], _value(closed, name), closed.lines[0])
    return entries or {}


def _add(parent: _Open, value: str | tuple[str, ...] | dict[str, str], line: int) -> None:
    parent.items.append(value)
    parent.lines.append(line)


def _check_depth(stack: list[_Open], event: yaml.Event, name: str) -> None:
    line = _line(event)
    if not stack and isinstance(event, yaml.SequenceStartEvent):
        raise BuildpackError(
            f"{name}, line {line}: it is a list, not `key: value` lines",
            "Write the keys without dashes or brackets before them: `from: hello.c`.",
        )
    # An even number of items in a mapping: the collection stands where a key is expected.
    if len(stack) >= _DEEPEST or (stack and stack[-1].mapping and len(stack[-1].items) % 2 == 0):
        raise BuildpackError(
            f"{name}, line {line}: lists or blocks are nested too deep",
            "A value is text, a list of texts, or one block of `NAME: value` lines.",
        )


def _value(closed: _Open, name: str) -> tuple[str, ...] | dict[str, str]:
    if not closed.mapping:
        return tuple(str(item) for item in closed.items)
    return {key: str(entry.value) for key, entry in _entries(closed, name).items()}


def _entries(closed: _Open, name: str) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for key, value, line in zip(closed.items[::2], closed.items[1::2], closed.lines[1::2], strict=True):
        if str(key) in entries:
            raise BuildpackError(
                f"{name}, line {line}: `{shorten(str(key))}` is given twice "
                f"(first on line {entries[str(key)].line})",
                "Keep one of the two lines.",
            )
        entries[str(key)] = Entry(value, line)
    return entries


def _refuse_references(event: yaml.Event, name: str) -> None:
    reference = getattr(event, "anchor", None)
    if reference is not None:
        sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
        found = f"{sign}{shorten(reference)}"
        raise BuildpackError(
            f"{name}, line {_line(event)}: YAML reads `{found}` as a reference, which is not allowed",
            f'If you mean the text, put it in quotes: "{found}".',
        )
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise BuildpackError(
            f"{name}, line {_line(event)}: the YAML tag `{shorten(tag)}` is not allowed",
            "If you mean a text that starts with `!`, put it in quotes.",
        )


def _not_lines(event: yaml.ScalarEvent, name: str) -> BuildpackError:
    found = shorten(event.value)
    glued = re.match(r"\s*([a-z_]+):(\S.*)", event.value)
    hint = "Write lines of `key: value`, such as `from: hello.c`."
    if glued:
        hint = f"A space belongs after the colon: `{glued[1]}: {shorten(glued[2])}`."
    return BuildpackError(f"{name}, line {_line(event)}: `{found}` is no `key: value` line", hint)


def _unreadable(error: yaml.MarkedYAMLError, text: str, name: str) -> BuildpackError:
    mark = error.problem_mark or error.context_mark
    no_colon, no_bracket = ("expected " + what in str(error.problem) for what in ("':'", "',' or"))
    unclosed = "end of stream" in str(error.problem)
    if no_colon or no_bracket or unclosed:
        mark = error.context_mark or mark  # the place of the fault; the parser notices it later
    number = int(mark.line) + 1 if mark else 1
    lines = text.splitlines()
    found = lines[number - 1] if number <= len(lines) else ""
    hint = 'Put a value with `:`, `#`, `*`, `&`, `{`, `[` or `%` in it in quotes: `args: "-x a: b"`.'
    if unquoted := re.fullmatch(r"([a-z_]+): +([^\s\"'\[{][^\"]*)", found):
        hint = f'Put the value in quotes: `{unquoted[1]}: "{shorten(unquoted[2].strip())}"`.'
    if no_colon and (pair := re.fullmatch(r"([a-z_]+)(?:[:=]| *=| ) *(\S.*)", found)):
        hint = f"A colon and a space belong after the key: `{pair[1]}: {shorten(pair[2].strip())}`."
    if no_bracket or unclosed:
        hint = "A quote or bracket is opened and not closed."
    if found.lstrip(" ").startswith("\t"):
        hint = "The line starts with a tab; indent with spaces."
    elif "\t" in found:
        hint = "There is a tab in the line; put a space in its place."
    return BuildpackError(
        f"{name}, line {number}: `{shorten(found.strip())}` cannot be read ({error.problem})", hint
    )


def _line(event: yaml.Event) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark else 1


def shorten(found: str, most: int = 60) -> str:
    """Return `found` in at most `most` printable characters, for one line of a message."""
    plain = "".join(char if char.isprintable() else "?" for char in found)
    return plain if len(plain) <= most else plain[: most - 3] + "..."
