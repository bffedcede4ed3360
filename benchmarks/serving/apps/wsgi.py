"""The same as WSGI (PEP 3333), for granian, gunicorn, waitress and bjoern."""

import sys
import time


def app(environ, start_response):
    kind = "text/plain; charset=utf-8"
    if environ["REQUEST_METHOD"] == "POST":
        kind = "application/json"
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    else:
        if environ["PATH_INFO"] == "/slow":
            time.sleep(0.05)
        elif environ["PATH_INFO"] == "/cpu":
            end = time.perf_counter() + 0.05
            while time.perf_counter() < end:
                pass
        body = b"Hello from Effe: 1\n"
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    import bjoern

    bjoern.run(app, "127.0.0.1", int(sys.argv[1]))
