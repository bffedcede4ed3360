"""The same as ASGI, for uvicorn."""

import asyncio
import time


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    kind, body = b"text/plain; charset=utf-8", b"Hello from Effe: 1\n"
    if scope["method"] == "POST":
        kind, body, more = b"application/json", b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
    elif scope["path"] == "/slow":
        await asyncio.sleep(0.05)
    elif scope["path"] == "/cpu":
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
    fields = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
