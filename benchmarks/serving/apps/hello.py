"""The effe that is measured: hello, paths that sleep, compute for 50 ms of the clock or 10 ms of CPU, and an echo."""

import time

INFO = {"name": "bench", "version": "1.0"}


class Context:
    def __init__(self):
        self.value = 1


def start():
    return Context()


def run(context, error, response, request):
    if request.method == "POST":
        response.headers["Content-Type"] = "application/json"
        response.write(request.body.read())
        return
    if request.path == "/slow":
        time.sleep(0.05)
    elif request.path == "/cpu":
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
    elif request.path == "/work":
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
    response.write(f"Hello from Effe: {context.value}\n")
