"""Speak TLS: a connection's socket with a handshake in front and records around.

The server reads and writes a `Channel` as it does a socket. The handshake happens inside its non-blocking
reads, step by step as the client's bytes come, so a client that is slow with it, or silent, costs what any
idle connection costs: no thread, and it is closed after `-header-timeout`.
"""

from __future__ import annotations

import os
import socket
import ssl

from ..errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..flags import Settings

_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0x40)
_WANT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class CertificateError(Exception):
    """The certificate or its key cannot be used; the text is for the user."""


class Wrapper:
    """Make channels of accepted sockets, with the certificate as it was last read."""

    def __init__(self, settings: Settings) -> None:
        """Read the certificate; raises CertificateError."""
        self._cert, self._key = settings.cert or "", settings.key
        self._context = self._read()

    def __call__(self, sock: Any) -> Channel:
        """Return a channel on an accepted socket. Never raises, and does nothing that takes time."""
        return Channel(sock, self._context)

    def reload(self) -> None:
        """Read the certificate again, for the connections to come; raises CertificateError and keeps the old one."""
        self._context = self._read()

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # RFC 8996: 1.0 and 1.1 are not to be used. For 1.2 only what has forward secrecy and authenticated
        # encryption.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        try:
            # An encrypted key would make OpenSSL ask at the terminal.
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except ssl.SSLError as error:
            reason = error.reason or "it is not a certificate chain with its key in PEM"
            raise CertificateError(f"-cert {self._cert}: {reason.replace('_', ' ').lower()}") from None
        except OSError as error:
            named = f"-cert {self._cert}"
            if self._key and error.errno and os.access(self._cert, os.R_OK):  # OpenSSL does not say which of the two
                named = f"-key {self._key}"
            raise CertificateError(f"{named}: {error.strerror or error}") from None
        return context


def _no_password() -> str:
    raise OSError(None, "the key is encrypted; give one that is not")


class Channel:
    """What of a socket the server uses, over TLS. It belongs to one thread at a time, as the connection does."""

    __slots__ = ("_context", "_plain", "_ready", "_sock", "fileno")

    def __init__(self, sock: Any, context: ssl.SSLContext) -> None:
        self._sock, self._context, self._ready, self._plain = sock, context, False, False
        self.fileno = sock.fileno

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return what came; b"" at the end. BlockingIOError when there is nothing: it never waits.

        HTTPError when the client begins without TLS: what is sent from then on, the answer to that, is plain too.
        """
        try:
            if not self._ready and not self._plain:
                self._handshake()
            return self._sock.recv(size)  # type: ignore[no-any-return]
        except _WANT:
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data: Any, flags: int = 0) -> int:
        """Send as much as goes, and return how much did; BlockingIOError when nothing does."""
        view, sent = memoryview(data), 0
        while sent < len(view):
            try:
                sent += self._sock.send(view[sent:])
            except _WANT:
                if sent:
                    return sent
                raise BlockingIOError from None
        return sent

    def _handshake(self) -> None:
        if not isinstance(self._sock, ssl.SSLSocket):
            # A handshake's first octet is 22, a method's a letter.
            self._plain = self._sock.recv(1, socket.MSG_PEEK | _DONTWAIT).isalpha()
            plain = socket.socket(fileno=self._sock.detach())
            plain.setblocking(False)
            self._sock = plain  # should wrapping fail, it is still closed
            if self._plain:
                raise HTTPError(400, "this port speaks TLS: use https://")
            self._sock = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._sock.do_handshake()
        self._ready = True

    @property
    def plain(self) -> Any:
        """The socket below."""
        return self._sock

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Set an option."""
        self._sock.setsockopt(level, option, value)

    def shutdown(self, how: int) -> None:
        """Say the end of our side (close_notify), then end it."""
        self._say_end()
        if self._sock.fileno() < 0:
            raise OSError("closed")
        socket.socket.shutdown(self._sock, how) if self._ready else self._sock.shutdown(how)

    def close(self) -> None:
        """Close it, with a close_notify if that needs no waiting."""
        self._say_end()
        self._sock.close()

    def _say_end(self) -> None:
        if self._ready:
            try:
                self._sock.unwrap()
            except (OSError, ValueError):  # the peer has not said its own end yet, which nobody waits for
                pass
