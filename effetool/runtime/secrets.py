"""Give the author's code the variables its INFO declares, and keep the secret ones out of every record.

A variable is looked for in the environment, then in the file that `NAME_FILE` names, then in systemd's
`$CREDENTIALS_DIRECTORY/NAME` (systemd.exec(5)), then in `/run/secrets/NAME` (what Docker, Podman and Kubernetes mount
there); last comes its default. What is found in a file is put into `os.environ` of this process, after its start: it is
not in /proc/PID/environ. An empty secret counts as missing, since `NAME=$UNSET` gives one.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from typing import Any

SECRETS = "/run/secrets"
# A key or a certificate chain; more is a mistake, such as the name of a device.
_MOST = 1 << 20
# A shorter one is in too many words: hiding it would make the log unreadable, and tell it.
_SHORTEST = 4
# What records must not hold; see `scrub`.
_hidden: tuple[str, ...] = ()


class NeedError(Exception):
    """Variables that must be given are not: `message` names every one of them, `fix` says how to give the first."""

    def __init__(self, wrong: Sequence[str]) -> None:
        first = wrong[0].partition(" ")[0]
        self.message = f"INFO declares variables that are not given: {', '.join(wrong)}"
        self.fix = f"{first}=VALUE before the command, or {first}_FILE=PATH, or the file {SECRETS}/{first}"
        super().__init__(f"{self.message}\n  fix: {self.fix}")


def declared(data: Mapping[str, Any]) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Return `env` and `secrets` of INFO; the tool has checked them at the build, so what does not fit is passed by."""
    env, secrets = data.get("env"), data.get("secrets")
    found = dict.fromkeys(env) if isinstance(env, list) else dict(env) if isinstance(env, dict) else {}
    return found, tuple(secrets) if isinstance(secrets, (list, tuple)) else ()


def supply(
    env: Mapping[str, str | None],
    secrets: Sequence[str],
    environ: MutableMapping[str, str],
    *,
    keep: bool = True,
) -> list[str]:
    """Find all that is declared, put it into `environ`, and hide the secrets from records; return the names set.

    With `keep=False` it only looks: no file is read, and nothing is set (a parent of workers, who read for themselves).

    Raises NeedError, which names all that are missing.
    """
    global _hidden
    wrong: list[str] = []
    found: dict[str, str] = {}
    for name in dict.fromkeys((*env, *secrets)):
        secret = name in secrets
        value = environ.get(name)
        if value is not None and (value or not secret):
            found[name] = value
            continue
        path = _file(name, environ)
        default = env.get(name)
        if path is not None and not keep and os.access(path, os.R_OK):
            continue
        if path is not None:
            try:
                found[name] = _read(path)
                continue
            except (OSError, ValueError) as error:
                wrong.append(f"{name} (cannot read {path}: {getattr(error, 'strerror', None) or error})")
        elif default is not None and not secret:
            found[name] = default
        else:
            wrong.append(f"{name} (a secret)" if secret else name)
    if wrong:
        raise NeedError(wrong)
    _hidden = _forms(found[name] for name in secrets if name in found)
    if not keep:
        return []
    given = [name for name, value in found.items() if environ.get(name) != value]
    for name in given:
        environ[name] = found[name]
    return given


def scrub(text: str) -> str:
    """Return a text with every secret in it replaced by `***`."""
    for value in _hidden:
        text = text.replace(value, "***")
    return text


def scrubbed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record's fields with every secret in them replaced."""
    if not _hidden:
        return fields
    plain = (bool, int, float, type(None))
    return {key: value if isinstance(value, plain) else scrub(str(value)) for key, value in fields.items()}


def _file(name: str, environ: Mapping[str, str]) -> str | None:
    if environ.get(f"{name}_FILE"):
        return environ[f"{name}_FILE"]
    for folder in (environ.get("CREDENTIALS_DIRECTORY"), SECRETS):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


def _read(path: str) -> str:
    """Read a value: the file without the line break that editors and `echo` put at its end."""
    with open(path, "rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise ValueError(f"more than {_MOST} bytes")
    text = os.fsdecode(data)
    if "\0" in text:
        raise ValueError("it holds a NUL byte")
    text = text[:-1] if text.endswith("\n") else text
    text = text[:-1] if text.endswith("\r") else text
    if not text:
        raise ValueError("it is empty")
    return text


def _forms(values: Any) -> tuple[str, ...]:
    """Return how each value may stand in a record: as it is, as repr() writes it, and each of its lines."""
    forms: set[str] = set()
    for value in values:
        forms.update((value, repr(value)[1:-1], *value.splitlines()))
    return tuple(sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True))
