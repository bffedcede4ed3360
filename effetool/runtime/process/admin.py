"""Answer /live, /ready, /metrics and /info on a port of their own.

It is http.server as it comes, a thread for each call: a probe every few seconds needs no more. The main
port's rules do not hold here, so bind it where only the platform can reach it.

/live says that the server's leader polls: a process whose threads are stuck is not live. /ready says whether new
requests should be sent: not before the first can be answered, not from SIGTERM on, and not while the author's `ready()`
says no.
"""

from __future__ import annotations

import http.server
import socket
import threading
from time import monotonic

from . import sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..flags import Settings

# Calls at once; who comes then takes the place of the oldest that has not asked yet. Probes and a scraper are three or
# four.
_CALLS = 32
# A call's time from its accept to its last octet: each is looked at twice a second.
_PATIENCE = 10.0


class Admin:
    """The admin listener. `live` and `ready` return None or what is wrong, `metrics` and `info` what is shown."""

    def __init__(
        self,
        settings: Settings,
        live: Callable[[], str | None],
        ready: Callable[[], str | None],
        metrics: Callable[[], str],
        info: str,
    ) -> None:
        """Bind the port; raises ListenError."""
        host, _, port = (settings.admin or "").rpartition(":")
        self.sockets = sockets.tcp(host.strip("[]") or None, int(port), admin=host)
        self.address = sockets.address(self.sockets[0])
        pages: dict[str, Callable[[], tuple[int, str, str]]] = {
            "/live": lambda: _health("live", live()),
            "/ready": lambda: _health("ready", ready()),
            "/metrics": lambda: (200, "text/plain; version=0.0.4; charset=utf-8", metrics()),
            "/info": lambda: (200, "application/json", info),
        }
        self._servers = [_Server(listener, pages) for listener in self.sockets]

    def start(self) -> None:
        """Begin to answer."""
        sockets.listen(self.sockets)
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.5,), name="effe-admin", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        sockets.close(self.sockets)


def _health(well: str, wrong: str | None) -> tuple[int, str, str]:
    return (503 if wrong else 200), "text/plain; charset=utf-8", f"{wrong or well}\n"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, pages: dict[str, Callable[[], tuple[int, str, str]]]) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.pages = pages
        # Calls that have not ended, the oldest first, and the time of each; under the lock. A call that is in it is
        # open: its thread takes it out before it closes it.
        self.calls: dict[Any, float] = {}
        self.asked: set[Any] = set()  # of those, the ones whose page is being made
        self.lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            full = len(self.calls) >= _CALLS
            oldest = next((call for call in self.calls if call not in self.asked), None) if full else None
            if oldest is not None:
                self._end(oldest)
            if not full or oldest is not None:
                self.calls[request] = monotonic() + _PATIENCE
                full = False
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self.calls.pop(request, None)
            self.asked.discard(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the calls whose time is over. The time-out of a socket starts anew with each octet; this does not."""
        now = monotonic()
        with self.lock:
            for call in [call for call, end in self.calls.items() if end <= now]:
                self._end(call)

    def _end(self, call: Any) -> None:
        """End a call; its thread sees it, and closes it."""
        del self.calls[call]
        try:
            call.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has gone by itself

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a prober that goes away is no event."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    server_version = "effe"
    sys_version = ""
    timeout = _PATIENCE

    def do_GET(self) -> None:
        with self.server.lock:
            if self.connection in self.server.calls:
                self.server.asked.add(self.connection)
        page = self.server.pages.get(self.path.partition("?")[0])
        try:
            status, kind, text = page() if page else (404, "text/plain; charset=utf-8", "not found\n")
        except Exception as error:
            status, kind, text = 500, "text/plain; charset=utf-8", f"{type(error).__name__}\n"
        body = text.encode("utf-8", "backslashreplace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Keep probes out of the log."""
