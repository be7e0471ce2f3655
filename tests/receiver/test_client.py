"""The client of the receiver's API, over a real Unix socket."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Event

import pytest
from support.receiver import FakeReceiver, Refusal, Stream, frame, serving

from receiver.client import Client, nap_home, resource
from receiver.errors import ReceiverError


@pytest.fixture
def fake(tmp_path: Path):
    with serving(tmp_path) as receiver:
        yield receiver


def test_a_value_comes_back_as_the_receiver_sent_it(fake: FakeReceiver) -> None:
    fake.answers["GET /apps"] = [{"app": "hello", "remote": "/x/é", "release": None}]
    assert Client(fake.home).get("/apps") == [{"app": "hello", "remote": "/x/é", "release": None}]


@pytest.mark.parametrize("verb", ["post", "patch"])
def test_a_body_reaches_the_receiver_as_json(fake: FakeReceiver, verb: str) -> None:
    request = f"{verb.upper()} /apps"
    fake.answers[request] = {}
    getattr(Client(fake.home), verb)("/apps", {"branch": None})
    assert fake.asked == [(request, {"branch": None})]


def test_a_refusal_becomes_an_error_with_its_hint(fake: FakeReceiver) -> None:
    fake.answers["DELETE /apps/x"] = Refusal(404, b'{"error": "no app x", "hint": "nap apps"}')
    with pytest.raises(ReceiverError) as caught:
        Client(fake.home).delete("/apps/x")
    assert (caught.value.message, caught.value.hint) == ("no app x", "nap apps")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"detail": 1}', b"", b"\xff"])
def test_a_refusal_in_no_known_form_is_still_one_sentence(fake: FakeReceiver, body: bytes) -> None:
    fake.answers["GET /ps"] = Refusal(500, body)
    with pytest.raises(ReceiverError, match="answered GET /ps with status 500"):
        Client(fake.home).get("/ps")


def test_an_answer_that_is_no_json_is_an_error(fake: FakeReceiver) -> None:
    fake.answers["GET /ps"] = Stream(b"{")
    with pytest.raises(ReceiverError, match="went away"):
        Client(fake.home).get("/ps")


def test_no_receiver_is_said_with_the_way_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(ReceiverError, match="nap is not running") as caught:
        Client(tmp_path / "nowhere").get("/status")
    assert caught.value.hint == "nap up"


def test_a_socket_that_nobody_serves_is_no_receiver(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "nap.sock"))
    with pytest.raises(ReceiverError, match="nap is not running"):
        Client(tmp_path).get("/status")


def test_a_home_with_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    with serving(tmp_path / ("long" * 40)) as fake:
        fake.answers["GET /status"] = {"pid": 1}
        assert Client(fake.home).get("/status") == {"pid": 1}


def test_a_receiver_that_does_not_answer_is_not_waited_for_forever(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "nap.sock"))
        silent.listen()
        with pytest.raises(ReceiverError, match="gave no answer to GET /status"):
            Client(tmp_path, answer_seconds=0.01).get("/status")


def test_a_frame_comes_while_the_stream_is_open(fake: FakeReceiver) -> None:
    seen = Event()
    seen_before_the_end: list[bool] = []
    fake.answers["GET /log"] = Stream(
        frame(story="one"), then=lambda: seen_before_the_end.append(seen.wait(10))
    )
    for _ in Client(fake.home).frames("/log"):
        seen.set()
    assert seen_before_the_end == [True]


def test_blank_lines_only_keep_a_stream_alive(fake: FakeReceiver) -> None:
    fake.answers["GET /wait"] = Stream(b"\n", b"\n", frame(number=1), b"\n")
    assert list(Client(fake.home).frames("/wait")) == [{"number": 1}]


def test_a_value_that_takes_its_time_is_waited_for(fake: FakeReceiver) -> None:
    fake.answers["POST /cancel"] = Stream(b"\n", b"\n", frame(number=1))
    assert Client(fake.home).post("/cancel") == {"number": 1}


def test_a_refusal_that_takes_its_time_is_an_error_with_its_hint(fake: FakeReceiver) -> None:
    fake.answers["POST /cancel"] = Stream(b"\n", frame(error="it cannot be stopped", hint="nap doctor"))
    with pytest.raises(ReceiverError) as caught:
        Client(fake.home).post("/cancel")
    assert (caught.value.message, caught.value.hint) == ("it cannot be stopped", "nap doctor")


def test_a_frame_over_several_chunks_is_one_frame(fake: FakeReceiver) -> None:
    whole = frame(story="x" * 100_000)
    fake.answers["GET /log"] = Stream(whole[:7], whole[7:70_000], whole[70_000:])
    assert list(Client(fake.home).frames("/log")) == [{"story": "x" * 100_000}]


def test_a_stream_that_is_cut_off_is_an_error(fake: FakeReceiver) -> None:
    fake.answers["GET /log"] = Stream(frame(story="one"), b'{"sto', cut=True)
    frames = Client(fake.home).frames("/log")
    assert next(frames) == {"story": "one"}
    with pytest.raises(ReceiverError, match="went away"):
        next(frames)


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    assert resource("apps", "../x?y", "runs", 3) == "/apps/..%2Fx%3Fy/runs/3"
    assert resource("apps", "\udcff") == "/apps/%FF"


def test_the_home_is_absolute_wherever_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NAP_HOME", "here")
    assert nap_home() == tmp_path / "here"
    monkeypatch.setenv("NAP_HOME", "")
    assert nap_home() == tmp_path / ".nap"


def test_a_stream_without_a_sign_of_life_has_an_end(fake: FakeReceiver) -> None:
    done = Event()
    fake.answers["GET /log"] = Stream(frame(story="one"), then=done.wait)
    frames = Client(fake.home, answer_seconds=0.05).frames("/log")
    try:
        with pytest.raises(ReceiverError, match="gave no answer"):
            list(frames)
    finally:
        done.set()


def test_a_refusal_that_comes_late_in_a_stream_is_one(fake: FakeReceiver) -> None:
    fake.answers["GET /wait"] = Stream(b"\n", frame(error="it is over", hint="see"))
    with pytest.raises(ReceiverError, match="it is over"):
        list(Client(fake.home).frames("/wait"))
