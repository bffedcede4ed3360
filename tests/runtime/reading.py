"""What is read in a byte stream: by this server, and (`Go`) by that of Go's standard library."""

import json
import struct
import subprocess
from operator import attrgetter
from pathlib import Path

from effetool.runtime.errors import HTTPError
from effetool.runtime.http.body import Incoming
from effetool.runtime.http.parser import Head, Limits, parse_head

LIMITS = Limits(32 * 1024, 8 * 1024, 100)
MAX_BODY = 1 << 20


def requests(stream, cuts=(), told=attrgetter("status")):
    """Return the requests that are run: method, target and body, the last two in hexadecimal; then why it ended.

    That is "end", "close", or what `told` says of the HTTPError.

    The stream comes in pieces that end at the cuts, as it may on a connection.
    """
    seen, kept, place, head = [], b"", 0, None
    for cut in [*cuts, len(stream)]:
        kept += stream[place:cut]
        place = max(place, cut)
        while True:
            try:
                if head is None:
                    head = parse_head(kept.decode("latin-1"), 0, LIMITS, Head)
                    if head is None:
                        break
                    kept = kept[head.end :]
                    if head.length > MAX_BODY:
                        raise HTTPError(413)
                    incoming = Incoming(head.length, MAX_BODY, LIMITS.head)
                if head.length:
                    kept = kept[incoming.feed(kept, 0) :]
                if not incoming.complete:
                    break
            except HTTPError as error:
                return seen, told(error)
            seen.append((head.method, head.target.encode("latin-1").hex(), incoming.take().hex()))
            if head.close:
                return seen, "close"
            head = None
    return seen, "end"


class Go:
    """Go's net/http, asked with one stream after the other; needs `go` to be built."""

    def __init__(self, directory):
        source = Path(__file__).with_name("reading.go")
        program = Path(directory) / "reading"
        subprocess.run(["go", "build", "-o", program, source], check=True, timeout=300)
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def requests(self, stream):
        """Return the requests its handler is called for; a body that ends early has a `!` behind it."""
        self._process.stdin.write(struct.pack(">I", len(stream)) + stream)
        self._process.stdin.flush()
        return [tuple(one) for one in json.loads(self._process.stdout.readline())]

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
