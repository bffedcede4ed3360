"""Hear signals whatever the threads do.

Python runs a signal's handler between two bytecodes of the main thread, which may be inside an author's C
call for as long as that takes. So the handlers do nothing: the C layer writes the number of each signal
into a pipe (`signal.set_wakeup_fd`), and a thread waits there. While the author's module is imported and its init()
runs, which is in the main thread (where libraries expect to be), a signal raises. An author may set handlers of his
own. They run in the main thread and may raise at any bytecode, so that thread does nothing else once the effe serves.
"""

from __future__ import annotations

import os
import select
import signal
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Not a signal: what `Signals.wake` sends.
WOKEN = 0
# What a serving process hears. Whoever starts one blocks them (worker_handle.py), and `Signals` unblocks them: a signal
# that comes before its handler is set would end the process.
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Ended(BaseException):
    """A signal came that ends the process; `args[0]` is its number."""


class Signals:
    """The signals a process hears, in the order they come. Make it in the main thread, once."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._gate = threading.Lock()  # the main thread passes it after each signal, to run what handler there is
        self._gate.acquire()
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in numbers:
            # nohup, and a shell's background job, have it ignored: that is the user's word.
            if number != signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, noted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    def wait(self, timeout: float | None = None) -> list[int]:
        """Return what came since the last call, waiting for the first; [] after `timeout` seconds without any."""
        if select.select([self.reader], [], [], timeout)[0]:
            return self.read()
        return []

    def read(self) -> list[int]:
        """Return what came, without waiting."""
        try:
            heard = list(os.read(self.reader, 1024))
        except BlockingIOError:
            return []
        self._pass()
        return heard

    def apart(self, work: Callable[[], int]) -> int:
        """Do `work` in a thread of its own and return its code, while the main thread runs the author's handlers.

        What a handler raises goes to `threading.excepthook` and ends nothing. Raises RuntimeError: there is no thread
        left; and what `work` raises.
        """
        codes: list[int] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                codes.append(work())
            except BaseException as error:
                errors.append(error)
            finally:
                self._pass()

        threading.Thread(target=run, name="effe-signals", daemon=True).start()
        while not codes and not errors:
            try:
                while not codes and not errors:
                    try:
                        self._gate.acquire()
                    except BaseException as error:
                        told = (type(error), error, error.__traceback__, threading.current_thread())
                        threading.excepthook(threading.ExceptHookArgs(told))
            except BaseException:  # noqa: S110 - another one, while the first was written
                pass
        if errors:
            raise errors[0]
        return codes[0]

    def _pass(self) -> None:
        """Let the main thread pass the gate once."""
        try:
            self._gate.release()
        except RuntimeError:  # it has not passed since the last time
            pass

    def during(self, work: Callable[[], int], *stops: signal.Signals) -> int:
        """Do work of the author's in the main thread, before there is anything to drain; return its code.

        One of the `stops` raises Ended in it. If his code swallows that, the next one ends the process.
        """
        ended = False

        def end(number: int, frame: object) -> None:
            nonlocal ended
            if ended:
                os._exit(128 + number)
            ended = True
            raise Ended(number)

        heard = [number for number in stops if signal.getsignal(number) is noted]
        for number in heard:
            signal.signal(number, end)
        try:
            for early in self.read():  # before the handlers stood
                if early in heard:
                    raise Ended(early)
                os.write(self._writer, bytes([early]))
            return work()
        finally:
            # asyncio.run(), for one, leaves neither wakeup fd nor handlers after its add_signal_handler().
            signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            for number in heard:
                signal.signal(number, noted)
            if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL and signal.SIGHUP in self._numbers:
                signal.signal(signal.SIGHUP, noted)

    def wake(self) -> None:
        """End a wait from another thread: it returns [WOKEN]."""
        try:
            os.write(self._writer, bytes([WOKEN]))
        except BlockingIOError:  # a full pipe wakes as well
            pass


def noted(number: int, frame: object) -> None:
    """Do nothing: being set is what makes the C layer write into the pipe, instead of ending the process."""
