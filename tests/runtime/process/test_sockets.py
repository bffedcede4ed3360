"""The sockets an effe listens on (effetool/runtime/process/sockets.py)."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from effetool.runtime.flags import Settings
from effetool.runtime.process import sockets
from effetool.runtime.process.admin import Admin
from effetool.runtime.process.sockets import ListenError


@pytest.fixture
def opened():
    """Sockets that are closed at the end."""
    found = []
    yield found
    sockets.close(found)


def bound(opened, environ=None, **settings):
    made = sockets.bind(Settings(**settings), {} if environ is None else environ)
    sockets.listen(made)
    opened += made
    return made


def reach(host, port):
    with socket.create_connection((host, port), 10) as client:
        return client.getpeername()[0]


def has_ipv6():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")


@needs_ipv6
def test_without_a_host_one_socket_takes_ipv4_and_ipv6(opened):
    """Dual stack: a container gets its probes over either."""
    (only,) = bound(opened, port=0)
    port = only.getsockname()[1]
    assert reach("127.0.0.1", port) == "127.0.0.1"
    assert reach("::1", port) == "::1"
    assert sockets.address(only) == f"http://localhost:{port}"


def test_a_host_is_the_only_address_listened_on(opened):
    """127.0.0.1 must not be reachable from the next machine, nor ::1."""
    (only,) = bound(opened, host="127.0.0.1", port=0)
    assert only.getsockname()[0] == "127.0.0.1"
    assert sockets.address(only, "https") == f"https://127.0.0.1:{only.getsockname()[1]}"


@needs_ipv6
def test_an_ipv6_host_is_written_in_brackets(opened):
    """RFC 3986 section 3.2.2; and it takes no IPv4 beside it."""
    (only,) = bound(opened, host="::1", port=0)
    port = only.getsockname()[1]
    assert reach("::1", port) == "::1"
    assert sockets.address(only) == f"http://[::1]:{port}"


def test_a_name_with_several_addresses_gets_one_port_on_all(opened):
    """`localhost` is 127.0.0.1 and ::1 for most: a client that tries either must find the effe."""
    made = bound(opened, host="localhost", port=0)
    assert len({listener.getsockname()[1] for listener in made}) == 1
    assert "127.0.0.1" in [listener.getsockname()[0] for listener in made]


def test_connections_are_sent_without_delay(opened):
    """TCP_NODELAY is inherited from the listener, which saves a call for each connection."""
    (only,) = bound(opened, host="127.0.0.1", port=0)
    with socket.create_connection(only.getsockname(), 10):
        only.setblocking(True)
        connection, _ = only.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_nobody_is_let_in_before_listen(opened):
    """While init runs, a proxy is refused at once and asks the next server."""
    opened += sockets.bind(Settings(host="127.0.0.1", port=0), {})
    with pytest.raises(ConnectionRefusedError):
        reach(*opened[0].getsockname())


@pytest.mark.skipif(sys.platform != "linux", reason="the owner is found in /proc")
@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_a_busy_port_names_who_has_it_and_the_next_one(opened, host):
    """What everybody asks next is: who is it?"""
    port = bound(opened, host="127.0.0.1", port=0)[0].getsockname()[1]
    with pytest.raises(ListenError) as caught:
        sockets.bind(Settings(host=host, port=port), {})
    me = f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
    assert str(caught.value) == f"port {port} is taken by {me}; stop it, or choose another: -port {port + 1}"


def test_a_port_bound_by_two_is_given_to_the_first_that_listens(opened):
    """Linux lets two sockets with SO_REUSEADDR bind one port until one of them listens."""
    first = sockets.bind(Settings(host="127.0.0.1", port=0), {})
    opened += first
    second = sockets.tcp("127.0.0.1", first[0].getsockname()[1])
    opened += second
    sockets.listen(first)
    with pytest.raises(ListenError, match="is taken"):
        sockets.listen(second)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", "-host 192.0.2.1: this machine has no such address; leave out -host to listen on all"),
        ("no.such.host.invalid", "-host no.such.host.invalid: "),
    ],
)
def test_an_address_that_is_not_here_is_named(host, message):
    """192.0.2.0/24 is for documentation (RFC 5737), .invalid is nobody's (RFC 6761)."""
    with pytest.raises(ListenError) as caught:
        sockets.bind(Settings(host=host, port=0), {})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("admin", "message"),
    [
        ("192.0.2.1:1", "-admin 192.0.2.1:1: this machine has no such address; -admin :1 listens on all"),
        ("no.such.host.invalid:1", "-admin no.such.host.invalid:1: "),
        ("[::1]:PORT", "port PORT is taken"),
        (":PORT", "port PORT is taken"),
    ],
)
def test_an_error_of_the_admin_listener_names_its_flag(opened, admin, message):
    """The fix is typed there, not at -host or -port."""
    port = bound(opened, port=0)[0].getsockname()[1]
    admin = admin.replace("PORT", str(port))
    with pytest.raises(ListenError) as caught:
        Admin(Settings(admin=admin), lambda: None, lambda: None, str, "{}")
    assert str(caught.value).startswith(message.replace("PORT", str(port)))
    if "taken" in message:
        assert str(caught.value).endswith(f"-admin {admin.rpartition(':')[0]}:{port + 1}")


def test_a_unix_socket_takes_connections_and_its_file_goes_at_the_end(tmp_path):
    """The mode follows the umask, as with every file a process makes."""
    path = tmp_path / "hello.sock"
    old = os.umask(0o117)
    try:
        made = sockets.bind(Settings(unix=str(path)), {})
    finally:
        os.umask(old)
    sockets.listen(made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert sockets.address(made[0]) == f"unix:{path}"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    sockets.close(made)
    assert not path.exists()


def test_a_socket_file_nobody_listens_on_is_replaced(opened, tmp_path):
    """It is what SIGKILL leaves behind."""
    path = tmp_path / "hello.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    bound(opened, unix=str(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_somebody_listens_on_and_a_file_that_is_none_stay(opened, tmp_path):
    """Nothing is taken away from another process, and no file is removed."""
    path = tmp_path / "hello.sock"
    bound(opened, unix=str(path))
    with pytest.raises(ListenError, match="another process listens there"):
        sockets.bind(Settings(unix=str(path)), {})
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ListenError, match="a file that is no socket is there"):
        sockets.bind(Settings(unix=str(tmp_path / "precious")), {})
    assert (tmp_path / "precious").read_text() == "x"
    with pytest.raises(ListenError, match="No such file or directory"):
        sockets.bind(Settings(unix=str(tmp_path / "no" / "x.sock")), {})
    with pytest.raises(ListenError, match="too long"):
        sockets.bind(Settings(unix=str(tmp_path / ("x" * 200))), {})


HANDED = """
import os, socket, sys
sys.path.insert(0, {root!r})
from effetool.runtime.process import sockets as listeners
from effetool.runtime.flags import Settings
environ = dict(os.environ, LISTEN_PID={pid}, LISTEN_FDS="1", LISTEN_FDNAMES="x")
os.dup2(int(sys.argv[1]), 3)
try:
    (one,) = listeners.bind(Settings(port=0), environ)
    print(one.getsockname()[1], one.get_inheritable(), sorted(k for k in environ if k.startswith("LISTEN")))
except listeners.ListenError as error:
    print(error)
"""


def handed(descriptor, pid="str(os.getpid())"):
    root = str(Path(sockets.__file__).parents[3])
    code = HANDED.format(root=root, pid=pid)
    command = [sys.executable, "-c", code, str(descriptor)]
    return subprocess.run(command, pass_fds=[descriptor], capture_output=True, text=True, check=True, timeout=60).stdout


def test_systemds_sockets_are_taken_and_its_variables_removed(opened):
    """sd_listen_fds(3): descriptor 3 on, for this pid only; the author's children must not take them for theirs."""
    (only,) = bound(opened, host="127.0.0.1", port=0)
    port = only.getsockname()[1]
    assert handed(only.fileno()) == f"{port} False []\n"
    other = handed(only.fileno(), pid="'1'").split()
    assert other[0] != str(port) and other[1:] == ["False", "[]"]


def test_a_handed_socket_that_does_not_listen_is_refused(tmp_path):
    """Accept=yes hands over a connection, which an effe cannot serve as a listener."""
    one, other = socket.socketpair()
    with one, other:
        assert "does not listen; use Accept=no" in handed(one.fileno())
    with (tmp_path / "file").open("w") as file:
        assert "is no socket" in handed(file.fileno())


def test_a_listen_fds_of_another_script_is_none():
    """The superscript two is a digit to `str.isdigit`, and none to `int`."""
    assert sockets.inherited({"LISTEN_FDS": "\u00b2", "LISTEN_PID": str(os.getpid())}) == []
