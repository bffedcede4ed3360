"""Count what is refused and who is cut off, by reason; with -access-log, log it too.

An attack must not fill the log: so many records a second for each reason, then their number.
"""

from __future__ import annotations

import threading
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .log import Log

# The status of a refusal that is not in REASONS is of a request that says what no server here supports.
STATUSES = {
    400: "malformed", 408: "stalled", 413: "body_too_large", 414: "target_too_long", 431: "head_too_large",
    503: "overloaded", 504: "timeout",
}  # fmt: skip
# Without an answer: closed to make room for others; a response that nobody reads; a run that waits for its client.
CROWDED, UNREAD, WAITING = "crowded", "unread", "waiting"
OTHER = "unsupported"
REASONS = (*STATUSES.values(), OTHER, CROWDED, UNREAD, WAITING)
# Records a second for each reason.
MOST = 10


class Refusals:
    """The counts of one process, in the order of REASONS. Any thread may note one."""

    def __init__(self, log: Log | None) -> None:
        """Write records to `log`; None: only count."""
        self.counts = [0] * len(REASONS)
        self._log = log
        self._lock = threading.Lock()
        self._second = 0.0
        self._logged: dict[str, int] = {}

    def note(self, reason: str, client: str, status: int | None = None) -> None:
        """Count one refusal; `status` is that of the answer, None where there is none."""
        with self._lock:
            self.counts[REASONS.index(reason)] += 1
            if self._log is None or reason == "timeout":  # a 504 has its own access record
                return
            more = self._turn(monotonic())
            number = self._logged[reason] = self._logged.get(reason, 0) + 1
        self._tell(more)
        if number <= MOST:
            fields = {"reason": reason, "client": client}
            self._log.info("refused", **({"status": status} if status else {}), **fields)

    def tick(self, now: float) -> None:
        """Log how many more there were in a second that is over; `now` is monotonic seconds."""
        if self._logged:
            with self._lock:
                more = self._turn(now)
            self._tell(more)

    def _turn(self, now: float) -> dict[str, int]:
        """Begin another second if it is time; return what the last one left unsaid. Under the lock."""
        if now - self._second < 1.0:
            return {}
        more = {reason: count - MOST for reason, count in self._logged.items() if count > MOST}
        self._second, self._logged = now, {}
        return more

    def _tell(self, more: dict[str, int]) -> None:
        for reason, count in more.items():
            if self._log is not None:
                self._log.info(f"refused: and {count} more", reason=reason)
