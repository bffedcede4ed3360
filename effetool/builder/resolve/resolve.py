"""From what an effe declares to wheels on disk: asked once, kept, checked at each use.

    declaration → (lock | resolver) → wheels → what they serve → Resolution

The answer is kept in the cache under everything it depends on: the declaration, the lock beside it, the targets and
what pip's configuration makes visible. So a resolver runs only when one of these has changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...effe.project import Project
from ...errors import DependencyError, Place, UsageError
from ..requirements.declaration import Declaration, find_lock, find_text, lock_path, read_declaration
from ..requirements.pythons import admits
from ..store.files import write_atomic
from .backends import Question, Unresolved, build_wheel, choose, resolve_pins
from .compatibility import narrow, serves
from .explain import explain
from .index import Index, read_index
from .lock import File, Lock, Pin, join_pins, read_lock, unmet, write_lock
from .resolution import Distribution, Resolution, question_key, recall, remember
from .target import MINORS, Target, read_platform, read_pythons, this_platform, this_target
from .wheels import adopt, built_before, fetch, find_wheel, note_built, read_metadata

Progress = Callable[[str], None]
Answer = dict[Target, list[Pin]]


class Wishes(Protocol):
    """What a build asks of the dependencies: the options of `effe-tool build` that concern them."""

    @property
    def python(self) -> str | None:
        """`--python`: the Pythons to serve; None is the running one, and what else the same wheels serve."""

    @property
    def platforms(self) -> tuple[str, ...]:
        """`--platform`, several allowed; none is this machine."""

    @property
    def lock(self) -> bool:
        """`--lock`: resolve anew and write the lock."""

    @property
    def locked(self) -> bool:
        """`--locked`: refuse when the lock does not answer the declaration."""

    @property
    def offline(self) -> bool:
        """`--offline`: no network."""

    @property
    def answer(self) -> Path | None:
        """The lock that answers the declaration, instead of one beside the effe."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One call's particulars, so that they need not be passed one by one."""

    project: Project
    declaration: Declaration
    declared: str
    targets: tuple[Target, ...]
    open_ended: bool
    index: Index
    offline: bool
    resolver: str | None
    progress: Progress
    foreign: bool  # the lock is from a .pex, and what it names may be anybody's


def resolve(
    project: Project, wishes: Wishes, progress: Progress = lambda _: None, *, resolver: str | None = None
) -> Resolution:
    """Answer an effe's declaration with wheels.

    Args:
        project: the effe.
        wishes: targets, locks, network.
        progress: told what is being fetched or built, a line each.
        resolver: "uv" or "pip"; None asks uv where there is one.

    Raises:
        DependencyError: E140 no answer, E142 a malformed declaration, E143 no wheel for a target, E144 the lock does
            not answer the declaration, E145 the network is needed.
        UsageError: E143 for a `--python` or `--platform` that is none.
    """
    declaration = read_declaration(project)
    if wishes.lock and declaration.lock:
        raise UsageError(
            f"{declaration.origin} is itself the declaration: there is nothing to lock it from",
            code="E144",
            place=Place(declaration.lock),
            fix="declare the dependencies in a `# /// script` block of the effe",
        )
    lock = read_lock(declaration.lock) if declaration.lock else None
    declared = declaration.requires_python or (lock.requires_python if lock else None) or ""
    targets, wanted, open_ended = _targets(declaration, declared, wishes)
    if not declaration.requirements and lock is None:
        served = [minor for minor in MINORS if admits(wanted, minor)]
        why = "no dependencies" if declaration.file is None else f"no dependencies, by {declaration.origin}"
        return Resolution(declaration, (), targets, narrow(wanted, served), "", "none", why, fresh=True)
    index = read_index()
    foreign = wishes.answer is not None
    case = _Case(project, declaration, wanted, targets, open_ended, index, wishes.offline, resolver, progress, foreign)
    beside = None if lock else wishes.answer or find_lock(project)
    key = question_key(declaration, beside, wanted, targets, index, wishes.locked)
    if not wishes.lock and (kept := recall(key, declaration)) is not None:
        return kept
    answer, by, why, notes = _answer(case, lock, beside, wishes)
    resolution = _fetch(case, answer, by, why + "".join(f"; {note}" for note in notes), rooted=lock is None)
    if wishes.lock:
        _write_lock(case, answer, resolution)
        # The next build reads the lock and finds this very answer.
        key = question_key(declaration, lock_path(project), wanted, targets, index, wishes.locked)
    if not any(file.url.startswith("file:") and not file.sha256 for file in _sources(answer)):
        remember(key, resolution)
    return resolution


def _targets(declaration: Declaration, declared: str, wishes: Wishes) -> tuple[tuple[Target, ...], str, bool]:
    """Return the targets, the whole constraint, and whether its newest Pythons may be left out."""
    platforms = tuple(dict.fromkeys(map(read_platform, wishes.platforms))) or (this_platform(),)
    if wishes.python:
        given = wishes.python.strip()
        asked = read_pythons(given)
        minors = [minor for minor in asked if admits(declared, minor)]
        if given[0].isdigit():
            given = f"=={given}.*"
        wanted = ",".join(
            dict.fromkeys(clause.strip() for clause in f"{given},{declared}".split(",") if clause.strip())
        )
        open_ended = admits(wanted, (3, 99))
    else:
        minors = [minor for minor in MINORS if admits(declared, minor)]
        here = this_target().python
        minors = [here] if here in minors else minors[:1]
        wanted, open_ended = declared, False
    if not minors:
        raise DependencyError(
            f"requires-python {declared} leaves no Python" + (f" of --python {wishes.python}" if wishes.python else ""),
            code="E143",
            place=find_text(declaration.file, declared) if declaration.file else None,
            fix='write requires-python = ">=3.9"',
        )
    return tuple(Target(minor, platform) for minor in minors for platform in platforms), wanted, open_ended


def _answer(case: _Case, lock: Lock | None, beside: Path | None, wishes: Wishes) -> tuple[Answer, str, str, list[str]]:
    """Return the pins for each target, who gave them, why, and what is to be said besides."""
    origin = case.declaration.origin
    if lock is not None:
        answer = _by_lock(case, lock, None)
        return answer, lock.path.name, f"{lock.path.name} is the declaration", []
    reason = "it has no lock"
    if beside is not None and not wishes.lock:
        try:
            found = read_lock(beside)
            answer = _by_lock(case, found, case.declaration)
            return answer, beside.name, f"{beside.name} answers {origin}", []
        except DependencyError as error:
            if error.code == "E142" and wishes.locked:
                raise
            reason = f"{beside.name} is out of date: {error.message}"
    if wishes.locked:
        raise DependencyError(
            f"--locked: {reason}",
            code="E144",
            place=Place(beside) if beside else case.declaration.place(""),
            fix=f"effe-tool build --lock {case.project.path}",
        )
    by = choose(case.resolver)
    answer, notes = _by_resolver(case, by)
    if beside is not None and not wishes.lock:
        notes.insert(0, reason)
    why = (
        f"resolved by {by} into {lock_path(case.project).name}" if wishes.lock else f"resolved by {by}: {origin} is new"
    )
    return answer, by, why, notes


def _by_lock(case: _Case, lock: Lock, declaration: Declaration | None) -> Answer:
    answer: Answer = {}
    if declaration and (gone := lock.roots - {requirement.name for requirement in declaration.requirements}):
        raise DependencyError(f"{min(gone)} is in it, and no longer declared", code="E144", fix="--lock")
    for target in case.targets:
        if lock.requires_python and not admits(lock.requires_python, target.python):
            message = f"{lock.path.name} is for Python {lock.requires_python}, not for {target.version}"
            raise DependencyError(message, code="E143", place=Place(lock.path), fix="effe-tool build --lock")
        pins = lock.select(target)
        if declaration and (lacking := unmet(declaration.requirements, pins, target)):
            raise DependencyError(
                f"{lacking.text} is not in it", code="E144", place=declaration.place(lacking.name), fix="--lock"
            )
        answer[target] = [_choose(case, pin, target, Place(lock.path)) for pin in pins]
    return answer


def _by_resolver(case: _Case, by: str) -> tuple[Answer, list[str]]:
    answer: Answer = {}
    notes: list[str] = []
    prefer: tuple[Pin, ...] = ()
    for target in case.targets:
        asked = Question(
            requirements=tuple(requirement.text for requirement in case.declaration.requirements),
            options=case.declaration.options,
            target=target,
            folder=case.project.root,
            prefer=prefer,
            offline=case.offline,
        )
        case.progress(f"{by}: {target.name}" if len(case.targets) > 1 else by)
        try:
            pins = resolve_pins(asked, case.index, by)
            answer[target] = [_choose(case, pin, target, case.declaration.place(pin.name)) for pin in pins]
        except (Unresolved, DependencyError) as refusal:
            newer = [other for other in case.targets if other.python >= target.python]
            if case.open_ended and answer and target.python > this_target().python:
                told = refusal if isinstance(refusal, DependencyError) else explain(refusal, case.declaration, target)
                notes.append(f"left out from Python {target.version} on: {told.message}")
                answer = {kept: pins for kept, pins in answer.items() if kept not in newer}
                break
            if isinstance(refusal, DependencyError):
                raise
            if case.offline:
                raise DependencyError(
                    f"{case.declaration.origin} has changed since it was resolved, and --offline closes the network",
                    code="E145",
                    place=case.declaration.place(""),
                    fix="run effe-tool build once without --offline",
                    notes=refusal.lines,
                ) from None
            raise explain(refusal, case.declaration, target, case.index) from None
        prefer = tuple(join_pins(answer))
    return answer, notes


def _choose(case: _Case, pin: Pin, target: Target, place: Place | None) -> Pin:
    """Return the pin with the one wheel that fits the target best, or with its source where it can be built here."""
    allowed = case.declaration.hashes
    wheels = pin.wheels
    if allowed:
        wheels = tuple(wheel for wheel in wheels if wheel.sha256 in allowed.get(pin.name, ()))
        if pin.wheels and not wheels:
            line = f"{pin.name}=={pin.version} --hash=sha256:{pin.wheels[0].sha256}"
            what, fix = f"others have a --hash=sha256:, {pin.name} has none", f"write {line}"
            if allowed.get(pin.name):
                what = f"no file of {pin.name} {pin.version} has a digest that is listed"
                fix = f"find out which file is right; the index has {line}"
            raise DependencyError(f"{case.declaration.origin}: {what}", code="E140", place=place, fix=fix)
    ranked = [(rank, wheel) for wheel in wheels if (rank := target.rank(wheel.name)) is not None]
    if ranked:
        return Pin(pin.name, pin.version, (min(ranked)[1],), None, pin.marker, pin.requires_python)
    if pin.source is not None and target == this_target():
        return Pin(pin.name, pin.version, (), pin.source, pin.marker, pin.requires_python)
    what = "is only there as source" if not pin.wheels else "has no wheel"
    raise DependencyError(
        f"{pin.name} {pin.version} {what}, for {target.name} a wheel is needed",
        code="E143",
        place=place,
        fix=f"leave {target.name} out, take a version with a wheel for it, or build on such a machine",
    )


def _sources(answer: Answer) -> list[File]:
    return [pin.source for pins in answer.values() for pin in pins if pin.source is not None]


def _fetch(case: _Case, answer: Answer, by: str, why: str, *, rooted: bool) -> Resolution:
    """Have every wheel on disk and find out what they serve together."""
    chosen = [(target, pin) for target, pins in answer.items() for pin in pins]
    located = _locate(case, [(target, pin) for target, pin in chosen if pin.wheels])
    files = {pin.wheels[0]: located.get(pin.wheels[0], pin.wheels[0]) for _, pin in chosen if pin.wheels}
    had = fetch(files.values(), case.index, offline=case.offline, progress=case.progress)
    wheels: dict[tuple[str, Path], list[Target]] = {}
    pins: Answer = {target: [] for target in answer}
    for target, pin in chosen:
        if pin.wheels:
            sha256, path = had[files[pin.wheels[0]]]
        else:
            sha256, path = _build(case, pin)
        metadata = read_metadata(path)
        wheels.setdefault((sha256, path), []).append(target)
        file = File(path.name, files[pin.wheels[0]].url if pin.wheels else "", sha256, path.stat().st_size)
        kept = (file,) if pin.wheels else ()
        pins[target].append(Pin(pin.name, metadata.version, kept, pin.source, None, metadata.requires_python))
    distributions = tuple(sorted(_distributions(wheels), key=lambda one: (one.name, one.version, one.wheel.name)))
    requires_python, note = _served(case, distributions, tuple(answer), rooted=rooted)
    lock = write_lock(join_pins(pins), requires_python, {"requirements": _roots(case.declaration)}, urls=False)
    return Resolution(case.declaration, distributions, tuple(answer), requires_python, lock, by, why + note)


def _distributions(wheels: Mapping[tuple[str, Path], list[Target]]) -> Iterator[Distribution]:
    for (sha256, path), targets in wheels.items():
        metadata = read_metadata(path)
        size = path.stat().st_size
        yield Distribution(metadata.name, metadata.version, path, sha256, size, metadata, tuple(targets))


def _roots(declaration: Declaration) -> list[str]:
    return sorted(requirement.text for requirement in declaration.requirements)


def _locate(case: _Case, chosen: Sequence[tuple[Target, Pin]]) -> dict[File, File]:
    """Find where files are of which a lock tells only name and digest: the index has them under their version."""
    found: dict[File, File] = {}
    lost: dict[Target, list[Pin]] = {}
    for target, pin in chosen:
        if not pin.wheels[0].url and find_wheel(pin.wheels[0]) is None:
            lost.setdefault(target, []).append(pin)
    for target, pins in lost.items():
        if case.offline:
            break  # fetch() says which file is missing
        pinned = tuple(f"{pin.name}=={pin.version}" for pin in pins)
        question = Question(pinned, case.declaration.options, target, case.project.root, pinned=True)
        try:
            answers = resolve_pins(question, case.index, choose(case.resolver))
        except Unresolved as refusal:
            raise explain(refusal, case.declaration, target, case.index) from None
        by_digest = {wheel.sha256: wheel for pin in answers for wheel in pin.wheels}
        found.update({pin.wheels[0]: by_digest.get(pin.wheels[0].sha256, pin.wheels[0]) for pin in pins})
    return found


def _build(case: _Case, pin: Pin) -> tuple[str, Path]:
    source = pin.source
    assert source is not None
    if (kept := built_before(source)) is not None:
        return kept
    if case.offline or case.foreign:
        why = "--offline closes the network" if case.offline else "that runs code which the .pex names"
        fix = "run effe-tool build of the effe once, without --offline"
        told = f"{pin.name} is to be built from source, and {why}"
        raise DependencyError(told, code="E145", place=case.declaration.place(pin.name), fix=fix)
    case.progress(f"building {source.name}")
    with tempfile.TemporaryDirectory(prefix="effe-tool-") as folder:
        try:
            sha256, path = adopt(build_wheel(source, case.project.root, Path(folder)))
        except Unresolved as refusal:
            raise explain(refusal, case.declaration, this_target()) from None
    note_built(source, sha256, path)
    return sha256, path


def _served(
    case: _Case, distributions: Iterable[Distribution], targets: Sequence[Target], *, rooted: bool
) -> tuple[str, str]:
    """Return the constraint of the artefact, and a note when it is narrower than what was declared."""
    wheels = [(one.wheel.name, one.metadata) for one in distributions]
    roots = case.declaration.requirements if rooted else None
    platforms = tuple(dict.fromkeys(target.platform for target in targets))
    served, reasons = [], []
    for minor in (minor for minor in MINORS if admits(case.declared, minor)):
        reason = next(filter(None, (serves(roots, wheels, Target(minor, where)) for where in platforms)), None)
        if reason is None:
            served.append(minor)
        else:
            reasons.append((minor, reason))
    for minor, reason in reasons:
        if minor in {target.python for target in targets}:
            raise DependencyError(
                f"the lock is not whole: {reason}" if not rooted else reason,
                code="E143",
                place=case.declaration.place(""),
                fix="effe-tool build --lock",
            )
    constraint = narrow(case.declared, served)
    if not reasons:
        return constraint, ""
    if any(target.python == reasons[0][0] for target in case.targets):
        return constraint, ""  # said when it was left out
    nearest = min(reasons, key=lambda found: abs(found[0][1] - targets[-1].python[1]))
    return constraint, f"; serves Python {constraint}: {nearest[1]}"


def _write_lock(case: _Case, answer: Answer, resolution: Resolution) -> None:
    tool = {"requirements": _roots(case.declaration)}
    pins = [
        Pin(
            pin.name,
            pin.version,
            tuple(wheel for wheel in pin.wheels if wheel.sha256),
            pin.source,
            pin.marker,
            pin.requires_python,
        )
        for pin in join_pins(answer)
    ]
    text = write_lock(pins, resolution.requires_python, tool, urls=True)
    write_atomic(lock_path(case.project), text.encode(), mode=0o644)
