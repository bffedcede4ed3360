"""A thread for each connection, with the effe's own parser, response and switch interval; no pool, limit or metric."""

import socket
import sys
import threading
import time

from effetool.runtime.contract.request import Request
from effetool.runtime.contract.response import respond
from effetool.runtime.http.head import Clock
from effetool.runtime.http.parser import Limits, parse_head

LIMITS = Limits(64 * 1024, 8 * 1024, 100)
CLOCK = Clock()


class Connection:
    closing = False

    class server:
        clock = CLOCK


def serve(client):
    connection = Connection()
    while data := client.recv(65536):
        request = parse_head(data.decode("latin-1"), 0, LIMITS, Request)
        request.connection = connection
        request._id = request._headers = None
        connection.closing = request.close
        response = respond(request)
        if request.method == "POST":
            response.headers["Content-Type"] = "application/json"
            response.write(data[request.end :])
        else:
            if request.path == "/slow":
                time.sleep(0.05)
            elif request.path == "/cpu":
                end = time.perf_counter() + 0.05
                while time.perf_counter() < end:
                    pass
            response.write("Hello from Effe: 1\n")
        client.sendall(response._whole())
        if request.close:
            break
    client.close()


sys.setswitchinterval(0.0005)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=2048)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
