"""A schedule of INFO, which is crontab(5)'s, in the words of what calls at those times.

Both Kubernetes and systemd are stricter than cron: no range that goes over the end of a week, no Sunday called 7.
"""

from __future__ import annotations

from ..effe.conventions import DAYS, MONTHS

__all__ = ["cron", "on_calendar"]

# First and last number of each field, and names with the number of the first.
FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 6, DAYS))


def cron(schedule: str) -> str:
    """Return the schedule as robfig/cron takes it, whose words a CronJob's and a PingSource's are: numbers only."""
    return " ".join(
        ",".join(_plain(item, *field) for item in text.split(","))
        for text, field in zip(schedule.split(), FIELDS, strict=True)
    )


def on_calendar(schedule: str) -> list[str]:
    """Return the schedule as systemd.time(7) has it: one event, or two of which either is enough.

    Where both the day of the month and that of the week are restricted cron takes either (POSIX, crontab); a calendar
    event takes both.
    """
    texts = schedule.split()
    minutes, hours, days, months, weekdays = (_numbers(text, *field) for text, field in zip(texts, FIELDS, strict=True))
    names = ",".join(DAYS[number].title() for number in weekdays)
    head = f"{names} " if len(weekdays) < len(DAYS) else ""
    time = f"{_listed(hours, 24)}:{_listed(minutes, 60)}:00"
    month, every = _listed(months, 12), _listed(days, 31)
    if head and every != "*" and not texts[2].startswith("*") and not texts[4].startswith("*"):
        return [f"*-{month}-{every} {time}", f"{head}*-{month}-* {time}"]
    return [f"{head}*-{month}-{every} {time}"]


def _plain(item: str, first: int, last: int, names: tuple[str, ...]) -> str:
    if item.startswith("*"):
        return item
    bounds, _, step = item.partition("/")
    start, end = _bounds(bounds, bool(step), first, last, names)
    if start <= end and last != 6:
        return (f"{start}-{end}" if start != end else str(start)) + (f"/{step}" if step and start != end else "")
    return ",".join(str(number) for number in _numbers(item, first, last, names))


def _numbers(text: str, first: int, last: int, names: tuple[str, ...]) -> list[int]:
    found: set[int] = set()
    for item in text.split(","):
        bounds, _, step = item.partition("/")
        start, end = (first, last) if bounds == "*" else _bounds(bounds, bool(step), first, last, names)
        if end < start:  # over the end: FRI-MON, 22-4
            end += last - first + 1
        for number in range(start, end + 1, int(step or 1)):
            found.add((number - first) % (last - first + 1) + first)
    return sorted(found)


def _bounds(text: str, stepped: bool, first: int, last: int, names: tuple[str, ...]) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    start = _number(low, first, names)
    return start, _number(high, first, names) if dash else last if stepped else start


def _number(text: str, first: int, names: tuple[str, ...]) -> int:
    return names.index(text) + first if text in names else int(text)


def _listed(numbers: list[int], size: int) -> str:
    return "*" if len(numbers) == size else ",".join(f"{number:02}" for number in numbers)
