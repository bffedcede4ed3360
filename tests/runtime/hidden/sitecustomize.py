"""First on the PYTHONPATH of a server, this makes its system one without epoll: `selectors` then takes poll(2)."""

import select

if hasattr(select, "epoll"):
    del select.epoll
