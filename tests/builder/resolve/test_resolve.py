"""From a declaration to wheels, on an index of our own and on the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from effetool.builder.resolve import backends as resolvers
from effetool.builder.resolve.resolve import resolve
from effetool.builder.resolve.target import this_target
from effetool.errors import DependencyError, UsageError

from ..shelf import Shelf, Wishes, make_effe, make_plain, make_sdist, make_wheel, serve_shelf

HERE = "cp{}{}".format(*this_target().python)
LINUX = "manylinux_2_17"
PIP = pytest.param("pip", marks=pytest.mark.slow)  # half a second more of a processor, each time
BOTH = pytest.mark.parametrize("resolver", ["uv", PIP])


@BOTH
def test_wheels_of_dependencies_and_of_theirs(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """Whichever resolver: the newest fitting version of each, transitively, on disk under its digest."""
    make_wheel(shelf.folder, "Alpha", "1.0")
    make_wheel(shelf.folder, "Alpha", "1.1", requires=["beta>=2", 'gamma; extra == "more"', 'delta; os_name == "nt"'])
    make_wheel(shelf.folder, "Alpha", "2.0")
    make_wheel(shelf.folder, "beta", "2.5", requires=["epsilon"])
    make_wheel(shelf.folder, "epsilon", "0.1")
    found = resolve(make_effe(tmp_path / "effe", "alpha<2"), Wishes(), resolver=resolver)
    assert [(one.name, one.version) for one in found.distributions] == [
        ("alpha", "1.1"), ("beta", "2.5"), ("epsilon", "0.1"),
    ]  # fmt: skip
    assert all(one.wheel.parent.name == one.sha256 and one.wheel.is_file() for one in found.distributions)
    assert (found.resolver, found.requires_python, found.native) == (resolver, ">=3.9", False)
    assert found.requirements == ("alpha<2",)


def test_both_resolvers_give_one_lock(shelf: Shelf, tmp_path: Path) -> None:
    """The artefact's lock does not depend on who resolved, nor on where the index is."""
    make_wheel(shelf.folder, "alpha", requires=["beta"], headers={"Requires-Python": ">=3.8"})
    make_wheel(shelf.folder, "beta", tag=f"{HERE}-{HERE}-{LINUX}_{this_target().platform.machine}")
    locks = []
    for number, resolver in enumerate(("uv", "pip")):
        project = make_effe(tmp_path / f"effe{number}", "alpha", python=f">={3.8 + number / 10}")
        locks.append(resolve(project, Wishes(), resolver=resolver).lock)
    assert locks[0] == locks[1]
    assert "127.0.0.1" not in locks[0] and "beta-1.0" in locks[0]


@BOTH
@pytest.mark.parametrize("name", range(0, 20, 5))
def test_an_url_of_no_distribution(shelf: Shelf, tmp_path: Path, resolver: str, name: int) -> None:
    """No version is to blame, and our own files are not named."""
    (folder := tmp_path / ("deep" * name)).mkdir(exist_ok=True)  # uv breaks its lines, wherever that comes
    (folder / "passwd").write_text("root")
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", f"x @ file://{folder}/passwd"), Wishes(), resolver=resolver)
    assert caught.value.code == "E140" and "wheel or a source archive" in (caught.value.fix or "")
    assert not any("requirements.in" in note for note in caught.value.notes)


def test_nothing_declared_needs_nothing(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dependencies: no resolver is looked for."""
    monkeypatch.setattr(resolvers, "find_uv", lambda: None)
    monkeypatch.setattr(resolvers, "find_pip", lambda: None)
    found = resolve(make_effe(tmp_path / "effe", python=">=3.10"), Wishes())
    assert (found.distributions, found.requires_python, found.resolver, found.lock) == ((), ">=3.10", "none", "")
    with pytest.raises(DependencyError, match="neither uv nor pip") as caught:
        resolve(make_effe(tmp_path / "effe", "alpha"), Wishes())
    assert caught.value.code == "E140"


def test_resolved_again_only_when_the_declaration_changed(shelf: Shelf, tmp_path: Path) -> None:
    """The second time nothing is asked of the network; a changed line asks anew and says why."""
    make_wheel(shelf.folder, "alpha")
    make_wheel(shelf.folder, "beta")
    project = make_effe(tmp_path / "effe", "alpha")
    assert "is new" in resolve(project, Wishes()).why
    shelf.asked.clear()
    again = resolve(make_effe(tmp_path / "effe", "alpha", imports="import json"), Wishes(offline=True))
    assert (again.fresh, again.why, shelf.asked) == (True, "the script block of logic.py is unchanged", [])
    changed = resolve(make_effe(tmp_path / "effe", "alpha", "beta"), Wishes())
    assert not changed.fresh and shelf.asked
    assert [one.name for one in changed.distributions] == ["alpha", "beta"]


def test_a_poisoned_cache_heals(shelf: Shelf, tmp_path: Path) -> None:
    """A wheel that is not what its digest says is never used: it is fetched again."""
    make_wheel(shelf.folder, "alpha")
    project = make_effe(tmp_path / "effe", "alpha")
    wheel = resolve(project, Wishes()).distributions[0].wheel
    good = wheel.read_bytes()
    wheel.write_bytes(good[:-1] + b"x")
    again = resolve(project, Wishes())
    assert not again.fresh and again.distributions[0].wheel.read_bytes() == good


def test_a_poisoned_answer_is_asked_again(shelf: Shelf, cache: Path, tmp_path: Path) -> None:
    """A kept answer that was changed or cut off counts as none."""
    make_wheel(shelf.folder, "alpha")
    project = make_effe(tmp_path / "effe", "alpha")
    resolve(project, Wishes())
    (kept,) = (cache / "resolutions").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"alpha", b"aleph"))
    assert not resolve(project, Wishes()).fresh


@BOTH
def test_a_file_that_was_changed_on_the_way_is_refused(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """The index says another digest than the file has: E140 or the resolver's own refusal, and nothing is kept."""
    shelf.spoil.add(make_wheel(shelf.folder, "alpha").name)
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(), resolver=resolver)
    assert caught.value.code == "E140"


@BOTH
def test_a_missing_dependency_is_placed(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """E140: the resolver's sentence, the line in the block, a near miss as the fix."""
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", "reqests"), Wishes(), resolver=resolver)
    error = caught.value
    assert error.code == "E140" and "reqests" in error.message and error.message.startswith(resolver)
    assert error.place is not None and (error.place.line, error.place.text) == (4, '#   "reqests",')
    assert error.fix is not None and "did you mean requests?" in error.fix
    assert error.notes


@BOTH
def test_an_index_that_refuses_the_password_is_named(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolver: str
) -> None:
    """The resolvers pass over it and say that there is no such distribution. The password is shown nowhere."""
    (tmp_path / "private").mkdir()
    make_wheel(tmp_path / "private", "alpha")
    with serve_shelf(tmp_path / "private", "robot", "right") as private:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", private.url.replace("//", "//robot:wrong-one@") + "/simple")
        with pytest.raises(DependencyError) as caught:
            resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(), resolver=resolver)
    error = caught.value
    assert error.code == "E140" and f"{private.url}/simple answers 401: check its user and password" in str(error.fix)
    assert "wrong-one" not in f"{error.message}{error.fix}{error.notes}"


@BOTH
def test_a_version_that_is_not_there_names_the_newest(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """E140 with a line that can be written."""
    make_wheel(shelf.folder, "alpha", "1.0")
    make_wheel(shelf.folder, "alpha", "2.34.2")
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", "alpha>99"), Wishes(), resolver=resolver)
    assert caught.value.fix == 'the newest is 2.34.2: write "alpha<=2.34.2"'


@pytest.mark.slow
@BOTH
def test_a_source_distribution_is_built_here_and_once(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """Without a wheel one is built for this machine; the second effe that needs it finds it built."""
    make_sdist(shelf.folder, "alpha")
    said: list[str] = []
    found = resolve(make_effe(tmp_path / "one", "alpha"), Wishes(), said.append, resolver=resolver)
    assert found.distributions[0].wheel.name == "alpha-1.0-py3-none-any.whl"
    assert "building alpha-1.0.tar.gz" in said and "sdist = " in found.lock
    said.clear()
    resolve(make_effe(tmp_path / "two", "alpha", python=">=3.10"), Wishes(), said.append, resolver=resolver)
    assert not any(line.startswith("building") for line in said)


@BOTH
def test_a_source_distribution_is_refused_for_a_foreign_platform(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """E143 names the dependency and the target; nothing is built for a machine that is not there."""
    make_sdist(shelf.folder, "alpha")
    foreign = "linux-aarch64" if this_target().platform.machine != "aarch64" else "linux-x86_64"
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(platforms=(foreign,)), resolver=resolver)
    error = caught.value
    assert error.code in ("E143", "E140") and "alpha" in error.message
    assert error.place is not None and error.place.line == 4


def test_several_platforms_in_one(shelf: Shelf, tmp_path: Path) -> None:
    """Each platform gets its own wheel, the pure ones are shared."""
    make_wheel(shelf.folder, "alpha", requires=["beta"])
    for machine in ("x86_64", "aarch64"):
        make_wheel(shelf.folder, "beta", tag=f"{HERE}-{HERE}-{LINUX}_{machine}")
        make_wheel(shelf.folder, "beta", tag=f"{HERE}-{HERE}-musllinux_1_2_{machine}")
    wishes = Wishes(platforms=("linux-x86_64", "linux-aarch64-musl"))
    found = resolve(make_effe(tmp_path / "effe", "alpha"), wishes)
    assert [(one.name, one.tags.partition("-")[2], len(one.targets)) for one in found.distributions] == [
        ("alpha", "none-any", 2),
        ("beta", f"{HERE}-manylinux_2_17_x86_64", 1),
        ("beta", f"{HERE}-musllinux_1_2_aarch64", 1),
    ]
    assert found.native and found.requires_python == f"==3.{this_target().python[1]}.*"


def test_several_pythons(shelf: Shelf, tmp_path: Path) -> None:
    """`--python` takes a wheel for each, one version for all where it can, and leaves out the newest without one."""
    last = max(12, this_target().python[1])
    for minor in range(9, last + 1):
        make_wheel(shelf.folder, "alpha", "1.0", tag=f"cp3{minor}-cp3{minor}-{LINUX}_x86_64")
    for minor in range(10, last + 1):
        make_wheel(shelf.folder, "alpha", "2.0", tag=f"cp3{minor}-cp3{minor}-{LINUX}_x86_64")
    wishes = Wishes(python=">=3.9", platforms=("linux-x86_64",))
    found = resolve(make_effe(tmp_path / "effe", "alpha"), wishes, resolver="uv")
    assert {(one.version, one.tags.partition("-")[0]) for one in found.distributions} == {
        ("1.0", f"cp3{minor}") for minor in range(9, last + 1)
    }
    assert found.requires_python == f">=3.9,<3.{last + 1}"
    assert f"left out from Python 3.{last + 1} on: alpha has no wheel for Python 3.{last + 1}" in found.why
    with pytest.raises(DependencyError) as caught:
        resolve(
            make_effe(tmp_path / "effe", "alpha"), Wishes(python=f">=3.9,<3.{last + 2}", platforms=("linux-x86_64",))
        )
    assert caught.value.code == "E143" and f"Python 3.{last + 1} on linux-x86_64" in caught.value.message


def test_the_constraint_is_what_the_wheels_serve(shelf: Shelf, tmp_path: Path) -> None:
    """Wheels chosen for this Python bind the artefact to the Pythons they serve: tags, Requires-Python and markers."""
    here = this_target().python[1]
    make_wheel(shelf.folder, "alpha", headers={"Requires-Python": ">=3.10"})
    make_wheel(shelf.folder, "beta", requires=[f'gamma; python_version > "3.{here}"'])
    assert resolve(make_effe(tmp_path / "a", "alpha"), Wishes()).requires_python == ">=3.10"
    assert resolve(make_effe(tmp_path / "b", "beta"), Wishes()).requires_python == f">=3.9,<3.{here + 1}"


def test_a_lock_is_written_read_and_holds(shelf: Shelf, tmp_path: Path) -> None:
    """`--lock` writes; a build takes what it says though a newer one has come; `--locked` refuses once it drifts."""
    make_wheel(shelf.folder, "alpha", "1.0")
    project = make_effe(tmp_path / "effe", "alpha")
    resolve(project, Wishes(lock=True))
    lock = tmp_path / "effe" / "pylock.toml"
    assert f'url = "{shelf.url}/files/alpha-1.0-py3-none-any.whl"' in lock.read_text()
    make_wheel(shelf.folder, "alpha", "1.1")
    held = resolve(make_effe(tmp_path / "effe", "alpha", python=">=3.10"), Wishes(locked=True))
    assert (held.distributions[0].version, held.resolver) == ("1.0", "pylock.toml")
    drifted = make_effe(tmp_path / "effe", "alpha>=1.1")
    with pytest.raises(DependencyError) as caught:
        resolve(drifted, Wishes(locked=True))
    assert caught.value.code == "E144" and "alpha>=1.1 is not in it" in caught.value.message
    moved = resolve(drifted, Wishes())
    assert moved.distributions[0].version == "1.1" and "pylock.toml is out of date" in moved.why
    resolve(drifted, Wishes(lock=True))
    assert resolve(drifted, Wishes(locked=True)).distributions[0].version == "1.1"
    make_wheel(shelf.folder, "beta")
    resolve(make_effe(tmp_path / "effe", "alpha", "beta"), Wishes(lock=True))
    fewer = make_effe(tmp_path / "effe", "alpha")
    with pytest.raises(DependencyError, match="beta is in it, and no longer declared"):
        resolve(fewer, Wishes(locked=True))
    assert [one.name for one in resolve(fewer, Wishes()).distributions] == ["alpha"]


def test_a_lock_needs_no_network_once_its_wheels_are_here(shelf: Shelf, tmp_path: Path) -> None:
    """`--offline` with an unchanged lock asks nothing; with an empty cache it says what is missing (E145)."""
    make_wheel(shelf.folder, "alpha", "1.0")
    resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(lock=True))
    shelf.asked.clear()
    assert resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(offline=True, locked=True)).resolver == "pylock.toml"
    wheel = next((tmp_path / "cache" / "effe-tool" / "wheels").rglob("*.whl"))
    wheel.unlink()
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(offline=True))
    assert caught.value.code == "E145" and wheel.name in caught.value.message and shelf.asked == []


@BOTH
def test_offline_refuses_a_new_declaration(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """E145, not a resolver's guess about an index it cannot see."""
    make_wheel(shelf.folder, "alpha")
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", "alpha"), Wishes(offline=True), resolver=resolver)
    assert caught.value.code == "E145" and shelf.asked == []


def test_a_lock_alone_is_the_declaration(shelf: Shelf, tmp_path: Path) -> None:
    """Without a block pylock.toml counts, whole; an artefact's own lock, names and digests only, finds its wheels."""
    make_wheel(shelf.folder, "alpha", requires=["beta"])
    make_wheel(shelf.folder, "beta")
    inside = resolve(make_effe(tmp_path / "one", "alpha"), Wishes()).lock
    make_wheel(shelf.folder, "beta", "2.0")
    for wheel in (tmp_path / "cache" / "effe-tool" / "wheels").rglob("*.whl"):
        wheel.unlink()
    project = make_plain(tmp_path / "two", pylock_toml=inside)
    found = resolve(project, Wishes())
    assert [(one.name, one.version) for one in found.distributions] == [("alpha", "1.0"), ("beta", "1.0")]
    project_of_none = make_plain(tmp_path / "none", pylock_toml='lock-version = "9"')
    with pytest.raises(UsageError, match="itself the declaration"):  # whatever is in it: E142 tells to write it anew
        resolve(project_of_none, Wishes(lock=True))
    with pytest.raises(UsageError, match="itself the declaration"):
        resolve(project, Wishes(lock=True))


def test_a_lock_that_lacks_a_dependency_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    """A lock edited by hand is found out: what a wheel says it needs has to be in it."""
    make_wheel(shelf.folder, "alpha", requires=["beta"])
    make_wheel(shelf.folder, "beta")
    project = make_effe(tmp_path / "effe", "alpha")
    resolve(project, Wishes(lock=True))
    lock = tmp_path / "effe" / "pylock.toml"
    parts = lock.read_text().split("[[packages]]")
    lock.write_text("[[packages]]".join(part for part in parts if '"beta"' not in part) + "\n")
    with pytest.raises(DependencyError) as caught:
        resolve(project, Wishes())
    assert caught.value.code == "E143" and "beta" in caught.value.message


@pytest.mark.slow
@BOTH
def test_digests_of_a_requirements_file_are_kept(shelf: Shelf, tmp_path: Path, resolver: str) -> None:
    """A file whose digest is not listed is not taken, whatever the index says."""
    import hashlib

    wheel = make_wheel(shelf.folder, "alpha")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    good = make_plain(tmp_path / "good", requirements_txt=f"alpha==1.0 \\\n    --hash=sha256:{digest}\n")
    found = resolve(good, Wishes(), resolver=resolver)
    assert (found.distributions[0].sha256, found.declaration.origin) == (digest, "requirements.txt with hashes")
    bad = make_plain(tmp_path / "bad", requirements_txt=f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(DependencyError) as caught:
        resolve(bad, Wishes(), resolver=resolver)
    assert caught.value.code == "E140" and "alpha" in caught.value.message
    assert "write" not in caught.value.fix, "what the index has may be the wrong one"
    make_wheel(shelf.folder, "beta")
    more = make_plain(tmp_path / "more", requirements_txt=f"alpha==1.0 --hash=sha256:{digest}\nbeta\n")
    with pytest.raises(DependencyError) as caught:
        resolve(more, Wishes(), resolver=resolver)
    assert "beta has none" in caught.value.message and caught.value.fix.startswith("write beta==1.0 --hash=sha256:")


def test_a_requires_python_that_leaves_none(cache: Path, tmp_path: Path) -> None:
    """E143 when what is declared and what is asked for have no Python in common."""
    with pytest.raises(DependencyError) as caught:
        resolve(make_effe(tmp_path / "effe", "alpha", python=">=3.13"), Wishes(python="<3.12"))
    assert caught.value.code == "E143" and "--python <3.12" in caught.value.message


@BOTH
@pytest.mark.slow
def test_the_real_index(cache: Path, tmp_path: Path, resolver: str) -> None:
    """A pure and a native distribution from the index pip is set up for."""
    found = resolve(make_effe(tmp_path / "effe", "jinja2", "orjson"), Wishes(), resolver=resolver)
    assert [one.name for one in found.distributions] == ["jinja2", "markupsafe", "orjson"]
    assert found.native and found.requires_python == f"==3.{this_target().python[1]}.*"
    kept = json.dumps([one.metadata.imports for one in found.distributions])
    assert "orjson" in kept and "jinja2" in kept


@pytest.mark.slow
def test_the_real_index_for_other_machines(cache: Path, tmp_path: Path) -> None:
    """Wheels for two Pythons on aarch64, and musl, chosen by tag from the real index."""
    wishes = Wishes(python=">=3.11,<3.13", platforms=("linux-aarch64", "linux-x86_64-musl"))
    found = resolve(make_effe(tmp_path / "effe", "markupsafe"), wishes)
    assert {(one.tags.split("-")[0], one.tags.split("_")[0].split("-")[-1]) for one in found.distributions} == {
        ("cp311", "manylinux2014"), ("cp312", "manylinux2014"), ("cp311", "musllinux"), ("cp312", "musllinux"),
    }  # fmt: skip
