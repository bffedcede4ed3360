"""The effe of the stress test. With EFFE_PREEMPT, threads of the server lose the processor at random lines of it."""

import hashlib
import os
import random
import sys
import threading
import time

INFO = {"name": "preempted", "version": "1.0"}
LARGE = bytes(range(256)) * 1600  # more than the server keeps of an answer
preemptions = 0


def line(frame, event, argument):
    """Give the processor away at one line in a hundred, for long at one in ten thousand."""
    global preemptions
    chance = random.random()
    if chance < 0.01:
        preemptions += 1
        time.sleep(0.0 if chance > 0.0001 else 0.002)
    return line


def call(frame, event, argument):
    """Trace the functions of the server alone, one call in ten: all of them would be its only work."""
    return line if "/server/" in frame.f_code.co_filename and random.random() < 0.1 else None


sys.setswitchinterval(1e-6)
if os.environ.get("EFFE_PREEMPT"):
    threading.settrace(call)
    sys.settrace(call)


class Context:
    """Only one run at a time may have it."""

    def __init__(self):
        self.owner = None


def start():
    return Context()


def run(context, error, response, request):
    _, word, rest = request.path.split("/", 2)
    assert context.owner is None, "two runs have one context"
    context.owner = me = object()
    try:
        if word == "sleep":
            time.sleep(0.02)
        elif word == "burn":
            until = time.thread_time() + 0.002
            while time.thread_time() < until:
                pass
        elif word == "raise":
            raise ValueError(rest)
        if word == "preemptions":
            response.write(str(preemptions))
        elif word == "large":
            response.write(rest)
            for place in range(0, len(LARGE), 100_000):
                response.write(LARGE[place : place + 100_000])
        elif word == "body":
            digest, size = hashlib.sha256(), 0
            while piece := request.body.read(10_000):
                digest.update(piece)
                size += len(piece)
            response.write(f"{rest} {size} {digest.hexdigest()}")
        else:
            response.write(rest)
        assert context.owner is me, "two runs have one context"
    finally:
        context.owner = None
