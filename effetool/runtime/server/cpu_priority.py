"""What a thread's runs cost, and how one that computes for long steps aside for those that answer quickly.

The interpreter's lock goes round in turn: beside two runs that compute, the thread that answers all else would get
a third of the CPU. Linux has a nice value for each thread (sched(7)): the threads that compute get a higher one while
others wait. It can only be raised without privileges, so a thread whose priority was lowered ends after its run.
"""

from __future__ import annotations

import os
import sys
import threading
import time

# How nice, added to the process's own: a third of the share of CPU that others get.
STEP = 5
# Seconds of CPU in a run outside the leader: a run that waits uses none.
COMPUTES = 0.002


class Effort:
    """The CPU time of one thread. `begin` is the thread's own to call; the rest is under the server's lock."""

    def __init__(self) -> None:
        self.aside = False
        self._thread = 0
        self._clock = 0
        self._used: float | None = None  # of CPU, at the last look; None: not looked at in this run

    def begin(self) -> None:
        """Take note of the calling thread."""
        if sys.platform == "linux":
            try:
                self._clock = time.pthread_getcpuclockid(threading.get_ident())
                self._thread = threading.get_native_id()
            except OSError:  # a sandbox may forbid it
                self._thread = 0

    def end(self) -> None:
        """Take note that the run has ended."""
        self._used = None

    def look(self) -> None:
        """Let others go first where this thread has computed since the last look in this run. It must be alive."""
        if self.aside or not self._thread:
            return
        try:
            used = time.clock_gettime(self._clock)
        except OSError:  # the thread has ended
            self._thread = 0
            return
        if self._used is not None and used - self._used >= COMPUTES:
            self.step_aside()
        self._used = used

    def step_aside(self) -> None:
        """Let others go first."""
        if self.aside or not self._thread:
            return
        try:
            os.setpriority(os.PRIO_PROCESS, self._thread, min(19, os.getpriority(os.PRIO_PROCESS, 0) + STEP))
            self.aside = True
        except OSError:  # a sandbox may forbid it
            self._thread = 0
