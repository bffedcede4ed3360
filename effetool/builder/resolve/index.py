"""Say where packages come from: the user's pip configuration, for pip, for uv and for our own downloads.

pip reads its configuration itself. uv does not, so it is told by environment variables (never by arguments, which `ps`
shows); what the user set for uv is left alone. Nothing of it is written into an artefact.

Source: pip's "Configuration" page (files, precedence, `PIP_*`), uv's "Environment variables" page.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:  # a build that downloads nothing imports none of it: 20 ms
    import urllib.request

PYPI = "https://pypi.org/simple"


@dataclass(frozen=True, slots=True)
class Index:
    """The part of pip's configuration that decides which files are seen, and how they are fetched."""

    url: str = PYPI
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    none: bool = False
    constraints: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    timeout: float = 60.0
    keyring: str | None = None
    pre: bool = False

    @property
    def fingerprint(self) -> list[object]:
        """Give what a cached answer depends on, without credentials."""
        constraints = [Path(path).read_text("utf-8") for path in self.constraints if Path(path).is_file()]
        urls = [without_credentials(url) for url in (self.url, *self.extra, *self.links)]
        return [urls, self.none, constraints, self.pre]

    def uv_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Give the environment uv runs in: what pip's configuration says, unless the user told uv otherwise."""
        wanted = {
            "UV_INDEX_STRATEGY": "unsafe-best-match",  # what pip does with several indexes
            "UV_DEFAULT_INDEX": "" if self.url == PYPI else self.url,
            "UV_INDEX": " ".join(self.extra),
            "UV_FIND_LINKS": ",".join(self.links),
            "UV_CONSTRAINT": " ".join(self.constraints),
            "UV_INSECURE_HOST": " ".join(self.trusted),
            "UV_KEYRING_PROVIDER": "subprocess" if self.keyring in ("subprocess", "auto", "import") else "",
            "UV_PRERELEASE": "allow" if self.pre else "",
            "UV_HTTP_TIMEOUT": str(int(self.timeout)),
            "SSL_CERT_FILE": self.cert or "",
            "SSL_CLIENT_CERT": self.client_cert or "",
            "ALL_PROXY": self.proxy or "",
        }
        told = "UV_INDEX_URL" in environ or "UV_EXTRA_INDEX_URL" in environ
        own = {
            key: value
            for key, value in wanted.items()
            if value and key not in environ and not (told and key in ("UV_DEFAULT_INDEX", "UV_INDEX"))
        }
        return {**environ, **own, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}

    def opener(self, url: str) -> urllib.request.OpenerDirector:
        """Make what downloads a file: with the proxy and the certificates of the configuration."""
        parts = urlsplit(url)
        trusted = bool({parts.hostname, parts.netloc.rpartition("@")[2]} & set(self.trusted))
        return _opener(self.cert, self.client_cert, self.proxy, trusted)

    def request(self, url: str) -> urllib.request.Request:
        """Make the request for a file, with the credentials its host was given.

        They are the URL's own, those of an index on the same host (as pip does), or those of `~/.netrc`. They are
        not sent on after a redirect: storage behind an index signs its own URLs.
        """
        import base64
        import urllib.request

        clean = without_credentials(url)
        request = urllib.request.Request(clean, headers={"User-Agent": "effe-tool"})  # noqa: S310 - fetch() allows https, http, file
        host = urlsplit(clean).netloc
        for known in (url, self.url, *self.extra, *self.links):
            parts = urlsplit(known)
            if parts.username and parts.netloc.rpartition("@")[2] == host:
                user, password = unquote(parts.username), unquote(parts.password or "")
                break
        else:
            user, password = _netrc(urlsplit(clean).hostname or "")
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {token}")
        return request

    def refusing(self, name: str) -> tuple[str, int] | None:
        """Ask each index for a project; return the first that refuses, without credentials, and its status.

        uv and pip pass over an index that answers 401 or 403, and say of what is on it that there is no such project.
        """
        import urllib.error

        for url in (self.url, *self.extra):
            if urlsplit(url).scheme in ("http", "https"):
                page = f"{url.rstrip('/')}/{name}/"
                try:
                    self.opener(page).open(self.request(page), timeout=min(self.timeout, 5.0)).close()
                except urllib.error.HTTPError as error:
                    error.close()  # it holds the connection
                    if error.code in (401, 403):
                        return without_credentials(url), error.code
                except OSError:
                    continue
        return None


@cache
def _opener(
    cert: str | None, client_cert: str | None, proxy: str | None, trusted: bool
) -> urllib.request.OpenerDirector:
    import ssl
    import urllib.request

    context = ssl.create_default_context(cafile=cert)
    if client_cert:
        context.load_cert_chain(client_cert)
    if trusted:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    proxies = {"http": proxy, "https": proxy} if proxy else None
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )


def without_credentials(url: str) -> str:
    """Give a URL without user, password, query and fragment: what may be shown and kept."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_index(environ: Mapping[str, str] = os.environ) -> Index:
    """Read pip's configuration: its files, the later over the earlier, then `PIP_*`."""
    values: dict[str, str] = {}
    if environ.get("PIP_CONFIG_FILE") != os.devnull:
        for path in _config_files(environ):
            parser = configparser.RawConfigParser()
            try:
                parser.read(path, encoding="utf-8")
            except (configparser.Error, OSError, UnicodeDecodeError):
                continue  # pip itself will say so when it is the resolver
            for section in ("global", "install"):
                if parser.has_section(section):
                    values.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    for key, value in environ.items():
        if key.startswith("PIP_") and value:
            values[key[4:].lower().replace("_", "-")] = value

    def words(key: str) -> tuple[str, ...]:
        return tuple(os.path.expanduser(word) for word in values.get(key, "").split())  # noqa: PTH111 - may be a URL

    def file(key: str) -> str | None:
        return os.path.expanduser(values[key]) if values.get(key) else None  # noqa: PTH111

    try:
        timeout = float(values.get("timeout") or values.get("default-timeout") or 60)
    except ValueError:
        timeout = 60.0
    return Index(
        url=values.get("index-url", "").strip() or PYPI,
        extra=words("extra-index-url"),
        links=words("find-links"),
        none=_true(values.get("no-index")),
        constraints=words("constraint"),
        trusted=words("trusted-host"),
        cert=file("cert"),
        client_cert=file("client-cert"),
        proxy=values.get("proxy") or None,
        timeout=timeout,
        keyring=values.get("keyring-provider"),
        pre=_true(values.get("pre")),
    )


def _config_files(environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - raises without a home directory
    shared = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    files = [Path(folder) / "pip" / "pip.conf" for folder in reversed(shared.split(os.pathsep)) if folder]
    if sys.platform == "darwin":
        files = [Path("/Library/Application Support/pip/pip.conf")]
    files += [Path("/etc/pip.conf"), home / ".pip" / "pip.conf"]
    if sys.platform == "darwin":
        files.append(home / "Library/Application Support/pip/pip.conf")
    files.append(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf")
    files.append(Path(sys.prefix) / "pip.conf")
    if environ.get("PIP_CONFIG_FILE"):
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    return files


def _true(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on", "y", "t")


def _netrc(host: str) -> tuple[str, str]:
    import netrc

    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        found = None
    return (found[0], found[2] or "") if found and found[0] else ("", "")
