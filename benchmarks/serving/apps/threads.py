"""The same on http.server, as good as it gets: HTTP/1.1, a thread for each connection, one buffered write."""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(0.05)
        elif self.path == "/cpu":
            end = time.perf_counter() + 0.05
            while time.perf_counter() < end:
                pass
        self.answer("text/plain; charset=utf-8", b"Hello from Effe: 1\n")

    def do_POST(self):
        self.answer("application/json", self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 2048
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
