"""Attack a server on this machine: `attacker.py ATTACK PORT CONNECTIONS`. Ends with its standard input.

It writes one line when every connection has been tried once, and one of JSON at its end.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
import time

from attacks import ATTACKS, Attack

# How often the connections are looked at, and how many new ones there may be in one such look: 1,000 a second.
TICK, NEW = 0.02, 20
# The most octets that a connection holds back before it skips its turns: the server takes them no faster.
BEHIND = 1 << 24


class Hostile:
    """One hostile connection, and those that come after it."""

    def __init__(self, attack: Attack, port: int, delay: float) -> None:
        self.attack, self.port = attack, port
        self.sock: socket.socket | None = None
        self.next = time.monotonic() + delay
        self.delay = delay
        self.place = 0
        self.out = memoryview(b"")

    def open(self, selector: selectors.BaseSelector, now: float) -> None:
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if not self.attack.reads:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect_ex(("127.0.0.1", self.port))
        self.place, self.out = 0, memoryview(self.attack.first)
        # Apart from one another: one burst of all is no attack on a server's patience.
        self.next = now + (self.delay or self.attack.every)
        self.delay = 0.0
        if self.attack.reads:
            selector.register(self.sock, selectors.EVENT_READ, self)

    def close(self, selector: selectors.BaseSelector) -> None:
        assert self.sock is not None
        if self.attack.reads:
            selector.unregister(self.sock)
        self.sock.close()
        self.sock = None

    def turn(self, now: float) -> bool:
        """Send what is due; False where the connection is at its end."""
        assert self.sock is not None
        attack = self.attack
        if now >= self.next:
            if attack.resets:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            if attack.then and len(self.out) < BEHIND:
                step = attack.step or len(attack.then)
                piece = attack.then[self.place : self.place + step]
                self.place = (self.place + step) % len(attack.then)
                self.out = memoryview(bytes(self.out) + piece) if self.out else memoryview(piece)
            self.next = max(self.next + attack.every, now)
        try:
            while self.out:
                self.out = self.out[self.sock.send(self.out) :]
            if not attack.reads:  # has the server gone? Nothing is taken from what it sent
                error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                return not error and not _hung_up(self.sock)
        except BlockingIOError:
            pass
        except OSError as error:
            # Not connected as yet: the server's queue is full.
            return error.errno in (107, 115)
        return True


def _hung_up(sock: socket.socket) -> bool:
    """Tell whether the connection has ended (tcp(7): its state is no more SYN_SENT or ESTABLISHED)."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in (1, 2)


def main() -> None:
    """Attack until standard input ends."""
    attack, port, count = ATTACKS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    os.set_blocking(0, False)
    selector = selectors.DefaultSelector()
    began = time.monotonic()
    all_of_them = [Hostile(attack, port, attack.every * number / count) for number in range(count)]
    opened = closed = 0
    told = False
    selector.register(0, selectors.EVENT_READ)
    while True:
        look = time.monotonic() + TICK
        while (left := look - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                hostile = key.data
                if hostile is None:
                    print(json.dumps({"opened": opened, "closed": closed}), flush=True)
                    return
                try:
                    if hostile.sock.recv(1 << 16):
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                hostile.close(selector)
                closed += 1
        now = time.monotonic()
        new = 0
        for hostile in all_of_them:
            if hostile.sock is None:
                if new == NEW:
                    continue
                hostile.open(selector, now)
                opened += 1
                new += 1
            elif not hostile.turn(now):
                hostile.close(selector)
                closed += 1
        if not told and opened >= count and now - began > 0.5:
            print("under way", flush=True)
            told = True


if __name__ == "__main__":
    main()
