"""A small service for tests, and people who ask it things all the time."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from subprocess import DEVNULL, PIPE

from support.nap_home import App, wait_for

SERVER = """\
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"WORD")
    def log_message(self, *_):
        pass
print("WORD starts", flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """\
FROM {base}
ENV WHO=nobody
WORKDIR /srv
COPY server.py .
VOLUME /data
USER 4242
CMD exec python3 server.py
"""


def service(word: str, more: str = "") -> dict[str, str | bytes]:
    return {"profile": f"web: python3 server.py\n{more}", "server.py": SERVER.replace("WORD", word)}


def where(pushed: str) -> tuple[int, str]:
    """The port and the address that the pusher is told."""
    (url,) = (line.partition("http://")[2] for line in pushed.splitlines() if "http://" in line)
    host, _, port = url.strip().partition(":")
    return int(port), host


def ask(number: int, host: str = "127.0.0.1") -> str:
    """What the service answers; OSError or HTTPException when that is nothing, or not all."""
    connection = http.client.HTTPConnection(host, number, timeout=20)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def wait_for_lines(app: App, *texts: str) -> None:
    """Until there are lines that hold these, one after the other."""
    logs = app.home.start_nap("logs", app.name, "-f", stdout=PIPE, stderr=DEVNULL)
    for text in texts:
        wait_for(logs.stdout, text)
    logs.kill()
    logs.communicate()


@dataclass
class Asked:
    answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def asked_all_the_time(number: int, host: str = "127.0.0.1") -> Iterator[Asked]:
    """Two who ask, one question after the other, each on a connection of its own; the last one at the end."""
    seen, over = [Asked(), Asked()], threading.Event()

    def ask_on(mine: Asked) -> None:
        is_last = False
        while not is_last:
            is_last = over.is_set()
            try:
                mine.answers.append(ask(number, host))
            except (OSError, http.client.HTTPException) as error:
                mine.failures.append(repr(error))

    threads = [threading.Thread(target=ask_on, args=(one,)) for one in seen]
    both = Asked()
    for thread in threads:
        thread.start()
    try:
        yield both
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for one in seen:
            both.answers += one.answers
            both.failures += one.failures
