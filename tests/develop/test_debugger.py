"""An editor's debugger attached to `effe-tool dev --debugpy`, by the configuration that `new --vscode` writes."""

import json
import signal
import socket
import threading

import pytest

from effetool.develop.port import owner
from effetool.templating.scaffold import NewOptions, new
from tests.browser import until
from tests.docs.shell import free_port

from .conftest import PATIENCE, Dev

pytestmark = pytest.mark.slow


class Editor:
    """A client of the Debug Adapter Protocol, as an editor is one: requests, responses and events as JSON."""

    def __init__(self, configuration, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._file = self._socket.makefile("rb")
        self._count = 0
        self._events = []
        self.ask("initialize", adapterID="debugpy", clientID="test", linesStartAt1=True)
        self._attach = self._send("attach", **configuration)
        self.wait("initialized")

    def begin(self, file, line):
        """Set one breakpoint, and let it run."""
        found = self.ask("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line}])
        assert found["breakpoints"][0]["verified"]
        self.ask("configurationDone")
        self._answer(self._attach)

    def ask(self, command, **arguments):
        return self._answer(self._send(command, **arguments))

    def wait(self, event):
        for known in self._events:
            if known["event"] == event:
                self._events.remove(known)
                return known.get("body", {})
        while True:
            message = self._receive()
            if message.get("event") == event:
                return message.get("body", {})
            self._events.append(message) if message["type"] == "event" else None

    def close(self):
        self._file.close()
        self._socket.close()

    def _send(self, command, **arguments):
        self._count += 1
        data = json.dumps({"seq": self._count, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        return self._count

    def _answer(self, number):
        while True:
            message = self._receive()
            if message["type"] == "response" and message["request_seq"] == number:
                assert message["success"], message
                return message.get("body", {})
            self._events.append(message) if message["type"] == "event" else None

    def _receive(self):
        length = 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            length = int(line.partition(b":")[2])
        assert length, "the debugger has gone"
        return json.loads(self._file.read(length))


def stopped_at(editor, running, file, line):
    """Have a request stop at the breakpoint, look at the value there, let it go on; return the answer."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(running.get()))
    thread.start()
    stop = editor.wait("stopped")
    frame = editor.ask("stackTrace", threadId=stop["threadId"])["stackFrames"][0]
    assert (frame["source"]["path"], frame["line"]) == (str(file), line)
    value = editor.ask("evaluate", expression="word", frameId=frame["id"])["result"]
    editor.ask("continue", threadId=stop["threadId"])
    thread.join(PATIENCE)
    return value, answer[0]


SOURCE = """INFO = {"name": "hello", "version": "1.0"}
def run(context, error, response, request):
    word = "one"
    response.write(word)
"""


def test_an_editor_attaches_and_again_after_a_save(tmp_path):
    """It stops at a breakpoint that the editor set, in the effe, sees its values; after a save it attaches anew."""
    new(NewOptions(tmp_path / "hello", vscode=True))
    logic = tmp_path / "hello" / "logic.py"
    logic.write_text(SOURCE)
    (launch,) = [
        one
        for one in json.loads((tmp_path / "hello" / ".vscode" / "launch.json").read_text())["configurations"]
        if one["request"] == "attach"
    ]
    port = free_port()
    running = Dev("hello", "-port", "0", "--debugpy", str(port), cwd=tmp_path)
    try:
        running.ready()
        assert running.wait(f"debugger on port {port}")
        for word, count in (("one", 0), ("two", 1)):
            if count:
                logic.write_text(SOURCE.replace("one", word))
                running.wait("reloaded", count)
            editor = Editor(launch, port)
            editor.begin(logic, 4)
            value, answer = stopped_at(editor, running, logic, 4)
            assert (value, answer) == (repr(word), (200, word))
            editor.close()
        assert running.stop() == 130
    finally:
        running.kill()


def test_a_port_that_is_taken(tmp_path):
    """E301 with its owner, at once."""
    (tmp_path / "logic.py").write_text(SOURCE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = Dev("logic.py", "-port", "0", "--debugpy", str(taken.getsockname()[1]), cwd=tmp_path)
        try:
            running.wait("error[E301]")
            assert running.process.wait(PATIENCE) == 1
        finally:
            running.kill()


def test_ctrl_c_with_an_editor_attached(tmp_path):
    """It ends, with the debugger's own process."""
    (tmp_path / "logic.py").write_text(SOURCE)
    port = free_port()
    running = Dev("logic.py", "-port", "0", "--debugpy", str(port), cwd=tmp_path)
    try:
        running.ready()
        editor = Editor({"connect": {"host": "127.0.0.1", "port": port}}, port)
        editor.begin(tmp_path / "logic.py", 4)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(PATIENCE) == 130
        editor.close()
        until(lambda: owner(port) is None)
    finally:
        running.kill()
