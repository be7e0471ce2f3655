"""The verbs of `nap`, from the command line to the receiver's API and back."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.receiver import RUN, FakeReceiver, Refusal, Stream, frame, serving

from receiver.__main__ import main
from receiver.cli.group import MODULES


class Ended(NamedTuple):
    status: int
    out: bytes
    err: str


Nap = Callable[..., Ended]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeReceiver]:
    monkeypatch.setenv("NAP_HOME", str(tmp_path))
    with serving(tmp_path) as receiver:
        yield receiver


@pytest.fixture
def nap(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Nap:
    monkeypatch.setenv("NAP_HOME", str(tmp_path))

    def call(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["nap", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as exit:
            main()
        out, err = capsysbinary.readouterr()
        return Ended(int(exit.value.code or 0), out, err.decode())

    return call


def output(data: bytes) -> bytes:
    return frame(output=base64.b64encode(data).decode())


# --- the command line itself


def test_help_shows_every_verb(nap: Nap) -> None:
    shown = nap("--help").out.decode().split()
    assert set(MODULES) <= set(shown)


@pytest.mark.parametrize("verb", MODULES)
def test_each_verb_explains_itself_with_an_example(nap: Nap, verb: str) -> None:
    ended = nap(verb, "--help")
    assert ended.status == 0
    assert f"nap {verb}" in ended.out.decode().partition("Example:")[2]


def test_nap_alone_is_help(nap: Nap) -> None:
    assert nap() == nap("--help")


def test_an_unknown_verb_suggests_the_nearest(nap: Nap) -> None:
    ended = nap("statu")
    assert ended == (
        2,
        b"",
        "nap: there is no command 'statu'\n  hint: did you mean: nap status\n",
    )


def test_a_verb_like_no_other_points_to_the_help(nap: Nap) -> None:
    assert "nap --help" in nap("xyzzy").err


@pytest.mark.parametrize("arguments", [["logs"], ["logs", "hello", "one"], ["ps", "--jsno"]])
def test_a_wrong_command_line_points_to_the_verbs_help(nap: Nap, arguments: list[str]) -> None:
    ended = nap(*arguments)
    assert ended.status == 2
    assert ended.err.startswith("nap: ")
    assert f"hint: nap {arguments[0]} --help" in ended.err


def test_a_receiver_that_is_not_running_is_one_sentence(nap: Nap, tmp_path: Path) -> None:
    sentence = f"nap: nap is not running (no receiver at {tmp_path}/nap.sock)\n  hint: nap up\n"
    assert nap("ps") == (1, b"", sentence)


def test_what_was_not_foreseen_goes_to_the_log_with_its_traceback(nap: Nap, fake: FakeReceiver) -> None:
    fake.answers["GET /apps"] = [{"surprise": 1}]
    ended = nap("apps")
    assert ended.status == 1
    assert "Traceback" not in ended.err
    log = fake.home / "log" / "nap.log"
    assert str(log) in ended.err
    assert "Traceback" in log.read_text()
    assert "KeyError: 'app'" in log.read_text()


def test_a_log_that_cannot_be_written_hides_nothing(nap: Nap, fake: FakeReceiver) -> None:
    (fake.home / "log").write_text("a file where the folder should be")
    fake.answers["GET /apps"] = [{"surprise": 1}]
    assert "KeyError" in nap("apps").err


# --- reading verbs

READING = {
    ("status",): (
        "/status",
        {"pid": 1, "engine": "local", "etcd": {"url": "u", "api": "v2"}, "left": ["a run 1", "a run 2"]},
    ),
    ("apps",): ("/apps", [{"app": "hello", "remote": "/r", "release": None, "state": None}]),
    ("config", "hello"): ("/apps/hello/config", {"branch": "master", "strict": False}),
    ("releases", "hello"): (
        "/apps/hello/releases",
        [
            {
                "number": 1,
                "commit": "ab" * 20,
                "image": "sha256:1",
                "created": "2026-01-02T03:04:05Z",
                "stack": "openmpi",
                "runs": [1, 2],
            }
        ],
    ),
    ("runs", "hello"): ("/apps/hello/runs", [RUN]),
    ("render", "hello"): (
        "/apps/hello/render",
        [{"name": "slaves_hello@1", "content": "a\n"}, {"name": "master_hello", "content": "b"}],
    ),
    ("ps",): (
        "/ps",
        [
            {
                "app": "hello",
                "run": 3,
                "release": 2,
                "state": "running",
                "started": "2026-01-02T03:04:05+00:00",
                "units": [
                    {"name": "slaves_hello@1", "address": "127.64.0.1", "slots": 2, "state": "up"},
                    {"name": "slaves_hello@2", "address": "127.64.0.2", "slots": 2, "state": "up"},
                ],
            }
        ],
    ),
}


@pytest.mark.parametrize("words", READING)
def test_json_is_the_receivers_value_and_nothing_else(
    nap: Nap, fake: FakeReceiver, words: tuple[str, ...]
) -> None:
    where, value = READING[words]
    fake.answers[f"GET {where}"] = value
    ended = nap(*words, "--json")
    assert (ended.status, json.loads(ended.out), ended.err) == (0, value, "")


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("status",), ["pid     1", "engine  local", "etcd    u (api v2)", "left    a run 1, a run 2"]),
        (("apps",), ["APP    RELEASE  STATE  REMOTE", "hello  -        -      /r"]),
        (("config", "hello"), ["branch  master", "strict  false"]),
        (("render", "hello"), ["# --- slaves_hello@1", "a", "# --- master_hello", "b"]),
    ],
)
def test_people_see_aligned_lines(
    nap: Nap, fake: FakeReceiver, words: tuple[str, ...], lines: list[str]
) -> None:
    where, value = READING[words]
    fake.answers[f"GET {where}"] = value
    assert nap(*words).out.decode().splitlines() == lines


def test_ps_shows_a_line_a_unit(nap: Nap, fake: FakeReceiver) -> None:
    where, value = READING[("ps",)]
    fake.answers[f"GET {where}"] = value
    _, first, second = nap("ps").out.decode().splitlines()
    assert first.split()[:4] == ["hello", "3", "v2", "running"]
    assert second.split() == ["slaves_hello@2", "127.64.0.2", "2", "up"]
    assert first.index("slaves_hello@1") == second.index("slaves_hello@2")


def test_ps_shows_a_run_without_units(nap: Nap, fake: FakeReceiver) -> None:
    waiting = {
        "app": "a",
        "run": 1,
        "release": None,
        "state": "waiting",
        "units": [],
        "since": "2026-01-02T03:04:05+00:00",
    }
    fake.answers["GET /ps"] = [waiting]
    assert nap("ps").out.decode().splitlines()[1].split()[:4] == ["a", "1", "-", "waiting"]


def test_runs_shows_how_each_ended(nap: Nap, fake: FakeReceiver) -> None:
    accepted = {
        **RUN,
        "number": 4,
        "release": None,
        "commit": None,
        "state": "accepted",
        "exit_code": None,
        "seconds": {},
        "slaves": 0,
        "np": 0,
    }
    running = {**RUN, "state": "running", "exit_code": None, "seconds": {"check": 0.25}}
    fake.answers["GET /apps/hello/runs"] = [RUN, accepted, running]
    _, done, new, now = nap("runs", "hello").out.decode().splitlines()
    assert done.split()[:9] == ["3", "v2", "0123456", "succeeded", "0", "4", "8", "1.5", "s"]
    assert done.endswith("ada (key laptop)  Sum the forces in double precision, a...")
    assert new.split()[:8] == ["4", "-", "-", "accepted", "-", "-", "-", "-"]
    assert now.split()[3:8] == ["running", "-", "4", "8", "-"]  # what it took is not known yet


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["apps"], "/apps"),
        (["ps"], "/ps"),
        (["runs", "x"], "/apps/x/runs"),
        (["releases", "x"], "/apps/x/releases"),
        (["config", "x"], "/apps/x/config"),
    ],
)
def test_nothing_to_show_is_said_on_stderr(
    nap: Nap, fake: FakeReceiver, words: list[str], where: str
) -> None:
    fake.answers[f"GET {where}"] = []
    ended = nap(*words)
    assert ended.out == b""
    assert ended.err


# --- apps


def test_create_prints_the_line_that_adds_the_remote(nap: Nap, fake: FakeReceiver) -> None:
    fake.answers["POST /apps"] = {"app": "hello", "remote": "/my home/repos/hello.git"}
    ended = nap("create", "hello")
    assert ended == (0, b"git remote add nap '/my home/repos/hello.git'\n", "")
    assert fake.asked == [("POST /apps", {"name": "hello"})]


def test_a_refused_name_is_told_with_its_hint(nap: Nap, fake: FakeReceiver) -> None:
    refusal = b'{"error": "the app name \'A b\' is no DNS label", "hint": "for example: a-b"}'
    fake.answers["POST /apps"] = Refusal(422, refusal)
    ended = nap("create", "A b")
    assert ended == (1, b"", "nap: the app name 'A b' is no DNS label\n  hint: for example: a-b\n")


def test_config_sends_only_what_changes(nap: Nap, fake: FakeReceiver) -> None:
    fake.answers["PATCH /apps/hello/config"] = {"branch": "main"}
    ended = nap("config", "hello", "branch=main", "--unset", "port")
    assert fake.asked == [("PATCH /apps/hello/config", {"branch": "main", "port": None})]
    assert ended.out == b"branch  main\n"


def test_a_setting_without_a_value_is_refused_here(nap: Nap, fake: FakeReceiver) -> None:
    assert nap("config", "hello", "branch").status == 1
    assert fake.asked == []


@pytest.mark.parametrize("typed", ["", "hell\n", "hello2\n"])
def test_destroy_removes_nothing_until_the_name_is_typed(nap: Nap, fake: FakeReceiver, typed: str) -> None:
    fake.answers["GET /apps/hello/config"] = {}
    ended = nap("destroy", "hello", stdin=typed)
    assert ended.status == 1
    assert "\nnap: the name typed is not 'hello'" in ended.err or typed
    assert [request for request, _ in fake.asked] == ["GET /apps/hello/config"]


def test_destroy_asks_for_the_name_of_no_app_that_is_not_there(nap: Nap, fake: FakeReceiver) -> None:
    ended = nap("destroy", "hello", stdin="hello\n")
    assert ended.status == 1
    assert "Type its name" not in ended.err


@pytest.mark.parametrize(("options", "typed"), [([], "hello\n"), (["--yes"], "")])
def test_destroy_removes_an_app(nap: Nap, fake: FakeReceiver, options: list[str], typed: str) -> None:
    fake.answers["GET /apps/hello/config"] = fake.answers["DELETE /apps/hello"] = {}
    assert nap("destroy", "hello", *options, stdin=typed).status == 0
    assert fake.asked[-1] == ("DELETE /apps/hello", None)


# --- logs


def test_logs_keeps_the_programs_bytes_apart_from_the_story(nap: Nap, fake: FakeReceiver) -> None:
    data = bytes(range(256))
    fake.answers["GET /apps/hello/runs/3"] = RUN
    fake.answers["GET /apps/hello/runs/3/log?follow=0"] = Stream(
        frame(story="slave 1 is alive"), output(data), output(b"no newline"), frame(end=RUN)
    )
    ended = nap("logs", "hello", "3")
    assert ended == (0, data + b"no newline", "slave 1 is alive\n")


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, b"ab\ncd\n"), (False, b"abcd\n")])
def test_on_a_terminal_a_line_of_naps_is_not_glued_to_one_of_the_programs(
    nap: Nap, fake: FakeReceiver, monkeypatch: pytest.MonkeyPatch, is_terminal: bool, shown: bytes
) -> None:
    fake.answers["GET /apps/hello/runs/3"] = RUN
    fake.answers["GET /apps/hello/runs/3/log?follow=0"] = Stream(
        output(b"ab"), frame(story="waiting"), output(b"cd\n"), frame(story="ended"), frame(end=RUN)
    )
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    assert nap("logs", "hello", "3") == (0, shown, "waiting\nended\n")


def test_logs_without_a_number_is_the_latest_runs(nap: Nap, fake: FakeReceiver) -> None:
    fake.answers["GET /apps/hello/runs/latest"] = RUN
    fake.answers["GET /apps/hello/runs/3/log?follow=1"] = Stream(output(b"x"), frame(end=RUN))
    assert nap("logs", "hello", "-f").out == b"x"


def test_logs_as_json_are_the_frames_a_line_each(nap: Nap, fake: FakeReceiver) -> None:
    frames = [{"story": "s"}, {"output": "AA=="}, {"end": RUN}]
    fake.answers["GET /apps/hello/runs/latest"] = RUN
    fake.answers["GET /apps/hello/runs/3/log?follow=0"] = Stream(*(frame(**f) for f in frames))
    lines = nap("logs", "hello", "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == frames


def test_a_followed_run_without_an_end_says_how_to_go_on(nap: Nap, fake: FakeReceiver) -> None:
    fake.answers["GET /apps/hello/runs/latest"] = RUN
    fake.answers["GET /apps/hello/runs/3/log?follow=1"] = Stream(output(b"x"))
    ended = nap("logs", "hello", "-f")
    assert (ended.status, ended.out) == (1, b"x")
    assert "nap up, then: nap logs hello 3 -f" in ended.err


# --- run, wait, cancel

ENDS = [
    ({"state": "succeeded", "exit_code": 0}, 0),
    ({"state": "failed", "exit_code": 3}, 3),
    ({"state": "failed", "exit_code": 139}, 139),
    ({"state": "failed", "exit_code": None}, 1),
    ({"state": "failed", "exit_code": 0}, 1),
    ({"state": "timed out", "exit_code": None}, 124),
    ({"state": "timed out", "exit_code": 124}, 124),
    ({"state": "cancelled", "exit_code": None}, 130),
    ({"state": "replaced", "exit_code": None}, 1),
]


@pytest.mark.parametrize(("end", "status"), ENDS)
def test_wait_exits_as_the_run_did(nap: Nap, fake: FakeReceiver, end: dict[str, Any], status: int) -> None:
    fake.answers["GET /apps/hello/runs/latest"] = {**RUN, "state": "running", "exit_code": None}
    fake.answers["GET /apps/hello/runs/3/wait"] = Stream(b"\n", frame(**RUN | end))
    ended = nap("wait", "hello")
    assert (ended.status, ended.out) == (status, b"")
    assert ended.err.startswith(f"hello run 3: {end['state']}")
    assert ended.err.count("\n") == 1


def test_wait_says_why_a_run_failed(nap: Nap, fake: FakeReceiver) -> None:
    failed = {**RUN, "state": "failed", "exit_code": 9, "reason": "rank 2 was killed"}
    fake.answers["GET /apps/hello/runs/3"] = RUN
    fake.answers["GET /apps/hello/runs/3/wait"] = Stream(frame(**failed))
    ended = nap("wait", "hello", "3", "--json")
    assert ended.err == "hello run 3: failed, exit 9, after 1.5 s (rank 2 was killed)\n"
    assert json.loads(ended.out) == failed


@pytest.mark.parametrize("cut", [True, False])
def test_wait_without_an_end_is_an_error(nap: Nap, fake: FakeReceiver, cut: bool) -> None:
    fake.answers["GET /apps/hello/runs/latest"] = RUN
    fake.answers["GET /apps/hello/runs/3/wait"] = Stream(b"\n", cut=cut)
    ended = nap("wait", "hello")
    assert ended.status == 1
    assert "went away" in ended.err


@pytest.mark.parametrize("release", ["2", "v2"])
@pytest.mark.parametrize(("end", "status"), ENDS)
def test_run_follows_a_new_run_and_exits_as_it_did(
    nap: Nap, fake: FakeReceiver, end: dict[str, Any], status: int, release: str
) -> None:
    fake.answers["POST /apps/hello/runs"] = RUN
    fake.answers["GET /apps/hello/runs/3/log?follow=up"] = Stream(output(b"rank 0\n"), frame(end=RUN | end))
    ended = nap("run", "hello", "--release", release, "-o", "np=8", "-o", "args=a=b", "-o", "replace")
    assert (ended.status, ended.out) == (status, b"rank 0\n")
    options = {"np": "8", "args": "a=b", "replace": ""}
    assert fake.asked[0] == ("POST /apps/hello/runs", {"release": 2, "options": options})


@pytest.mark.parametrize("words", [["-d"], ["-o", "detach"], ["--json"]])
def test_a_detached_run_is_not_followed(nap: Nap, fake: FakeReceiver, words: list[str]) -> None:
    fake.answers["POST /apps/hello/runs"] = {**RUN, "state": "accepted"}
    assert nap("run", "hello", *words).status == 0
    assert [request for request, _ in fake.asked] == ["POST /apps/hello/runs"]


CANCELLED = {"state": "cancelled", "exit_code": 130, "seconds": {}}


def test_cancel_stops_the_run_that_others_wait_for(nap: Nap, fake: FakeReceiver) -> None:
    running = {**RUN, "number": 5, "state": "running", "exit_code": None}
    waits = {**RUN, "number": 6, "state": "waiting", "exit_code": None}
    fake.answers["GET /apps/hello/runs"] = [RUN, running, waits]
    fake.answers["POST /apps/hello/runs/5/cancel"] = {**RUN, "number": 5, **CANCELLED}
    assert nap("cancel", "hello").err == "hello run 5: cancelled, exit 130\n"


@pytest.mark.parametrize("state", ["accepted", "waiting", "building", "starting"])
def test_cancel_stops_what_is_to_replace_a_service_and_names_what_stays(
    nap: Nap, fake: FakeReceiver, state: str
) -> None:
    up = {**RUN, "number": 5, "state": "running", "exit_code": None, "service": True}
    pushed = {**RUN, "number": 6, "state": state, "exit_code": None}
    fake.answers["GET /apps/hello/runs"] = [RUN, up, pushed]
    fake.answers["POST /apps/hello/runs/6/cancel"] = {**RUN, "number": 6, **CANCELLED}
    assert nap("cancel", "hello").err.splitlines() == [
        "hello run 6: cancelled, exit 130", "run 5 goes on; stop it: nap cancel hello 5",
    ]  # fmt: skip


def test_cancel_says_of_an_ended_run_that_it_has_ended(nap: Nap, fake: FakeReceiver) -> None:
    fake.answers["GET /apps/hello/runs"] = [RUN]
    fake.answers["GET /apps/hello/runs/latest"] = fake.answers["POST /apps/hello/runs/3/cancel"] = RUN
    assert nap("cancel", "hello").err == "it has ended already: hello run 3: succeeded, exit 0, after 1.5 s\n"


# --- results


@pytest.fixture
def kept(tmp_path: Path, fake: FakeReceiver) -> list[dict[str, Any]]:
    file = tmp_path / "field.txt"
    file.write_bytes(b"1 2 3\n")
    names = ("share/field.txt", "slave1/field.txt")
    values = [{"name": name, "size": 6, "path": str(file)} for name in names]
    fake.answers["GET /apps/heat/runs/latest"] = RUN
    fake.answers["GET /apps/heat/runs/3/results"] = values
    return values


def test_results_are_listed_with_their_places(nap: Nap, kept: list[dict[str, Any]]) -> None:
    lines = nap("results", "heat").out.decode().splitlines()
    assert lines[1] == f"share/field.txt   6 B   {kept[0]['path']}"
    assert json.loads(nap("results", "heat", "--json").out) == kept


def test_where_there_are_no_results_none_are_copied(nap: Nap, fake: FakeReceiver, tmp_path: Path) -> None:
    fake.answers["GET /apps/heat/runs/latest"] = RUN
    fake.answers["GET /apps/heat/runs/3/results"] = []
    assert nap("results", "heat", "--to", str(tmp_path / "out")).err == "run 3 of heat kept no files\n"


def test_a_run_that_has_not_ended_is_said_to_have_no_results_yet(nap: Nap, fake: FakeReceiver) -> None:
    fake.answers["GET /apps/heat/runs/latest"] = {**RUN, "state": "running", "exit_code": None}
    fake.answers["GET /apps/heat/runs/3/results"] = []
    ended = nap("results", "heat")
    assert (ended.status, ended.err) == (0, "run 3 of heat has not ended: its results come with its end\n")


def test_results_are_copied_under_their_names(nap: Nap, kept: list[dict[str, Any]], tmp_path: Path) -> None:
    ended = nap("results", "heat", "--to", str(tmp_path / "out"))
    assert (ended.status, ended.err) == (0, f"2 files copied to {tmp_path / 'out'}\n")
    for value in kept:
        assert (tmp_path / "out" / value["name"]).read_bytes() == b"1 2 3\n"


def test_a_result_whose_name_is_no_utf8_is_listed(
    nap: Nap, kept: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept[0]["name"] = os.fsdecode(b"share/\xff")
    assert b"share/\xff" in nap("results", "heat").out
    assert json.loads(nap("results", "heat", "--json").out) == kept


@pytest.mark.parametrize("name", ["../field.txt", "/tmp/field.txt", "share/../../field.txt"])
def test_a_result_that_leaves_the_folder_is_refused(
    nap: Nap, kept: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    kept[0]["name"] = name
    ended = nap("results", "heat", "--to", str(tmp_path / "out"))
    assert ended.status == 1
    assert "leaves the folder" in ended.err


def test_a_result_that_is_gone_is_one_sentence(nap: Nap, kept: list[dict[str, Any]], tmp_path: Path) -> None:
    kept[1]["path"] = str(tmp_path / "gone")
    ended = nap("results", "heat", "--to", str(tmp_path / "out"))
    assert ended.status == 1
    assert "slave1/field.txt could not be copied" in ended.err
