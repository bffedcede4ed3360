"""One request and its answer: a context, the author's run, the response, and all that can go wrong between them."""

from __future__ import annotations

from time import monotonic

from ..contract.request import Request
from ..contract.response import Response, respond
from ..errors import Disconnected, HTTPError
from ..http.head import CONTINUE, REASONS, TEXT
from ..telemetry.counters import QUICK
from ..telemetry.refusals import OTHER, STATUSES
from .core import overloaded
from .poller import READ
from .states import PROGRESS, RUN
from .transport import BLOCKED, DONTWAIT, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .leader import Runner


class Exchange(Transport):
    """What a connection does between a complete head and a sent answer."""

    def answer(self, request: Request, runner: Runner) -> bool:
        """Run the author's code and send its answer. True: the connection can go on with its next request at once."""
        server = self.server
        slot = runner.slot
        if server.slow or not runner.leading:
            runner.enter(self, request)
        else:
            slot.append(request)
        response = respond(request)
        keep = True
        try:
            lease = server.idle.pop()
        except IndexError:
            started = server.pool.start()
            if started is None:
                return self._queue(request, runner)
            lease = started
            keep = lease.pooled
        data: bytes | None
        try:
            try:
                result = server.run(lease.context, lease.error, response, request)
                if result is None and response._streams is None and request.incoming is None:
                    if server.draining:
                        self.close_after()
                    data = response._whole()
                else:
                    data, response, keep = self._unusual(result, request, response, keep)
            except BaseException as error:
                result = error
                data, response, keep = self._failed(error, request, response, keep)
            try:
                slot.pop()
            except IndexError:
                if not runner.demoted(request):
                    server.pool.retire(lease)
                    return False
            now = monotonic()
            took = now - runner.mark
            runner.mark = now
            if keep:
                lease.used = now
                server.idle.append(lease)
        except BaseException:  # an error of the server's own: the context must not be lost with it
            server.pool.end(lease)
            raise
        if data is not None:
            try:
                sent = self._send(data, DONTWAIT)
            except BLOCKED:
                sent = 0
            except OSError:
                self.lose()
                sent = len(data)
                response._size = 0
            if sent != len(data):
                self.out = memoryview(data)[sent:]
        if not keep:  # after the answer: the author's stop() may take long
            try:
                runner.retire(lease, request)
            except BaseException:
                server.pool.end(lease)
                raise
            runner.mark = monotonic()
        if took < QUICK and response._status < 300:
            counts = runner.counts
            counts.quick += 1
            counts.seconds += took
        else:
            runner.counts.observe(response._status, took)
        if server.access or response.error:
            self._report(request, response, took, result)
        if request.incoming is not None and not request.incoming.complete:
            request.abandoned = True  # a thread of the author that still reads must not take what is drained
            self.current = request
            return False
        if self.closing or self.gone or self.out is not None:
            self.current = None
            return False
        self.moved = now
        self.deadline = now + server.idle_timeout
        return True

    def _unusual(
        self, result: Any, request: Request, response: Response, keep: bool
    ) -> tuple[bytes | None, Response, bool]:
        """Finish what is not the usual case: a returned error, a wrong return, a response that streams."""
        server = self.server
        if isinstance(result, BaseException):
            if server.observer is None:
                server.log.error("run() returned an error", exc=result, request_id=request.id)
            else:
                server.observer.failed(result, request, None)
        elif result is not None:
            close = getattr(result, "close", None)
            if close is not None and hasattr(result, "send"):
                close()  # a coroutine or generator that nobody will run
            error = TypeError(f"run() returned {type(result).__name__}; write the body to `response` instead")
            return *self._broken("run() returned a value", error, request, response, not response._finish()), keep
        if response._streams is None:
            self._settle_body(request)
            return response._whole(), response, keep
        response._end()
        return None, response, keep

    def _failed(
        self, error: BaseException, request: Request, response: Response, keep: bool
    ) -> tuple[bytes | None, Response, bool]:
        """Answer for a run that raised: the status it asked for, or 500 and nothing of the inside."""
        server = self.server
        begun = not response._finish()
        if isinstance(error, HTTPError):
            if begun:
                self.lose()
                server.log.error("run() raised after its response had begun", exc=error, request_id=request.id)
                return None, response, keep
            try:
                answer = respond(request)
                for name, value in (error.headers or {}).items():
                    answer.headers[name] = value
                return self._plain(request, answer, error.status, error.message), answer, keep
            except (
                Exception
            ) as wrong:  # what the author put into it is not an answer: that is the author's mistake, not the client's
                error = wrong
        if isinstance(error, Disconnected):
            if server.observer is not None:
                server.observer.failed(error, request, None)
            if begun or self.gone:
                self.lose()
                return None, response, False
            response = respond(request)
            self.close_after()
            return self._plain(request, response, 400, "the request ended early"), response, keep
        return *self._broken("run() failed", error, request, response, begun), False

    def _broken(
        self, what: str, error: BaseException, request: Request, response: Response, begun: bool
    ) -> tuple[bytes | None, Response]:
        """Tell of a run that failed; answer 500, or cut off the response that has begun."""
        answer = None if begun else respond(request)
        if answer is not None:
            answer.status = 500
        observer = self.server.observer
        if observer is None:
            self.server.log.critical(what, exc=error, request_id=request.id)
        else:
            observer.failed(error, request, answer)
        if answer is None:
            self.lose()
            return None, response
        return self._plain(request, answer, 500, ""), answer

    def _plain(self, request: Request, response: Response, status: int, message: str) -> bytes:
        if response._first is None:
            response.status = status
            response._kind = TEXT
            response.write(f"{message or REASONS.get(status, 'error')}\n")
        self._settle_body(request)
        return response._whole()

    def _settle_body(self, request: Request) -> None:
        """Decide whether the head of the answer says that we close: at the end, and for a body that was not read."""
        if self.server.draining:
            self.close_after()
        incoming = request.incoming
        if incoming is None or incoming.complete:
            return
        left = incoming.left
        if request.expects or (left is not None and left > 256 * 1024):
            self.close_after()

    def _report(self, request: Request, response: Response, seconds: float, result: Any) -> None:
        log = self.server.log
        if self.server.observer is not None:
            self.server.observer.answered(request, response, seconds, result)
            return
        if response.error:
            log.error(response.error, request_id=request.id)
        if not self.server.access:
            return
        size, cut = (0, self.gone) if response._bodyless() else (response._size, self.gone or bool(response.error))

        def write(left: int) -> None:
            log.access(
                request.method, request.target, response._status, max(0, size - left), seconds, self.peer()[0],
                cut=cut or left > 0, request_id=request.id, traceparent=request.headers.get("traceparent"),
            )  # fmt: skip

        if self.out is None:
            write(0)
        else:  # its reader decides
            self.owed = write

    def _queue(self, request: Request, runner: Runner) -> bool:
        """No context is free: wait for one (`_settle` puts it into the queue, as its last act), or be refused."""
        server = self.server
        try:
            runner.slot.pop()
        except IndexError:
            if not runner.demoted(request):
                return False
        request.begun = False
        if len(server.waiting) >= server.queue:
            self.refuse(overloaded(), runner)
        else:
            self.to_queue(request)
        return False

    def overdue(self, runner: Runner) -> None:
        """Answer 504 from outside: the run goes on, but nobody waits for it any more."""
        server = self.server
        with server.lock:
            request = self.current
            if self.state != RUN or request is None or request.begun:
                self.deadline = float("inf")
                return
            request.abandoned = True
            took = monotonic() - self.deadline + server.run_timeout
            self.to_idle()
            self.current = None
        server.log.error("run() exceeded -timeout: answered 504", request_id=request.id, target=request.target)
        self.refuse(HTTPError(504, "the function took too long"), runner)
        if server.settings.access_log:
            server.log.access(
                request.method, request.target, 504, 0, took, self.peer()[0],
                request_id=request.id, traceparent=request.headers.get("traceparent"),
            )  # fmt: skip

    # The thread of the run only.

    def claim(self, request: Request) -> None:
        """Claim the response's first byte for the run; Disconnected when a 504 has been sent instead."""
        with self.server.lock:
            if request.abandoned:
                raise Disconnected("the request was answered 504: run took longer than -timeout")
            request.begun = True
        self._settle_body(request)

    def receive(self, request: Request) -> None:
        """Wait for more of the request's body. Raises HTTPError and Disconnected."""
        if request.abandoned:
            raise Disconnected("the request has been answered: its body cannot be read any more")
        if request.expects:
            request.expects = False
            self.transmit(CONTINUE)
        incoming = request.incoming
        timeout = self.server.body_timeout
        while True:
            try:
                data = self._recv(64 * 1024, DONTWAIT)
                break
            except BLOCKED:
                if self._waited >= timeout:
                    self.close_after()
                    raise HTTPError(408, "the body has stalled") from None
                self._waited += self._wait(READ, timeout - self._waited)
            except OSError as error:
                raise self._lost(error.strerror) from None
        if not data:
            self.close_after()
            raise Disconnected("the client ended the request early")
        data = self.buffer + data
        try:
            self.buffer = data[incoming.feed(data, 0) :]
        except HTTPError:
            self.close_after()
            raise
        if incoming.received - self.mark >= PROGRESS or incoming.complete:
            with self.server.lock:
                if not request.abandoned:
                    self.mark = incoming.received
                    self._waited = 0.0
                    self.moved = monotonic()
                    self.deadline = monotonic() + self.server.run_timeout

    def refuse(self, error: HTTPError, runner: Runner) -> None:
        """Answer what cannot be served, and close: nobody knows where the next request would begin."""
        self.current = None
        body = f"{error.message or REASONS.get(error.status, 'error')}\n".encode()
        extra = "".join(f"{name}: {value}\r\n" for name, value in (error.headers or {}).items())
        data = self.server.clock.start(error.status) + (
            b"%bContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (extra.encode("latin-1"), len(body), body)
        )
        runner.counts.observe(error.status, 0.0)
        self.server.refusals.note(STATUSES.get(error.status, OTHER), self.peer()[0], error.status)
        self.close_after()
        try:
            self._send(data, DONTWAIT)
        except OSError:
            self.abort()
            return
        self.linger()
