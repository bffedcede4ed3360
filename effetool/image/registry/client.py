"""Speak to a registry: OCI distribution-spec 1.1, docker's token authentication, and what to do when a line breaks.

Every request goes through `Registry.request`: it logs in when told to, tries again when the network or the server
fails, and never sends a credential anywhere but to the registry and to the token service that the registry names.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import IO

from ...errors import ImageError
from ..config import Platform, host_platform
from ..layout import INDEX_TYPES, MANIFEST_TYPES, MAX_DOCUMENT, Manifest, config_of, load_manifest
from ..store import Blob, Store, Writer
from .credentials import Credentials, find_credentials
from .reference import HUB, Reference, parse_reference

__all__ = ["Answer", "Registry", "fetch_into"]

ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
PATIENCE = 60.0  # seconds without a byte
TRIES = 4
# What OpenSSL calls the first bytes of an answer in plain HTTP.
PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
Sink = Callable[[int, bytes], object]
CHALLENGE = re.compile(r'\b(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Answer:
    """A response whose body was read."""

    status: int
    headers: Message
    body: bytes


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are followed by `request` itself: without the credentials when they lead to another host."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


@dataclass
class Registry:
    """One repository of a registry."""

    reference: Reference
    credentials: Credentials | None = None
    pause: Callable[[float], object] = time.sleep
    authorization: str | None = field(default=None, repr=False)
    actions: str = "pull"
    sources: tuple[str, ...] = ()
    answered: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self.credentials = self.credentials or find_credentials(self.reference.registry)
        self.opener = urllib.request.build_opener(_NoRedirects)
        self.host = "registry-1.docker.io" if self.reference.registry == HUB else self.reference.registry
        self.base = f"{'http' if self.reference.loopback else 'https'}://{self.host}/v2/{self.reference.name}/"

    def request(
        self,
        method: str,
        url: str,
        *,
        body: Callable[[], IO[bytes]] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        sink: Sink | None = None,
        again: bool = True,
        fine: Sequence[int] = (200, 201, 202, 204, 404, 416),
    ) -> Answer:
        """Send one request and return its answer.

        Args:
            url: absolute, or below `/v2/NAME/`.
            sink: takes the status and the body of a success, piece by piece.
            again: whether to try again after a failure of the line: only where a repetition does no harm.

        Raises:
            ImageError: E405.
            OSError: with `again` false, when the line broke.
        """
        url = urllib.parse.urljoin(self.base, url)
        logged_in = False
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._send(method, url, body, dict(headers or {}), sink)
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
                self._hopeless(reason)
                if not again:
                    raise OSError(str(reason)) from error
                if attempt == TRIES:
                    raise self._refused(f"does not answer: {_words(reason)}") from error
                self.pause(0.5 * 2**attempt)
                continue
            self.answered = True
            if answer.status == 401 and not logged_in:
                logged_in = True
                self._log_in(answer.headers.get_all("WWW-Authenticate") or [])
                continue
            if answer.status in (429, 500, 502, 503, 504) and attempt < TRIES:
                wait = answer.headers.get("Retry-After", "")
                self.pause(min(float(wait), 60.0) if wait.isdecimal() else 0.5 * 2**attempt)
                continue
            if answer.status in fine:
                return answer
            raise self._error(answer)
        raise self._refused("does not answer")

    def _hopeless(self, reason: object) -> None:
        """Raise ImageError E405 for what no second try mends."""
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise self._refused(
                f"has a certificate that is not trusted: {reason.verify_message}",
                fix="SSL_CERT_FILE=authority.pem effe-tool image …",
            )
        if isinstance(reason, ssl.SSLError) and reason.reason in PLAIN:
            raise self._refused(
                "does not speak TLS", fix="give the registry a certificate: plain HTTP is for 127.0.0.1 and localhost"
            )
        # One that answered before is being restarted, or the network is.
        if isinstance(reason, ConnectionRefusedError | socket.gaierror) and not self.answered:
            raise self._refused(f"does not answer: {_words(reason)}")

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Ask for the right to read another repository too, inside the block."""
        before, self.authorization = self.authorization, None
        self.sources = (name,)
        try:
            yield
        finally:
            self.authorization, self.sources = before, ()

    def _send(
        self,
        method: str,
        url: str,
        body: Callable[[], IO[bytes]] | bytes | None,
        headers: dict[str, str],
        sink: Sink | None,
    ) -> Answer:
        for _ in range(6):
            parts = urllib.parse.urlsplit(url)
            ours = parts.netloc == self.host
            if parts.scheme != "https" and not (parts.scheme == "http" and self.reference.loopback):
                raise self._refused(f"sends elsewhere, to {parts.scheme}://{parts.hostname}")
            sent = dict(headers)
            if self.authorization and ours:
                sent["Authorization"] = self.authorization
            data = body() if callable(body) else body
            asked = urllib.request.Request(url, data=data, headers=sent, method=method)  # noqa: S310 checked above
            try:
                with self.opener.open(asked, timeout=PATIENCE) as response:
                    return Answer(response.status, response.headers, _read(response, sink))
            except urllib.error.HTTPError as error:
                with error:
                    location = error.headers.get("Location")
                    if error.code in (301, 302, 303, 307, 308) and location and method in ("GET", "HEAD"):
                        url = urllib.parse.urljoin(url, location)
                        continue
                    return Answer(error.code, error.headers, error.read(MAX_DOCUMENT))
            finally:
                if data is not None and not isinstance(data, bytes):
                    data.close()
        raise self._refused("redirects for ever")

    def _log_in(self, challenges: list[str]) -> None:
        """Answer a challenge: with name and secret, or with a token they are traded for (docker's auth/token.md)."""
        challenge = " ".join(challenges)
        asked = dict(CHALLENGE.findall(challenge))
        if challenge.lower().startswith("basic"):
            if self.credentials is not None:
                self.authorization = self.credentials.basic
            return
        realm = urllib.parse.urlsplit(asked.get("realm", ""))
        loopback = self.reference.loopback and realm.hostname in ("localhost", "127.0.0.1", "::1")
        if realm.scheme != "https" and not (realm.scheme == "http" and loopback):
            raise self._refused("asks for credentials at an address that is not https")
        scopes = [f"repository:{self.reference.name}:{self.actions}"]
        scopes += [f"repository:{name}:pull" for name in self.sources]
        fields = [("service", asked.get("service", "")), *(("scope", scope) for scope in scopes)]
        headers = {}
        data = None
        query = [*urllib.parse.parse_qsl(realm.query), *fields]
        if self.credentials is not None and self.credentials.identity:
            form = {"grant_type": "refresh_token", "refresh_token": self.credentials.identity, "client_id": "effe-tool"}
            # Here scopes are one field, with spaces (docker's auth/oauth.md), and above they are several.
            form |= {"service": asked.get("service", ""), "scope": " ".join(scopes)}
            data = urllib.parse.urlencode(form).encode()
            query = []
        elif self.credentials is not None:
            headers["Authorization"] = self.credentials.basic
        url = urllib.parse.urlunsplit((realm.scheme, realm.netloc, realm.path, urllib.parse.urlencode(query), ""))
        try:
            asked_for = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 checked above
            with self.opener.open(asked_for, timeout=PATIENCE) as response:
                document = json.loads(response.read(MAX_DOCUMENT))
            token = document.get("token") or document["access_token"]
        except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError) as error:
            code = getattr(error, "code", None)
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            raise self._refused(f"gives no token{f' (HTTP {code})' if code else ''}", fix=self._login) from None
        self.authorization = f"Bearer {token}"

    def _error(self, answer: Answer) -> ImageError:
        try:
            errors = json.loads(answer.body)["errors"]
            words = "; ".join(str(error.get("message") or error.get("code")) for error in errors)[:300]
        except (ValueError, KeyError, TypeError, AttributeError):
            words = ""
        words = f": {words}" if words else ""
        if answer.status in (401, 403):
            what = "a push to" if "push" in self.actions else "a pull of"
            return self._refused(f"refuses {what} {self.reference.name}{words}", fix=self._login)
        return self._refused(f"answers {answer.status}{words}")

    @property
    def _login(self) -> str:
        return f"podman login {self.reference.registry}{' as somebody who may' if self.credentials else ''}"

    def _refused(
        self, reason: str, *, fix: str = "check the reference and the network, then run it again"
    ) -> ImageError:
        return ImageError(f"{self.reference.registry} {reason}", code="E405", fix=fix)

    def manifest(self, what: str) -> tuple[bytes, str]:
        """Return a manifest or index by tag or digest, and its media type. Raises ImageError E405."""
        answer = self.request("GET", f"manifests/{what}", headers={"Accept": ACCEPT}, fine=(200, 404))
        if answer.status == 404:
            raise self._refused(f"has no {self.reference.name}{'@' if ':' in what else ':'}{what}")
        if what.startswith("sha256:") and hashlib.sha256(answer.body).hexdigest() != what[7:]:
            raise self._refused("sends other bytes than the digest's")
        return answer.body, answer.headers.get_content_type()

    def fetch(self, store: Store, blob: Blob) -> None:
        """Bring a blob into the store, checked; after a break the rest is asked for (RFC 9110 section 14).

        Raises:
            ImageError: E403 for other bytes than the digest's or more of them, E405.
        """
        if store.has(blob):
            return
        with store.new(blob.digest) as target:
            failures = 0
            while target.size < blob.size:
                begun, reason = target.size, "it ends too early"
                try:
                    self._fetch_rest(target, blob)
                except (OSError, http.client.HTTPException) as error:
                    reason = _words(error)
                failures = 0 if target.size > begun else failures + 1
                if failures == TRIES:
                    raise self._refused(f"breaks off: {reason}")
                if target.size < blob.size:
                    self.pause(0.5 * 2**failures)

    def _fetch_rest(self, target: Writer, blob: Blob) -> None:
        skipped = 0

        def sink(status: int, data: bytes) -> None:
            nonlocal skipped
            if status == 200 and skipped < begun:  # it does not know of ranges: the beginning again
                skipped, data = skipped + len(data), data[begun - skipped :]
            if target.size + len(data) > blob.size:
                raise self._refused("sends more than the manifest says")
            target.write(data)

        begun = target.size
        headers = {"Range": f"bytes={begun}-"} if begun else {}
        self.request("GET", f"blobs/{blob.digest}", headers=headers, sink=sink, again=False, fine=(200, 206))


def _words(reason: object) -> str:
    return (reason.strerror if isinstance(reason, OSError) else None) or str(reason)


def _read(response: http.client.HTTPResponse, sink: Sink | None) -> bytes:
    if sink is None:
        return response.read(MAX_DOCUMENT)
    while chunk := response.read(1 << 16):
        sink(response.status, chunk)
    return b""


def fetch_into(store: Store) -> Callable[[str, Sequence[Platform] | None], list[Manifest]]:
    """Return what brings a base's images from their registry into the store.

    A reference with a digest that was fetched before needs no network. One with a tag is asked for each time.
    """

    def fetch(text: str, platforms: Sequence[Platform] | None) -> list[Manifest]:
        reference = parse_reference(text)
        registry = Registry(reference)
        key = hashlib.sha256(str(reference).encode()).hexdigest()
        known = store.record("reference", key) if reference.digest else None
        if known is not None:
            body = store.read(Blob(str(known["digest"]), int(str(known["size"]))))
        else:
            body, _ = registry.manifest(reference.digest or reference.tag or "latest")
            top = store.add(body)
            store.keep("reference", key, {"digest": top.digest, "size": top.size})
        found = []
        for blob in _images(store, registry, body, platforms or [host_platform()]):
            registry.fetch(store, config_of(store, blob))
            image = load_manifest(store, blob)
            for layer in image.layers:
                registry.fetch(store, layer.blob)
            found.append(image)
        return found

    return fetch


def _images(store: Store, registry: Registry, body: bytes, platforms: Sequence[Platform]) -> list[Blob]:
    """Return the manifests of the wanted platforms, in the store; the only one there is when it names none."""
    document = json.loads(body)
    if "manifests" not in document:
        return [store.add(body)]
    wanted = {(platform.architecture, platform.variant) for platform in platforms}
    blobs = []
    for entry in document["manifests"]:
        found = entry.get("platform") or {}
        variant = "" if found.get("architecture") == "arm64" else found.get("variant", "")
        if found.get("os") == "linux" and (found.get("architecture"), variant) in wanted:
            blob = Blob(str(entry["digest"]), int(entry["size"]))
            if not store.has(blob):
                store.add(registry.manifest(blob.digest)[0])
            blobs.append(blob)
    if not blobs:
        raise ImageError(
            f"{registry.reference} has no image for {', '.join(map(str, platforms))}",
            code="E406",
            fix="--platform linux/amd64",
        )
    return blobs
