"""effetool.deploy.haproxy: the configuration, as a real HAProxy reads it and acts on it."""

from __future__ import annotations

import itertools
import json
import random
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from effetool.deploy import Effe
from effetool.deploy.haproxy import Front, configuration
from effetool.deploy.routing import routing_table
from effetool.deploy.servers import count_servers
from effetool.errors import DeployError, InfoError, UsageError
from effetool.runtime.flags import Settings
from tests.docs.shell import free_port

from .conftest import get, write_effes


def info(name: str, **keys: object) -> dict[str, object]:
    return {"name": name, "version": "1.0", **keys}


def written(effes: list[Effe], folder: Path, front: Front, maps: bool) -> Path:
    folder.mkdir()
    for name, text in configuration(effes, count_servers(effes, 2), front, maps=maps).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder / "haproxy.cfg"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate with its key in one file, at a path that no word of a configuration can be without quotes."""
    folder = tmp_path / 'it\'s a "cert" # $HOME \\'
    folder.mkdir()
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "crt")]
    subprocess.run(["openssl", "req", "-x509", *keys, *names, *files], check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "crt").read_text() + (folder / "key").read_text())
    return folder / "both.pem"


@pytest.mark.haproxy
@pytest.mark.parametrize("maps", [False, True])
def test_haproxy_finds_nothing_to_warn_of(maps: bool, tmp_path: Path, certificate: Path, haproxy: str) -> None:
    """Every form of it, under `zero-warning`; and it does refuse what would warn."""
    many = [info("a"), info("b-c_d", host=["x.org", "*.x.org"], route=["/a.b+c", "/q/~u@v:w"]), info("e", strip=False)]
    fronts = {
        "plain": Front(),
        "all": Front("127.0.0.1:1", certificate, "/tmp/a socket", "127.0.0.1:2", "daemon"),
        "none": Front(socket=None),
    }
    for infos in ([info("a")], many):
        effes = write_effes(tmp_path / str(len(infos)), *infos)
        for name, front in fronts.items():
            file = written(effes, tmp_path / f"{name}{len(infos)}", front, maps)
            done = subprocess.run([haproxy, "-c", "-f", file], capture_output=True, text=True)
            assert (done.returncode, done.stdout + done.stderr) == (0, "Configuration file is valid\n"), name
    file.write_text(file.read_text().replace("timeout server", "# timeout server"))
    assert subprocess.run([haproxy, "-c", "-f", file], capture_output=True).returncode == 1


def expected(effes: list[Effe], host: str, path: str) -> tuple[str, str] | None:
    """Say which effe answers and what path it sees: the table read row by row."""
    for route in routing_table(effes):
        fits = route.host in ("", host) or (route.host[:1] == "*" and host.endswith(route.host[1:]))
        if fits and (path == route.path or path.startswith(route.key)):
            longest = max(
                (p for p in route.effe.conventions.routes if f"{path}/".startswith(p.rstrip("/") + "/")), key=len
            )
            rest = path[len(longest.rstrip("/")) :] or "/"
            return route.effe.name, rest if route.effe.conventions.strip else path
    return None


@pytest.mark.haproxy
@pytest.mark.parametrize("maps", [False, True])
def test_a_request_reaches_the_effe_of_its_host_and_path(maps: bool, tmp_path: Path, instance, proxy) -> None:
    """Tables of any shape: hosts before wildcards before none, longer paths before shorter, cut at the slash."""
    dice = random.Random(6)
    names = ["hello", "mail", "shop"]
    running = [instance(effe) for effe in write_effes(tmp_path / "running", *map(info, names))]
    given = [each.given for each in running]
    hosts = ["a.org", "x.a.org", "y.x.a.org", "b.org", "*.a.org", "*.x.a.org"]
    routes = ["/", "/a", "/a/b", "/a/bc", "/b", "/ab", "/a.b", "/hello"]
    tables: list[list[dict[str, object]]] = [
        [info("hello"), info("mail"), info("shop")],
        [info("hello", route="/"), info("mail", host="*.a.org"), info("shop", host="x.a.org", route=["/a", "/a/b"])],
    ]
    while len(tables) < 6:
        places = dice.sample(list(itertools.product(["", *hosts], routes)), 12)
        infos = []
        for name in names:
            host = dice.choice(["", *hosts])
            mine = [path for one, path in places if one == host] or [f"/{name}"]
            places = [place for place in places if place[0] != host]
            infos.append(info(name, route=mine, strip=dice.random() < 0.7, **({"host": host} if host else {})))
        tables.append(infos)
    paths = [
        *routes,
        "/hello/",
        "/helloworld",
        "/a/",
        "/a//b",
        "/a/b/c",
        "/a/bcd",
        "/axb",
        "/abc",
        "/mail/x?/hello",
        "/shop",
    ]
    for number, infos in enumerate(tables):
        effes = write_effes(tmp_path / f"table{number}", *infos)
        front = proxy(effes, given, maps=maps, checked=False)
        for host, target in itertools.product(["a.org", "x.a.org", "y.x.a.org", "z.y.x.a.org", "B.ORG:81", "c"], paths):
            status, _, body = front.get(target, headers={"Host": host})
            want = expected(effes, host.lower().partition(":")[0], target.partition("?")[0])
            got = (json.loads(body)["effe"], json.loads(body)["path"]) if status == 200 else None
            assert got == want, (infos, host, target, status)
            assert status in (200, 404)
        front.process.terminate()


@pytest.mark.haproxy
def test_helloworld_is_not_hello(tmp_path: Path, instance, proxy) -> None:
    """And the effe does not learn where it is mounted; the query stays."""
    effes = write_effes(tmp_path, info("hello"))
    front = proxy(effes, [instance(effes[0])])
    assert front.get("/helloworld")[0] == front.get("/")[0] == front.get("/Hello")[0] == 404
    assert front.get("/helloworld")[2] == b"no effe answers here\n"
    seen = [json.loads(front.get(path)[2]) for path in ("/hello", "/hello?x=/hello", "/hello/", "/hello/hello")]
    assert [(one["path"], one["query"]) for one in seen] == [("/", ""), ("/", "x=/hello"), ("/", ""), ("/hello", "")]


@pytest.mark.haproxy
def test_what_a_client_says_of_itself_is_replaced(tmp_path: Path, instance, proxy) -> None:
    """X-Forwarded-*, Forwarded and X-Real-IP are HAProxy's to say; a request id is kept, or made."""
    effes = write_effes(tmp_path, info("hello"))
    front = proxy(effes, [instance(effes[0])])
    lies = {
        "X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6", "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "bank.example", "X-Request-ID": "mine", "Host": "hello.example:80",
    }  # fmt: skip
    fields = {
        name.lower(): value for name, value in json.loads(front.get("/hello", headers=lies)[2])["headers"].items()
    }
    assert "6.6.6.6" not in str(fields)
    assert (fields["x-forwarded-for"], fields["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert (fields["x-forwarded-host"], fields["x-request-id"]) == ("hello.example:80", "mine")
    fields = json.loads(front.get("/hello")[2])["headers"]
    assert len(fields["x-request-id"]) == 36


@pytest.mark.haproxy
@pytest.mark.parametrize("maps", [False, True])
def test_a_request_without_a_host_has_the_routes_of_every_host(maps: bool, tmp_path: Path, instance, proxy) -> None:
    """HTTP/1.0 needs none (RFC 9112, 3.2); a Host that is no name is no host's."""
    effes = write_effes(tmp_path, info("hello"), info("b", host=["b.org", "*.b.org"]))
    front = proxy(effes, [instance(effes[1]), "b=127.0.0.1:1/1"], maps=maps, checked=False)
    for head in (b"", b"Host:\r\n", b"Host: [::1]:80\r\n", b"Host: .\r\n"):
        with socket.create_connection(("127.0.0.1", front.port), timeout=60) as connection:
            connection.sendall(b"GET /hello HTTP/1.0\r\nX-Forwarded-Host: lie\r\n" + head + b"\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b" 200 OK" in answer.splitlines()[0], (head, answer)
        assert b"lie" not in answer


@pytest.mark.haproxy
def test_tls(tmp_path: Path, instance, proxy, certificate: Path) -> None:
    """TLS 1.2 and later, HTTP/2 offered; the effe is told."""
    effes = write_effes(tmp_path / "effes", info("hello"))
    front = proxy(effes, [instance(effes[0])], cert=certificate)
    words = ["curl", "-sS", "--cacert", certificate, "--write-out", "\n%{http_version}"]
    done = subprocess.run([*words, f"https://localhost:{front.port}/hello"], capture_output=True, text=True)
    body, _, version = done.stdout.rpartition("\n")
    assert (version, json.loads(body)["headers"]["x-forwarded-proto"]) == ("2", "https"), done.stderr
    old = subprocess.run([*words, "--tls-max", "1.1", f"https://localhost:{front.port}/hello"], capture_output=True)
    assert old.returncode == 35  # curl(1): the TLS handshake failed


@pytest.mark.haproxy
def test_what_an_effe_has_no_context_for_waits_outside(tmp_path: Path, instance, proxy) -> None:
    """INFO's concurrency is HAProxy's maxconn: an effe with two contexts and no queue refuses nobody of twelve."""
    effes = write_effes(tmp_path, info("hello", concurrency=2))
    front = proxy(effes, [instance(effes[0], "-concurrency", "2", "-queue", "0")])
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: front.get(f"/hello?sleep=0.05&n={n}"), range(24)))
    assert [status for status, _, _ in answers] == [200] * 24
    direct = proxy(write_effes(tmp_path, info("hello")), [f"hello=127.0.0.1:{front_port(front)}/1"], checked=False)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: direct.get(f"/hello?sleep=0.2&n={n}"), range(24)))
    assert 503 in [status for status, _, _ in answers]  # without it, it does


def front_port(front) -> int:
    """Return the port of the one server behind a front."""
    (row,) = front.runtime.servers()["hello"].values()
    return int(row["srv_port"])


@pytest.mark.haproxy
def test_the_statistics_page(tmp_path: Path, proxy) -> None:
    """On its own address, and not among the effes."""
    port = free_port()
    front = proxy(
        write_effes(tmp_path, info("hello")), ["hello=127.0.0.1:1/1"], stats=f"127.0.0.1:{port}", checked=False
    )
    status, fields, body = get(port, "/")
    assert (status, fields["content-type"]) == (200, "text/html")
    assert b"hello" in body and b"127.0.0.1:1" in body
    assert front.get("/hello")[0] == 503


def test_times_follow_the_effes(tmp_path: Path) -> None:
    """An effe's own 504 comes first; HAProxy closes idle connections first; a reload waits for what is under way."""
    effe = Settings()
    text = configuration(write_effes(tmp_path, info("a")), {"a": []}, Front())["haproxy.cfg"]
    times = {
        words[-2]: int(words[-1][:-1])
        for line in text.splitlines()
        if (words := line.split())[-1:] and "timeout" in words
    }
    assert times["server"] > effe.timeout
    assert times["http-keep-alive"] < effe.idle_timeout
    assert times["http-request"] == effe.header_timeout
    assert times["client"] > effe.body_timeout
    assert "hard-stop-after 60s" in text and effe.timeout + effe.grace < 60


def test_two_effes_at_one_place_are_refused_with_both_places(tmp_path: Path) -> None:
    """Nothing is written then; a longer path is another place."""
    effes = write_effes(tmp_path, info("a", route=["/x", "/y"]), info("b", route=["/z", "/y"]))
    with pytest.raises(DeployError, match="a and b both answer at /y") as caught:
        configuration(effes, count_servers(effes), Front())
    assert caught.value.code == "E411"
    assert caught.value.place is not None and caught.value.place.file == tmp_path / "b" / "logic.py"
    assert str(tmp_path / "a" / "logic.py") in caught.value.notes[0]
    routing_table(write_effes(tmp_path / "other", info("a", route="/x"), info("b", route="/x/y")))


HOSTILE = {
    "route": [
        "/a b", "/a\n  server evil 6.6.6.6:80", "/a'", "/a\\", "a", "/%[env(HOME)]", "/a/../b", "/${HOME}", "/é", "",
    ],
    "host": ["a b", "a\nb", "*", "6.6.6.6", "A.org", "a.org:80", "[::1]", ""],
    "concurrency": [0, -1, "1 check", 1e9],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in HOSTILE.items() for value in values])
def test_nothing_from_info_gets_into_the_file_unread(key: str, value: object, tmp_path: Path) -> None:
    """What is no route, host or number is refused, at its place."""
    effes = write_effes(tmp_path, info("a", **{key: value}))
    with pytest.raises(InfoError) as caught:
        configuration(effes, {"a": []}, Front())
    assert caught.value.place is not None and caught.value.place.line == 3


@pytest.mark.parametrize("value", ["", "a\nb", "a\0", "\x7f"])
def test_a_flag_with_a_line_break_is_refused(value: str, tmp_path: Path) -> None:
    """Quotes do not hold a line break in HAProxy's configuration."""
    effes = write_effes(tmp_path, info("a"))
    with pytest.raises(UsageError, match="--bind"):
        configuration(effes, count_servers(effes), Front(bind=value))
