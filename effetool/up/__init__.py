"""Up: every effe of a directory behind one port of one machine. Builds by builder, routes by deploy."""

from .built import NotBuilt, check_machines
from .event import Event
from .manager import up
from .proxy import find_haproxy

__all__ = ["Event", "NotBuilt", "check_machines", "find_haproxy", "up"]
