"""The floor: what the kernel and Python's socket calls cost. One epoll, recv, send; nothing is parsed."""

import select
import socket
import sys

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: bare\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n\r\nHello from Effe: 1\n"
)
LAST = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=2048)
listener.setblocking(False)
poll = select.epoll()
poll.register(listener.fileno(), select.EPOLLIN)
clients = {}
while True:
    for number, _ in poll.poll():
        client = clients.get(number)
        if client is None:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            clients[client.fileno()] = client
            poll.register(client.fileno(), select.EPOLLIN)
            continue
        try:
            data = client.recv(65536, socket.MSG_DONTWAIT)
            ends = not data or b"Connection: close" in data
            if data:
                client.send(LAST if ends else ANSWER, socket.MSG_DONTWAIT)
        except OSError:
            ends = True
        if ends:
            del clients[number]
            client.close()
