"""The words between a worker and its parent (effetool/runtime/process/protocol.py)."""

import socket

import pytest

from effetool.runtime.process.protocol import descriptors, environment


def test_what_the_parent_writes_the_worker_reads():
    with socket.socket() as first, socket.socket() as second, socket.socket() as control:
        groups = [[first, second], [second]]
        numbers = [[first.fileno(), second.fileno()], [second.fileno()]]
        assert descriptors(environment(1, groups, control)) == (1, numbers, control.fileno())


@pytest.mark.parametrize("value", ["", "1", "0:3", "0::4", "0:3,x:4", "1:3:4", "-1:3:4", "0:3:4:5", "0:3:"])
def test_a_value_of_somebody_else_is_refused(value):
    with pytest.raises(ValueError):
        descriptors(value)
