"""Images sent to a real registry: who may, by which login, how much is sent, and what a broken line costs."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effetool.effe.artifact import Artifact
from effetool.errors import ImageError
from effetool.image.build import Image, build_image
from effetool.image.config import Base
from effetool.image.layout import base_image, save, write_archive
from effetool.image.push import push_image, upload
from effetool.image.registry.client import Registry, fetch_into
from effetool.image.registry.reference import parse_reference
from effetool.image.store import Store
from tests.parts import need

from .certificates import Authority
from .conftest import bare_base
from .registries import PASSWORD, USER, Line, Tokens, serve_registry, serve_tokens

pytestmark = pytest.mark.registry
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def image(store: Store, artifact: Artifact, bare: Base) -> Image:
    return build_image(store, artifact, [bare], lambda *_: None)


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    need("openssl")
    with serve_tokens(tmp_path / "tokens") as service:
        yield service


@pytest.fixture
def guarded(tmp_path: Path, tokens: Tokens) -> Iterator[str]:
    """A registry that takes the tokens of `tokens`."""
    need("docker-registry")
    with serve_registry(tmp_path / "guarded", tokens.auth) as address:
        yield address


@pytest.fixture
def opened(tmp_path: Path, logins: Path) -> Iterator[str]:
    """A registry that asks for nothing."""
    need("docker-registry")
    with serve_registry(tmp_path / "opened") as address:
        yield address


def log_in(path: Path, server: str, auth: str = BASIC) -> None:
    path.write_text(json.dumps({"auths": {server: {"auth": auth}}}))


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, server: str, username: str, secret: str) -> None:
    """Put docker-credential-safe on PATH, which knows one login of one server."""
    folder.mkdir()
    answer = json.dumps({"ServerURL": server, "Username": username, "Secret": secret})
    program = folder / "docker-credential-safe"
    program.write_text(f'#!/bin/sh\n[ "$1" = get ] && [ "$(cat)" = "{server}" ] && echo \'{answer}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def inspected(reference: str, *words: str) -> Any:
    """What skopeo says of an image in a registry on this machine."""
    need("skopeo")
    command = ["skopeo", "inspect", "--tls-verify=false", "--creds", f"{USER}:{PASSWORD}", *words]
    done = subprocess.run([*command, f"docker://{reference}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_image_is_pushed_with_docker_s_login(store: Store, image: Image, registry: str, logins: Path) -> None:
    """~/.docker/config.json is enough, and skopeo finds there what was pushed, under the digest that was told."""
    log_in(logins, registry)
    reference, sent = push_image(store, image, f"{registry}/team/")
    assert sent > 10_000
    assert str(reference) == f"{registry}/team/probe:1.0@{image.digest}"
    assert inspected(f"{registry}/team/probe:1.0")["Digest"] == image.digest


def test_an_index_is_pushed_with_all_its_images(store: Store, artifact: Artifact, registry: str, logins: Path) -> None:
    """Each platform's image by its digest, then the index under the tag."""
    log_in(logins, registry)
    bases = [bare_base(store, arch) for arch in ("amd64", "arm64")]
    image = build_image(store, artifact, bases, lambda *_: None)
    reference, _ = push_image(store, image, f"{registry}/team/many:1")
    raw = inspected(f"{registry}/team/many:1", "--raw")
    assert [entry["digest"] for entry in raw["manifests"]] == [one.blob.digest for one in image.built.manifests]
    assert inspected(f"{registry}/team/many@{reference.digest}", "--override-arch", "arm64")["Architecture"] == "arm64"


def test_the_command_prints_the_reference(
    artifact: Artifact, store: Store, bare: Base, registry: str, logins: Path, tmp_path: Path
) -> None:
    """stdout is what a deployment names; the second push says that next to nothing was sent."""
    log_in(logins, registry)
    base = tmp_path / "base.tar"
    save(base, lambda file: write_archive(store, base_image(store, bare), ["base:1"], file))
    words = ["image", str(artifact.path), "--base", str(base), "--push", f"{registry}/command/"]
    said = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-m", "effetool", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(rf"{registry}/command/probe:1\.0@sha256:[0-9a-f]{{64}}\n", done.stdout)
        said += [line for line in done.stderr.splitlines() if line.startswith("  pushed")]
    assert " KB sent" in said[0] and " 0 B sent" in said[1]


def test_each_registry_that_was_named_gets_it(
    artifact: Artifact, store: Store, bare: Base, registry: str, logins: Path, tmp_path: Path
) -> None:
    """--push may be repeated: none of them is left out in silence."""
    log_in(logins, registry)
    base = tmp_path / "base.tar"
    save(base, lambda file: write_archive(store, base_image(store, bare), ["base:1"], file))
    words = [
        "image",
        str(artifact.path),
        "--base",
        str(base),
        "--push",
        f"{registry}/a/",
        "--push",
        f"{registry}/b/x:2",
    ]
    done = subprocess.run([sys.executable, "-m", "effetool", *words, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    references = json.loads(done.stdout)["references"]
    assert [reference.partition("@")[0] for reference in references] == [f"{registry}/a/probe:1.0", f"{registry}/b/x:2"]
    for reference in references:
        assert inspected(reference.partition("@")[0])["Digest"] == reference.partition("@")[2]


def test_a_credential_helper_is_asked(
    store: Store, image: Image, registry: str, logins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`credHelpers` names a program for one registry, `credsStore` one for all."""
    helper(tmp_path / "bin", monkeypatch, registry, USER, PASSWORD)
    for index, config in enumerate(({"credHelpers": {registry: "safe"}}, {"credsStore": "safe"})):
        logins.write_text(json.dumps(config))
        reference, _ = push_image(store, image, f"{registry}/helped/{index}")
        assert reference.digest == image.digest


@pytest.mark.parametrize("auth", [None, base64.b64encode(b"joe:wrong").decode()])
def test_who_is_not_known_is_told_to_log_in(
    store: Store, image: Image, registry: str, logins: Path, auth: str | None
) -> None:
    """Without a login, and with a wrong one: one line, and the command that mends it; no secret in it."""
    if auth is not None:
        log_in(logins, registry, auth)
    with pytest.raises(ImageError) as caught:
        push_image(store, image, f"{registry}/team/probe")
    assert caught.value.code == "E405"
    assert caught.value.message == f"{registry} refuses a push to team/probe"
    assert caught.value.fix == f"podman login {registry}{' as somebody who may' if auth else ''}"


def test_tokens_are_fetched_where_the_registry_says(
    store: Store, image: Image, guarded: str, tokens: Tokens, logins: Path
) -> None:
    """docker's token authentication: name and password go to the service alone, the registry sees signed tokens."""
    log_in(logins, guarded)
    push_image(store, image, f"{guarded}/team/probe:1")
    assert tokens.asked == [("basic", "repository:team/probe:pull,push")]
    fetched = fetch_into(Store(store.root.parent / "other"))(f"{guarded}/team/probe:1", None)
    assert [one.blob.digest for one in fetched] == [image.digest]
    assert tokens.asked[1:] == [("basic", "repository:team/probe:pull")]


def test_an_identity_token_is_traded_for_tokens(
    store: Store, image: Image, guarded: str, tokens: Tokens, logins: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A helper that answers with the name `<token>` gives a refresh token (docker's auth/oauth.md)."""
    helper(tmp_path / "bin", monkeypatch, guarded, "<token>", tokens.identity)
    logins.write_text(json.dumps({"credsStore": "safe"}))
    push_image(store, image, f"{guarded}/team/probe")
    assert tokens.asked == [("refresh", "repository:team/probe:pull,push")]


def test_who_may_only_pull_is_denied(store: Store, image: Image, guarded: str, tokens: Tokens, logins: Path) -> None:
    """A token without the right: the registry's word, and that another login is needed."""
    log_in(logins, guarded)
    tokens.grants = ("pull",)
    with pytest.raises(ImageError) as caught:
        push_image(store, image, f"{guarded}/team/probe")
    assert caught.value.message == f"{guarded} refuses a push to team/probe: authentication required"
    assert caught.value.fix == f"podman login {guarded} as somebody who may"


def test_a_wrong_password_is_the_token_service_s_word(
    store: Store, image: Image, guarded: str, tokens: Tokens, logins: Path
) -> None:
    """The service refuses before the registry is asked again."""
    log_in(logins, guarded, base64.b64encode(b"joe:wrong").decode())
    with pytest.raises(ImageError) as caught:
        push_image(store, image, f"{guarded}/team/probe")
    assert caught.value.message == f"{guarded} gives no token (HTTP 401)"
    assert [who for who, _ in tokens.asked] == [""]


def test_only_what_is_missing_is_sent(
    store: Store, artifact: Artifact, changed: Artifact, bare: Base, opened: str
) -> None:
    """A changed logic.py is a few KB on the line, heads and all; an unchanged effe is its manifest."""
    with Line(opened) as line:
        counted = []
        for one in (artifact, changed, changed):
            before = line.sent
            _, sent = push_image(store, build_image(store, one, [bare], lambda *_: None), f"{line.address}/team/probe")
            counted.append((sent, line.sent - before))
    (first, _), (second, second_line), (third, third_line) = counted
    assert first > 100_000
    assert 0 < second < 5_000 and second_line < 12_000
    assert third == 0 and third_line < 5_000


def blob_of(store: Store, size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_a_push_goes_on_after_a_break(store: Store, opened: str) -> None:
    """What the registry has by then is not sent again."""
    blob = store.add(blob_of(store, 3_000_000))
    with Line(opened, cuts=[1_300_000, 900_000], inside=False) as line:
        registry = Registry(parse_reference(f"{line.address}/team/big"), pause=lambda _: None)
        assert upload(store, registry, blob, piece=500_000) == 3_000_000
        assert line.cuts == []
        assert line.sent < 3_100_000
    assert _has(opened, blob.digest)


def test_a_break_inside_a_piece_begins_the_blob_again(store: Store, opened: str) -> None:
    """docker's registry then refuses to go on: its state names another offset than its file has."""
    blob = store.add(blob_of(store, 3_000_000))
    with Line(opened, cuts=[1_300_000, 900_000]) as line:
        registry = Registry(parse_reference(f"{line.address}/team/big"), pause=lambda _: None)
        upload(store, registry, blob, piece=500_000)
        assert line.cuts == []
    assert _has(opened, blob.digest)


def test_a_push_goes_on_in_the_next_run(store: Store, opened: str) -> None:
    """A run that had to give up says so; the one after it sends the rest."""
    blob = store.add(blob_of(store, 3_000_000))
    with Line(opened, cuts=[2_200_000], inside=False) as line:
        registry = Registry(parse_reference(f"{line.address}/team/big"), pause=lambda _: setattr(line, "dead", True))
        with pytest.raises(ImageError) as caught:
            upload(store, registry, blob, piece=500_000)
        assert caught.value.code == "E405"
        assert caught.value.fix == "run it again: it goes on where it was"
        line.dead, before = False, line.sent
        upload(store, Registry(parse_reference(f"{line.address}/team/big")), blob, piece=500_000)
        assert line.sent - before < 900_000
    assert _has(opened, blob.digest)


def test_a_cut_in_a_blob_of_one_request_is_mended(store: Store, opened: str) -> None:
    """A small blob is sent at once; broken off, it arrives whole all the same."""
    blob = store.add(blob_of(store, 800_000))
    with Line(opened, cuts=[300_000]) as line:
        upload(store, Registry(parse_reference(f"{line.address}/team/small"), pause=lambda _: None), blob)
        assert line.cuts == []
    assert _has(opened, blob.digest)


def _has(address: str, digest: str) -> bool:
    """Whether some repository of the registry serves the blob."""
    for name in ("team/big", "team/small"):
        answer = Registry(parse_reference(f"{address}/{name}")).request("HEAD", f"blobs/{digest}", fine=(200, 404))
        if answer.status == 200:
            return True
    return False


@pytest.mark.parametrize("readable", [True, False])
def test_what_another_repository_has_is_not_sent(
    store: Store, artifact: Artifact, changed: Artifact, bare: Base, guarded: str, tokens: Tokens, logins: Path,
    readable: bool,
) -> None:  # fmt: skip
    """Many effes on one base: what they share goes to a registry once; where that may not be read, again."""
    log_in(logins, guarded)
    push_image(store, build_image(store, artifact, [bare], lambda *_: None), f"{guarded}/team/one")
    tokens.denied = set() if readable else {"team/one"}
    image = build_image(store, changed, [bare], lambda *_: None)
    _, second = push_image(store, image, f"{guarded}/team/two")
    assert ("basic", "repository:team/two:pull,push repository:team/one:pull") in tokens.asked
    assert 0 < second < 5_000 if readable else second > 100_000
    pulled = fetch_into(Store(store.root.parent / "other"))(f"{guarded}/team/two:1.0", None)
    assert [one.blob.digest for one in pulled] == [image.digest]


def test_what_is_not_there_is_said(store: Store, opened: str) -> None:
    """A base that the registry does not know."""
    with pytest.raises(ImageError) as caught:
        fetch_into(store)(f"{opened}/no/such:1", None)
    assert caught.value.code == "E405"
    assert caught.value.message == f"{opened} has no no/such:1"


def test_nothing_is_sent_without_tls_to_another_machine(
    store: Store, image: Image, tmp_path: Path, logins: Path
) -> None:
    """Plain HTTP is for 127.0.0.1 and localhost: elsewhere the name and the password would be there for all to read."""
    need("docker-registry")
    with serve_registry(tmp_path / "plain", host="127.0.0.2") as address, pytest.raises(ImageError) as caught:
        push_image(store, image, f"{address}/team/probe")
    assert caught.value.code == "E405"
    assert caught.value.message == f"{address} does not speak TLS"


def test_a_registry_of_an_own_authority(
    store: Store, image: Image, tmp_path: Path, logins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused at once until SSL_CERT_FILE names the authority."""
    need("docker-registry", "openssl")
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("127.0.0.2")
    with serve_registry(
        tmp_path / "tls", http=f"tls: {{certificate: {certificate}, key: {key}}}", host="127.0.0.2"
    ) as address:
        with pytest.raises(ImageError) as caught:
            push_image(store, image, f"{address}/team/probe")
        assert caught.value.fix == "SSL_CERT_FILE=authority.pem effe-tool image …"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        assert push_image(store, image, f"{address}/team/probe")[0].digest == image.digest


def test_nobody_there_is_said_at_once(store: Store, image: Image, logins: Path) -> None:
    """A refused connection is final: whoever mistyped a port does not wait."""
    waited: list[float] = []
    registry = Registry(parse_reference("127.0.0.1:1/team/probe"), pause=waited.append)
    with pytest.raises(ImageError) as caught:
        upload(store, registry, image.built.root)
    assert caught.value.message == "127.0.0.1:1 does not answer: Connection refused"
    assert waited == []
