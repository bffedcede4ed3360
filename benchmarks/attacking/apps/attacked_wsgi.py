"""The same as WSGI (PEP 3333), for granian."""

from urllib.parse import parse_qsl

LARGE = b"x" * 8_000_000


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/large":
        body = LARGE
    elif path == "/form":
        fields = parse_qsl(environ["wsgi.input"].read().decode("latin-1"))
        body = f"{len(fields)} fields\n".encode()
    elif path == "/body":
        body = f"{len(environ['wsgi.input'].read())} octets\n".encode()
    else:
        body = b"Hello from Effe\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
