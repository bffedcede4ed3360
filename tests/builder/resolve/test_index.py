"""pip's configuration: read as pip reads it, handed to uv, used for downloads, shown to nobody."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from effetool.builder.resolve.index import read_index, without_credentials


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "shared"), **more}


def test_later_files_and_then_the_environment_win(tmp_path: Path) -> None:
    """System, user, PIP_CONFIG_FILE, PIP_*: the same answer as `pip config list`."""
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://user/simple\ntimeout = 7\n[install]\nfind-links =\n    /one\n    ~/two\n"
    )
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex_url = https://file/simple\nextra-index-url = https://extra/simple\n"
    )
    given = environ(tmp_path, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"), PIP_NO_INDEX="1")
    index = read_index(given)
    assert (index.url, index.extra, index.timeout, index.none) == (
        "https://file/simple", ("https://extra/simple",), 7.0, True,
    )  # fmt: skip
    assert index.links[0] == "/one"
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env={**given, "PATH": ""}, capture_output=True, text=True
    ).stdout
    assert "https://file/simple" in told and "https://extra/simple" in told


def test_uv_is_told_by_environment_and_the_user_has_the_last_word(tmp_path: Path) -> None:
    """What uv does not read it is told; what was set for uv stays; nothing goes on a command line."""
    given = environ(
        tmp_path, PIP_INDEX_URL="https://u:p@index/simple", PIP_EXTRA_INDEX_URL="https://a/s https://b/s",
        PIP_CERT="/ca.pem", PIP_PROXY="http://proxy:1", PIP_TRUSTED_HOST="index", PIP_FIND_LINKS="/one /two",
    )  # fmt: skip
    told = read_index(given).uv_environment(given)
    assert told["UV_DEFAULT_INDEX"] == "https://u:p@index/simple"
    assert told["UV_INDEX"] == "https://a/s https://b/s" and told["UV_FIND_LINKS"] == "/one,/two"
    assert (told["SSL_CERT_FILE"], told["ALL_PROXY"], told["UV_INSECURE_HOST"]) == (
        "/ca.pem",
        "http://proxy:1",
        "index",
    )
    own = {**given, "UV_DEFAULT_INDEX": "https://mine/simple"}
    assert read_index(own).uv_environment(own)["UV_DEFAULT_INDEX"] == "https://mine/simple"


def test_credentials_go_to_their_host_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the index for files on its host, those of ~/.netrc for others, none after a redirect."""
    (tmp_path / "netrc").write_text("machine files.example login netrc password hidden\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    index = read_index(environ(tmp_path, PIP_INDEX_URL="https://me:se%40cret@index.example/simple"))

    def sent(url: str) -> str | None:
        request = index.request(url)
        assert "@" not in request.full_url and "Authorization" not in request.headers  # headers outlive a redirect
        token = request.unredirected_hdrs.get("Authorization")
        return base64.b64decode(token.removeprefix("Basic ")).decode() if token else None

    assert sent("https://index.example/files/a.whl") == "me:se@cret"
    assert sent("https://files.example/a.whl") == "netrc:hidden"
    assert sent("https://other.example/a.whl") is None
    assert sent("https://x:y@other.example/a.whl") == "x:y"


def test_a_fingerprint_has_no_secret(tmp_path: Path) -> None:
    """What answers are kept under changes with the index, not with the password."""
    one, other, third = (
        read_index(environ(tmp_path, PIP_INDEX_URL=url))
        for url in ("https://u:one@h/s", "https://u:two@h/s", "https://h/other")
    )
    assert one.fingerprint == other.fingerprint != third.fingerprint
    assert without_credentials("https://u:p@h:1/s?token=x#y") == "https://h:1/s"
