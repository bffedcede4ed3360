"""The flags of a running effe (effetool/runtime/flags.py)."""

import os

import pytest

from effetool.runtime.flags import (
    ACTIONS,
    FLAGS,
    NEVER,
    UNLIMITED,
    FlagError,
    Settings,
    duration,
    parse,
    size,
    usage,
)

ROWS = [row for _, rows in FLAGS for row in rows]


@pytest.mark.parametrize("argv", [["-port", "8081"], ["-port=8081"], ["--port", "8081"], ["--port=8081"]])
def test_one_and_two_dashes_a_space_and_an_equals_sign_are_the_same(argv):
    """Go's package flag takes all four; so does an effe."""
    assert parse(argv, {}).port == 8081


def test_a_flag_beats_effe_port_beats_port_beats_8080():
    """The nearer to the user, the stronger."""
    environ = {"EFFE_PORT": "2", "PORT": "3"}
    assert parse(["-port", "1"], environ).port == 1
    assert parse([], environ).port == 2
    assert parse([], {"PORT": "3"}).port == 3
    assert parse([], {}).port == 8080
    assert parse(["-port", "1"], {"EFFE_UNIX": "s"}).unix is None
    assert parse(["-unix", "s"], {"EFFE_PORT": "2"}).unix == "s"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_flag_is_an_attribute_and_an_environment_variable(row):
    """Nothing can be set on the command line only: containers are configured by their environment."""
    name, _, value, default, what, why = row
    attribute, variable = name.replace("-", "_"), "EFFE_" + name.replace("-", "_").upper()
    given = {"-log": "json", "-access-log": "true", "-admin": "127.0.0.1:9"}.get(f"-{name}", "7")
    environ = {"EFFE_CERT": "chain.pem", variable: given}
    assert getattr(parse([], environ), attribute) == getattr(parse(["-cert=c", f"-{name}={given}"], {}), attribute)
    assert attribute in Settings.__slots__ and attribute in Settings.__annotations__
    assert what and why.endswith(".") and (default is not None or value is not None)


def test_the_last_of_two_equal_flags_counts():
    """So that a wrapper script's flags can be overridden by its user's."""
    assert parse(["-port", "1", "-port", "2"], {}).port == 2


def test_a_boolean_needs_no_value_and_takes_one_after_an_equals_sign():
    """`-access-log false` would be a flag and an operand, as in Go."""
    assert parse(["-access-log"], {}).access_log is True
    assert parse(["-access-log=false"], {"EFFE_ACCESS_LOG": "true"}).access_log is False
    with pytest.raises(FlagError, match="-access-log=maybe: this takes true or false"):
        parse(["-access-log=maybe"], {})


def test_the_variable_that_a_flag_beats_is_not_looked_at():
    """Whatever it holds: the flag is the fix."""
    environ = {"EFFE_PORT": "x", "EFFE_ACCESS_LOG": "maybe"}
    settings = parse(["-port", "9", "-access-log"], environ)
    assert (settings.port, settings.access_log) == (9, True)
    with pytest.raises(FlagError, match=r"^\$EFFE_PORT=x: "):
        parse(["-access-log"], environ)


def test_an_ipv6_host_may_be_in_brackets():
    """As it is in -admin and in a URL."""
    assert parse(["-host", "[::1]"], {}).host == parse([], {"EFFE_HOST": "::1"}).host == "::1"
    with pytest.raises(FlagError, match="-host "):
        parse(["-host", "[]"], {})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("0.25", 0.25),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("250us", 250e-6),
        ("9" * 30, NEVER),
    ],
)
def test_durations_are_gos_and_a_bare_number_is_seconds(text, seconds):
    """The notation of time.ParseDuration, less its signs."""
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "-1s", "1m30", "1 s", "1e3", ".", "nan", "inf", "1..2s", "0x10", "٣"])
def test_what_is_no_duration_is_refused(text):
    """float() would take nan, inf, 1e3 and non-ASCII digits; a time-out of nan never fires."""
    with pytest.raises(ValueError, match="a duration like"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "octets"), [("0", 0), ("4096", 4096), ("64KiB", 65536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)]
)
def test_sizes_have_binary_suffixes(text, octets):
    """A MiB is 1048576 bytes, whatever a disk maker says."""
    assert size(text) == octets


@pytest.mark.parametrize("text", ["", "KiB", "1Mb", "1.5MiB", "-1", "1 KiB", "+1", "1_000", "٣", "9" * 40])
def test_what_is_no_size_is_refused(text):
    """int() would take +1, 1_000 and non-ASCII digits."""
    with pytest.raises(ValueError, match="a size like"):
        size(text)


def test_no_limit_is_a_number_that_is_never_reached():
    """So that the server compares and never asks whether there is a limit."""
    settings = parse(["-timeout", "0", "-max-body", "0"], {})
    assert (settings.timeout, settings.max_body) == (NEVER, UNLIMITED)
    for name in ("header", "body", "write", "idle"):
        assert getattr(parse([f"-{name}-timeout", "0"], {}), f"{name}_timeout") == NEVER
    assert parse(["-grace", "0"], {}).grace == 0.0


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["-prot", "1"], "there is no flag -prot: did you mean -port?; -help lists them all"),
        (["-x"], "there is no flag -x; -help lists them all"),
        (["---port", "1"], "there is no flag -port: did you mean -port?; -help lists them all"),
        (["-port"], "-port needs a value: -port 8080"),
        (["-port", "x"], "-port x: this takes a port from 0 (any free one) to 65535, such as -port 8080"),
        (
            ["-port=65536"],
            "-port=65536: this takes a port from 0 (any free one) to 65535, such as -port 8080",
        ),
        (["-workers", "0"], "-workers 0: this takes a number from 1 to 1024, or auto"),
        (["-timeout", "3x"], "-timeout 3x: this takes a duration like 500ms, 30s or 1m30s"),
        (
            ["-max-header", "0"],
            "-max-header 0: this takes a size of a byte or more, like 64KiB or 1MiB, such as -max-header 32KiB",
        ),
        (["-log", "yaml"], "-log yaml: this takes text or json"),
        (
            ["-admin", "9090"],
            "-admin 9090: this takes HOST:PORT, such as 127.0.0.1:9090, [::1]:9090 or :9090",
        ),
        (
            ["-admin", "::1:90"],
            "-admin ::1:90: this takes HOST:PORT, such as 127.0.0.1:9090, [::1]:9090 or :9090",
        ),
        (["-key", "k.pem"], "-key needs its certificate: add -cert FILE"),
        (["-unix", "s", "-port", "1"], "-unix is instead of a port: leave out -port or -unix"),
        (["a.py", "b.py"], "one effe at a time: 'b.py' is too much after 'a.py'"),
        (
            ["-port", "1\n2"],
            "-port 1\\n2: this takes a port from 0 (any free one) to 65535, such as -port 8080",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_write(argv, line):
    """No usage text of fifty lines hides the one that matters."""
    with pytest.raises(FlagError) as caught:
        parse(argv, {})
    assert str(caught.value) == line


def test_a_mistake_in_the_environment_names_its_variable():
    """A container's user never typed a flag."""
    with pytest.raises(FlagError) as caught:
        parse([], {"PORT": "http"})
    assert str(caught.value) == "$PORT=http: this takes a port from 0 (any free one) to 65535, such as PORT=8080"


def test_actions_are_not_read_from_the_environment():
    """A container with EFFE_VERSION=1.2 among its variables must serve, not print a version and end."""
    assert parse([], {f"EFFE_{name.upper()}": "1" for name, _ in ACTIONS}).action == ""
    assert [parse([f"-{name}"], {}).action for name, _ in ACTIONS] == [name for name, _ in ACTIONS]
    assert parse(["-h"], {}).action == "help"


def test_an_operand_is_the_effe_to_run_wherever_it_stands():
    """`hello.py -port 1` and `-port 1 hello.py` are the same; `--` ends the flags."""
    assert parse(["hello.py", "-port", "1"], {}).path == "hello.py"
    assert parse(["-port", "1", "hello.py"], {}).path == "hello.py"
    assert parse(["--", "-odd.py"], {}).path == "-odd.py"


@pytest.mark.parametrize("argv", [["a", "b"], ["--", "-port"], ["-access-log", "true"]])
def test_a_built_file_is_the_effe_and_takes_no_operand(argv):
    """`-host *` where the shell knows files, `-access-log true`."""
    with pytest.raises(FlagError, match="this effe takes no argument"):
        parse(argv, {}, operand=False)


def test_settings_are_the_defaults_with_some_changed():
    """How the other tests, and the tool, make them."""
    assert Settings(port=0).port == 0
    assert Settings().timeout == 30.0
    with pytest.raises(AttributeError):
        Settings(prot=1)


def test_help_lists_every_flag_with_its_default():
    """Help is made from the table, so it cannot lie."""
    text = usage("./hello-1.0.pex", "hello 1.0")
    for name, _, value, default, what, _ in ROWS:
        assert f"  -{name} {value}".rstrip() in text and what in text
        assert default in (None, "false") or f"{what} (default {default})" in text
    for name, what in ACTIONS:
        assert f"  -{name}" in text and what in text
    assert max(map(len, text.splitlines())) <= 110


def reference():
    """Write docs/reference/flags.md: `python -m pytest tests/runtime/test_flags.py` says when it is out of date."""
    lines = [
        "# The flags of a running effe",
        "",
        "Go's syntax: `-port 8080`, `-port=8080` and `--port 8080` are the same; a boolean is `-access-log` or",
        "`-access-log=false`. Each flag can also be set by an environment variable; the flag takes precedence.",
        "A duration is `500ms`, `30s`, `1m30s` or a number of seconds; as a time-out, 0 means no limit. A size is",
        "`64KiB`, `1MiB` or bytes.",
        "",
        "A wrong flag prints one line on stderr, with the correct form, and exits with 2. An effe that cannot",
        "start exits with 1.",
    ]
    for section, rows in FLAGS:
        lines += ["", f"## {section}", ""]
        lines += ["| flag | default | what it does, and why this default |", "|---|---|---|"]
        for name, _, value, default, what, why in rows:
            names = f"`-{name} {value}`".replace(" `", "`").replace("|", "\\|")
            variable = "`$EFFE_PORT`, `$PORT`" if name == "port" else f"`$EFFE_{name.upper().replace('-', '_')}`"
            lines.append(f"| {names}<br>{variable} | {default or ''} | {what[0].upper() + what[1:]}. {why} |")
    lines += ["", "## Instead of serving", "", "| flag | what it does |", "|---|---|"]
    lines += [f"| `-{name}` | {what[0].upper() + what[1:]}. |" for name, what in ACTIONS]
    return "\n".join(lines) + "\n"


def test_the_reference_page_is_this_table(pytestconfig):
    """It cannot lie about a default. `EFFE_WRITE_DOCS=1` writes it anew."""
    page = pytestconfig.rootpath / "docs" / "reference" / "flags.md"
    if os.environ.get("EFFE_WRITE_DOCS"):
        page.write_text(reference())
    assert page.read_text() == reference()
