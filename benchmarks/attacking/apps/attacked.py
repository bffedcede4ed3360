"""The effe that is attacked: hello, a body that is read, a form, a body that is not read, an answer of 8 MB."""

INFO = {"name": "attacked", "version": "1.0"}
LARGE = b"x" * 8_000_000


class Context:
    pass


def start():
    return Context()


def run(context, error, response, request):
    if request.path == "/large":
        response.write(LARGE)
    elif request.path == "/form":
        response.write(f"{len(request.form())} fields\n")
    elif request.path == "/body":
        response.write(f"{len(request.body.read())} octets\n")
    else:
        response.write("Hello from Effe\n")
