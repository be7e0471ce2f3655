"""The complete git hook: sends the push to the daemon and prints the answer.

    hook.py $0        (run by a small script in $NAP_HOME/hooks, whose name is the hook's)

It is started three times per push, with `python -I -S`, and imports built-in modules only, to start fast.

The hook protocol: the hook sends lines `word value`, with a blank line at the end. The daemon sends frames of
a letter, a length in eight decimal digits and that many bytes. `o`: show the bytes; `r`: a line for git
(proc-receive); `x`: exit with this code.
"""

import _signal as signal
import _socket as socket
import posix
import select

GONE_AFTER = 60_000  # milliseconds without the pusher reading
SILENT_AFTER = 90  # seconds without a frame from the daemon, which sends empty ones as heartbeats
_AWAY = b"nap: the receiver went away; what it accepted it will take up again\n  hint: there: nap up\n"
_PASSED_ON = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
_LOGIN = ("NAP_KEY", "SSH_USER_AUTH", "SSH_CONNECTION")


def main(script: str) -> int:
    # Ctrl-C ends the hook at once: the daemon sees the closed connection and cancels the build.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    folder, _, kind = script.rpartition("/")
    try:
        daemon = _connect(f"{folder}/../hook.sock")
    except OSError:
        _show(b"nap: nap is not running on the receiver, so this push was refused\n  hint: there: nap up\n")
        return 1
    daemon.settimeout(SILENT_AFTER)
    words = [f"hook {kind}", f"repository {posix.getcwd()}", *_environment()]
    updates = _negotiate() if kind == "proc-receive" else _text(_read_all(0)).splitlines()
    words += [line if line.startswith("option ") else f"update {line}" for line in updates]
    try:
        daemon.sendall(("\n".join(words) + "\n\n").encode("utf-8", "surrogateescape"))
        return _relay(daemon, kind)
    except OSError:
        _show(_AWAY)
        return 1


def _connect(path: str) -> "socket.socket":
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    daemon.connect(path)
    return daemon


def _environment() -> "list[str]":
    environ = {_text(key): _text(value) for key, value in posix.environ.items()}
    words = [f"env {key}={environ[key]}" for key in _PASSED_ON if key in environ]
    words += [f"login {key}={environ[key]}" for key in _LOGIN if key in environ and "\n" not in environ[key]]
    count = int(environ.get("GIT_PUSH_OPTION_COUNT") or 0)
    return words + [f"option {environ[f'GIT_PUSH_OPTION_{index}']}" for index in range(count)]


def _negotiate() -> "list[str]":
    """Do the proc-receive handshake with git in pkt-lines (version 1). Return the updates and options."""
    has_options = any(b"push-options" in packet for packet in _packets())
    _send_packet(b"version=1\0push-options\n" if has_options else b"version=1\n")
    _flush_packets()
    updates = [_text(packet).rstrip("\n") for packet in _packets()]
    options = _packets() if has_options else []
    return updates + [f"option {_text(option).rstrip()}" for option in options]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _packets() -> "list[bytes]":
    """Read packets from git up to a flush packet."""
    packets = []
    while (size := int(_read(4) or b"0000", 16)) > 4:
        packets.append(_read(size - 4))
    return packets


def _send_packet(line: bytes) -> None:
    posix.write(1, b"%04x" % (len(line) + 4) + line)


def _flush_packets() -> None:
    posix.write(1, b"0000")


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size and (more := posix.read(0, size - len(data))):
        data += more
    return data


def _read_all(descriptor: int) -> bytes:
    data = b""
    while more := posix.read(descriptor, 65536):
        data += more
    return data


def _relay(daemon: "socket.socket", kind: str) -> int:
    """Act on the daemon's frames until its exit code, and return that; 1 when the daemon went away.

    When nobody reads the output any more, go on: git still needs the answer. Only post-receive ends then,
    because it does nothing but show the run.
    """
    reported = False
    shown = True
    while header := _receive(daemon, 9):
        body = _receive(daemon, int(header[1:]))
        if header[:1] == b"r":
            _send_packet(body)
            reported = True
        elif header[:1] == b"x":
            if reported:
                _flush_packets()
            return int(body)
        elif shown:
            shown = _show(body)
            if not shown and kind == "post-receive":
                return 1
    _show(_AWAY)
    return 1


def _receive(daemon: "socket.socket", size: int) -> bytes:
    data = b""
    while len(data) < size and (more := daemon.recv(size - len(data))):
        data += more
    return data


def _show(data: bytes) -> bool:
    """Write to the person who pushed. Return False when the reader is gone or has not read for a minute."""
    posix.set_blocking(2, False)
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    try:
        while data:
            if not poll.poll(GONE_AFTER):
                return False
            try:
                data = data[posix.write(2, data) :]
            except BlockingIOError:
                continue
    except OSError:
        return False
    return True


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1]))
