"""Which wheels are imported from the file, and that a program sees no difference but the paths."""

from __future__ import annotations

import json
import os
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from effetool.builder import Options, build
from effetool.builder.package.zip_safe import compile_wheels, staying
from effetool.builder.store.cache import Cache
from effetool.builder.store.files import digest_of
from effetool.effe.artifact import Artifact
from effetool.effe.project import find_one
from tests.served import serve

from ..shelf import make_wheel, serve_shelf

HERE = {sys.version_info.minor: Path(sys.executable)}
MODULES = {
    "plain": ("N = 1\n", True),
    "names it in a string": ("X = ['__file__']\n", True),
    "another's": ("import os\nX = os.__file__\n", True),
    "when run": ('if __name__ == "__main__":\n    print(open(__file__).read())\n', True),
    "in a function that touches nothing": ("import os\ndef f():\n    return os.path.dirname(__file__)\n", True),
    "in a function that reads": ("def f():\n    return open(__file__).read()\n", False),
    "in a function that lists": ("import os\ndef f():\n    return os.listdir(os.path.dirname(__file__))\n", False),
    "at import": ("import os\nHERE = os.path.dirname(__file__)\n", False),
    "in a class": ("class A:\n    here = __file__\n", False),
    "otherwise than when run": ('if __name__ == "__main__":\n    pass\nelse:\n    X = __file__\n', False),
    "its folders": ("X = list(__path__)\n", False),
    "by its frame": ("import inspect\nX = inspect.getfile(inspect.currentframe())\n", False),
    "what does not parse": ("print 1, __file__\n", False),
}


@pytest.mark.parametrize("what", MODULES)
def test_a_wheel_stays_when_its_modules_look_for_no_files(tmp_path: Path, what: str) -> None:
    source, expected = MODULES[what]
    assert stays(tmp_path, {"a": {"a/__init__.py": "", "a/b.py": source, "a/py.typed": "", "a/b.pyi": ""}}) == (
        ["a"] if expected else []
    )


def test_a_wheel_with_anything_else_is_unpacked_and_so_is_what_shares_its_name(tmp_path: Path) -> None:
    assert stays(tmp_path, {"a": {"a/__init__.py": "", "a/data.txt": ""}, "b": {"b.py": ""}}) == ["b"]
    assert stays(tmp_path, {"a": {"x/a.so": ""}, "b": {"x/b.py": ""}, "c": {"c.py": ""}}) == ["c"]
    assert stays(tmp_path, {"a": {"a.py": "", "a.pth": "import a"}}) == []
    assert stays(tmp_path, {"a": {"json.py": ""}}) == [], "the standard library comes first"
    assert stays(tmp_path, {"a": {"a.py": "import pkg_resources\n"}, "b": {"b.py": ""}}) == []
    assert stays(tmp_path, {"b": {"b.py": ""}}, b"import pkg_resources") == []


def stays(folder: Path, wheels: dict[str, dict[str, str]], author: bytes = b"") -> list[str]:
    made = [make_wheel(folder, name, files=files) for name, files in wheels.items()]
    compiled = compile_wheels([(path, digest_of(path)) for path in made], HERE, Cache(None))
    return sorted(file.partition("-")[0] for file in staying(compiled, [author]))


LOGIC = """# /// script
# requires-python = ">=3.9"
# dependencies = [{requirements}]
# ///
import importlib.metadata, importlib.resources, importlib.util, inspect, json, pkgutil, sys, traceback
import alpha.deep.more, nsp.one, nsp.two
INFO = {{"name": "probe", "version": "1.0"}}
def fails():
    alpha.fails()
def unpacked():
    return [entry for entry in sys.path if entry.endswith("/deps")]
def run(context, error, response, request):
    if request.path == "/beta":
        import beta
        return response.json({{"text": beta.TEXT, "file": beta.__file__, "module": beta.m.N}})
    if request.path == "/spawn":
        import multiprocessing
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return response.json({{"text": pool.apply(__import__("alpha").text), "unpacked": unpacked()}})
    if request.path == "/child":
        import subprocess
        def child(*words, python=sys.executable):
            return subprocess.run([python, *words], capture_output=True, text=True, cwd="/")
        code = "import alpha.deep.more, beta, nsp.one, nsp.two, sys; print(alpha.text(), beta.TEXT, beta.m.N)"
        again = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {{code!r}}])"
        other = "import importlib.util, sys; print(importlib.util.find_spec('alpha'), sys.executable)"
        return response.json({{
            "-c": child("-c", code).stdout, "-m": child("-m", "alpha").stdout,
            "spawned by a child": child("-c", again).stdout,
            "another's": child("-c", other, python=request.query["python"]).stdout,
            "isolated": child("-I", "-c", other).stdout,
        }})
    try:
        fails()
    except ValueError:
        trace = traceback.format_exc()
    response.json({{
        "trace": trace, "source": inspect.getsource(alpha.fails), "file": alpha.deep.more.__file__,
        "spec": importlib.util.find_spec("alpha.deep").origin, "missing": importlib.util.find_spec("gamma"),
        "names": [module.name for module in pkgutil.walk_packages(alpha.__path__, "alpha.")],
        "typed": importlib.resources.files("alpha").joinpath("py.typed").read_text(),
        "version": importlib.metadata.version("Al.pha"), "nsp": [nsp.one.N, nsp.two.N],
        "entries": [entry.value for entry in importlib.metadata.distribution("al-pha").entry_points],
        "distributions": sorted(d.metadata["Name"] for d in importlib.metadata.distributions()),
        "unpacked": unpacked(), "beta": importlib.metadata.version("beta"), "unpacked then": unpacked(),
    }})
"""
ALPHA = """def text():
    return "alpha"
def fails():
    raise ValueError("here")  # the line of the fault
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifact]:
    folder = tmp_path_factory.mktemp("straight")
    entry = "[console_scripts]\nalpha = alpha:text\n"
    wheels = {
        "al.pha": {
            "alpha/__init__.py": ALPHA,
            "alpha/deep/__init__.py": "",
            "alpha/deep/more.py": "from .. import text\n",
            "alpha/py.typed": "marker",
            "alpha/__main__.py": "import beta\nprint('main', beta.TEXT)\n",
            "al_pha-1.0.dist-info/entry_points.txt": entry,
        },
        "beta": {
            "beta/__init__.py": "from . import m\nTEXT = open(__file__.replace('__init__.py', 'data')).read()\n",
            "beta/data": "datum",
            "beta/m.py": "N = 5\n",
        },
        "one": {"nsp/one.py": "N = 1\n"},
        "two": {"nsp/two.py": "N = 2\n"},
    }
    with pytest.MonkeyPatch.context() as patch, serve_shelf(folder / "shelf") as running:
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
            patch.delenv(name)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_INDEX_URL", f"{running.url}/simple")
        patch.setenv("NO_PROXY", "127.0.0.1")
        made = [make_wheel(folder / "shelf", name, files=files) for name, files in wheels.items()]
        named = ", ".join(f'"{name} @ {path.as_uri()}"' for name, path in zip(wheels, made, strict=True))
        (folder / "effe").mkdir()
        (folder / "effe/logic.py").write_text(LOGIC.format(requirements=named))
        yield build(find_one(folder / "effe"), Options(out=folder / "probe.pex", python=f"3.{sys.version_info.minor}"))


def ask(built: Artifact, folder: Path, target: str, **variables: str) -> dict[str, object]:
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    python = programs / f"python3.{sys.version_info.minor}"
    if not python.exists():
        python.symlink_to(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    given = {"PATH": f"{programs}:/usr/bin:/bin", "XDG_CACHE_HOME": f"{folder}/cache", **variables}
    command: list[str | Path] = [
        "/usr/bin/env",
        "-i",
        *(f"{name}={value}" for name, value in given.items()),
        built.path,
    ]
    with serve([*command, "-host", "127.0.0.1"], folder, folder / "log") as server:
        found = json.loads(server.request("GET", target).text)
        assert isinstance(found, dict)
        return found


def test_what_a_program_sees_of_wheels_in_the_file(built: Artifact, tmp_path: Path) -> None:
    told = ask(built, tmp_path, "/")
    inside = f"{built.path}/.deps/al_pha-1.0-py3-none-any.whl"
    assert told["file"] == f"{inside}/alpha/deep/more.py" and told["spec"] == f"{inside}/alpha/deep/__init__.py"
    assert f'File "{inside}/alpha/__init__.py", line 4' in str(told["trace"])
    assert "# the line of the fault" in str(told["trace"]) and "# the line of the fault" in str(told["source"])
    assert told["names"] == ["alpha.__main__", "alpha.deep", "alpha.deep.more"] and told["typed"] == "marker"
    assert (told["version"], told["nsp"], told["missing"]) == ("1.0", [1, 2], None)
    assert told["entries"] == ["alpha:text"] and told["distributions"] == ["al.pha", "beta", "one", "two"]
    assert told["unpacked"] == [], "nothing was wanted that has to be a file"
    assert told["beta"] == "1.0" and len(told["unpacked then"]) == 1  # type: ignore[arg-type]


def test_what_has_to_be_a_file_is_unpacked_when_it_is_imported(built: Artifact, tmp_path: Path) -> None:
    told = ask(built, tmp_path, "/beta")
    assert (told["text"], told["module"]) == ("datum", 5)
    assert str(told["file"]).startswith(f"{tmp_path}/cache/effe/")
    (folder,) = (tmp_path / "cache/effe").glob("*/deps")
    assert sorted(path.name for path in folder.glob("[!.]*") if path.suffix == "") == ["beta"]
    assert len([*folder.glob("beta/__pycache__/*.pyc")]) == 2


def test_another_process_finds_all_of_them(built: Artifact, tmp_path: Path) -> None:
    told = ask(built, tmp_path, "/spawn")
    assert told["text"] == "alpha" and len(told["unpacked"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("variables", [{}, {"EFFE_UNPACK": "1"}, {"PYTHONPATH": "/nowhere"}])
def test_a_child_of_the_same_python_finds_them_and_another_does_not(
    built: Artifact, tmp_path: Path, variables: dict[str, str]
) -> None:
    """`subprocess.run([sys.executable, "-m", …])`, and a virtual environment that the effe calls."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env/bin/python"
    told = ask(built, tmp_path, f"/child?python={python}", **variables)
    assert told["-c"] == told["spawned by a child"] == "alpha datum 5\n" and told["-m"] == "main datum\n", told
    assert told["another's"] == f"None {python}\n" and str(told["isolated"]).startswith("None ")


def test_everything_is_unpacked_where_that_is_asked_for(built: Artifact, tmp_path: Path) -> None:
    told = ask(built, tmp_path, "/", EFFE_UNPACK="1")
    assert str(told["file"]).startswith(f"{tmp_path}/cache/effe/") and told["nsp"] == [1, 2]
    assert told["distributions"] == ["al.pha", "beta", "one", "two"] and "# the line of the" in str(told["trace"])
