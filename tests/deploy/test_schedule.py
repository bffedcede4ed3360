"""effetool.deploy.schedule: cron's words in those of Kubernetes and systemd."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime, timedelta

import pytest

from effetool.deploy.schedule import cron, on_calendar
from tests.parts import need

# robfig/cron's own bounds; a range may not go over the end.
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@pytest.mark.parametrize(
    ("schedule", "plain", "events"),
    [
        ("* * * * *", "* * * * *", ["*-*-* *:*:00"]),
        (
            "*/15 9-17 * * MON-FRI",
            "*/15 9-17 * * 1,2,3,4,5",
            ["Mon,Tue,Wed,Thu,Fri *-*-* 09,10,11,12,13,14,15,16,17:00,15,30,45:00"],
        ),
        ("0 0 * * 7", "0 0 * * 0", ["Sun *-*-* 00:00:00"]),
        ("0 0 * * FRI-SUN", "0 0 * * 0,5,6", ["Sun,Fri,Sat *-*-* 00:00:00"]),
        ("0 0 * * 5-7", "0 0 * * 0,5,6", ["Sun,Fri,Sat *-*-* 00:00:00"]),
        ("30 22-1 * * *", "30 0,1,22,23 * * *", ["*-*-* 00,01,22,23:30:00"]),
        ("5/20 3 1 FEB *", "5-59/20 3 1 2 *", ["*-02-01 03:05,25,45:00"]),
        ("0 0 13 * FRI", "0 0 13 * 5", ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]),
        ("0 0 */2 * FRI", "0 0 */2 * 5", ["Fri *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 00:00:00"]),
        ("07 08 09 09 *", "7 8 9 9 *", ["*-09-09 08:07:00"]),
    ],
)
def test_words(schedule: str, plain: str, events: list[str]) -> None:
    """Numbers within bounds, no range over an end; two events where either day is enough."""
    assert cron(schedule) == plain
    assert on_calendar(schedule) == events
    for text, (first, last) in zip(plain.split(), BOUNDS, strict=True):
        for item in text.split(","):
            numbers = [int(number) for number in re.findall(r"\d+", item.partition("/")[0])]
            assert all(first <= number <= last for number in numbers)
            assert numbers == sorted(numbers)


@pytest.mark.systemd
@pytest.mark.parametrize("schedule", ["*/15 9-17 * * MON-FRI", "0 0 13 * FRI", "30 22-1 * 2,6 SAT-MON"])
def test_systemd_finds_the_same_times(schedule: str) -> None:
    """The next elapses that systemd tells are the times a walk through cron's own rule finds."""
    need("systemd-analyze")
    command = [
        "systemd-analyze",
        "calendar",
        "--iterations=5",
        "--base-time=2026-11-24 00:00:00",
        *on_calendar(schedule),
    ]
    environment = {"TZ": "UTC", "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    times = sorted(set(re.findall(r"\w{3} (\d{4}-\d\d-\d\d \d\d:\d\d):00 UTC", told)))[:5]
    assert times == following(cron(schedule), 5)


def following(plain: str, count: int) -> list[str]:
    """Walk the minutes from the base time on."""
    texts = plain.split()
    allowed = [expanded(text, *bounds) for text, bounds in zip(texts, BOUNDS, strict=True)]
    either = not texts[2].startswith("*") and not texts[4].startswith("*")
    found: list[str] = []
    moment = datetime(2026, 11, 24)
    while len(found) < count:
        moment += timedelta(minutes=1)
        day, weekday = moment.day in allowed[2], moment.isoweekday() % 7 in allowed[4]
        if (
            moment.minute in allowed[0]
            and moment.hour in allowed[1]
            and moment.month in allowed[3]
            and ((day or weekday) if either else (day and weekday))
        ):
            found.append(moment.strftime("%Y-%m-%d %H:%M"))
    return found


def expanded(text: str, first: int, last: int) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        bounds, _, step = item.partition("/")
        low, _, high = bounds.partition("-")
        start, end = (first, last) if bounds == "*" else (int(low), int(high or low))
        found.update(range(start, end + 1, int(step or 1)))
    return found
