"""profile and Procfile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import refusal

from buildpacks.errors import BuildpackError
from buildpacks.packs.profile import parse
from buildpacks.plan import Process


def test_lines_are_processes_in_their_order():
    text = b"# what runs\nweb: python3 -m http.server $PORT\n\nworker:  ./w --url http://x:1\n"
    assert parse(text) == (
        Process("web", "python3 -m http.server $PORT"),
        Process("worker", "./w --url http://x:1"),
    )


@pytest.mark.parametrize("line", ["./hello -n 3", "echo 'a: b'", "FOO=1 ./x:y"])
def test_one_plain_command_line_is_the_process_app(line):
    assert parse(f"{line}\n".encode()) == (Process("app", line),)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "profile has no line in it"),
        (b"# nothing\n", "profile has no line in it"),
        (b"web:\n", "line 1: `web` has no command"),
        (b"a: x\n./b c\n", "line 2: `./b c` is no `name: command` line"),
        (b"a: x\na: y\n", "line 2: there are two processes `a`"),
        (b"mpi: ./x\n", "line 1: `mpi` is no process name"),
        (b"passwd: ./x\n", "line 1: `passwd` is no process name"),
        (b"discovery_web: ./x\n", "line 1: `discovery_web` is no process name"),
        (b"\xff", "is not UTF-8 text"),
        (b"a: \0\n", "has a NUL character in it"),
        (b"a: x\n" * 20_000, "is larger than 64 KB"),
    ],
)
def test_what_is_wrong_is_one_clear_error(data, message):
    with pytest.raises(BuildpackError, match=message) as error:
        parse(data)
    assert refusal(error)


@given(st.binary(max_size=200))
def test_any_bytes_give_processes_or_one_error(data):
    try:
        found = parse(data) or ""
    except BuildpackError as error:
        found = error.hint
    assert found
