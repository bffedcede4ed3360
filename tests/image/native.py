"""Build, image and run an effe with each of the native packages that people ask for: `python -m tests.image.native`.

Each runs under podman, read-only and without a capability, and answers with what it computed. It fetches some hundred
megabytes and takes minutes, so it is a script that is run by hand; two small ones are in test_native.py.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .container import podman_alone, running

# For each: what is declared, and an expression that runs its native code, whose text is the answer.
EFFES = {
    "greenlet": (["greenlet"], "greenlet.greenlet(lambda: 7).switch()", "greenlet"),
    "numpy": (["numpy"], "float(numpy.linalg.solve([[3.0, 1.0], [1.0, 2.0]], [9.0, 8.0])[0])", "numpy"),
    "pandas": (["pandas"], "int(pandas.Series([1, 2, 3]).groupby([0, 0, 1]).sum().max())", "pandas"),
    "scikit-learn": (
        ["scikit-learn"],
        "int(sklearn.linear_model.LogisticRegression().fit([[0.0], [1.0]], [0, 1]).predict([[2.0]])[0])",
        "sklearn.linear_model",
    ),
    "lightgbm": (
        ["lightgbm"],
        "lightgbm.train({'verbose': -1, 'num_threads': 1}, lightgbm.Dataset(numpy.arange(100.0).reshape(50, 2),"
        " numpy.arange(50.0)), 2).num_trees()",
        "lightgbm, numpy",
    ),
    "grpcio": (["grpcio"], "grpc.StatusCode.OK.name + grpc.insecure_channel('127.0.0.1:1').__class__.__name__", "grpc"),
    "pillow": (
        ["pillow"],
        "PIL.Image.new('RGB', (4, 4)).resize((2, 2)).tobytes('jpeg', 'RGB')[:2].hex()",
        "PIL.Image",
    ),
    "lxml": (["lxml"], "lxml.etree.fromstring('<a><b>x</b></a>').xpath('string(b)')", "lxml.etree"),
    "psycopg": (
        ["psycopg[binary]"],
        "psycopg.pq.__impl__ + str(psycopg.pq.version() > 100000)",
        "psycopg, psycopg.pq",
    ),
    "cryptography": (
        ["cryptography"],
        "cryptography.fernet.Fernet(k := cryptography.fernet.Fernet.generate_key()).decrypt("
        "cryptography.fernet.Fernet(k).encrypt(b'x')).decode()",
        "cryptography.fernet",
    ),
    "orjson": (["orjson"], "orjson.dumps({'a': 1}).decode()", "orjson"),
    "pydantic": (["pydantic"], "pydantic.TypeAdapter(int).validate_python('7')", "pydantic"),
    "pyyaml": (["pyyaml"], "yaml.load('a: [1, 2]', Loader=yaml.CSafeLoader)", "yaml"),
    "onnxruntime": (["onnxruntime"], "onnxruntime.get_available_providers()[-1]", "onnxruntime"),
}
LOGIC = """# /// script
# dependencies = {dependencies}
# ///
import {imports}

INFO = {{"name": "probe", "version": "1.0", "doc": "Run native code"}}


def run(context, error, response, request):
    response.write(str({expression}))
"""
RESTRICTED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def make(root: Path, name: str) -> Path:
    """Build the effe of a package."""
    dependencies, expression, imports = EFFES[name]
    source = root / f"with_{name.replace('-', '_')}.py"  # not the name that it imports
    text = str(dependencies).replace("'", '"')
    source.write_text(LOGIC.format(dependencies=text, imports=imports, expression=expression))
    target = root / f"{name}.pex"
    done = subprocess.run(
        [sys.executable, "-m", "effetool", "build", str(source), "--out", str(target)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    print(*(line for line in done.stderr.splitlines() if "needs lib" in line), sep="\n", end="")
    return target


def answer(podman: dict[str, str], pex: Path, **environ: str) -> tuple[str, str]:
    """Load the image into podman, ask the effe once; return its answer and what `image` said."""
    command = [sys.executable, "-m", "effetool", "image", str(pex), "--load", "--tag", f"{pex.stem}:1.0"]
    done = subprocess.run(command, capture_output=True, text=True, env={**podman, **environ})
    assert done.returncode == 0, done.stderr
    with running(podman, f"{pex.stem}:1.0", *RESTRICTED) as container:
        status, body = container.get()
        assert status == 200, f"{status} {body}\n{container.log()}"
        return body, done.stderr


def main(names: list[str]) -> int:
    failed = []
    with tempfile.TemporaryDirectory(prefix="effe-native-") as folder, podman_alone(Path(folder)) as podman:
        for name in names or list(EFFES):
            began = time.perf_counter()
            try:
                body, said = answer(podman, make(Path(folder), name))
                added = " ".join(line.strip() for line in said.splitlines() if " of Debian" in line)
                print(f"{name:14} {body:24} {time.perf_counter() - began:5.1f} s  {added}", flush=True)
            except AssertionError as error:
                failed.append(name)
                print(f"{name:14} FAILED: {error}", flush=True)
            subprocess.run(["podman", "rmi", "-f", f"{name}:1.0"], env=podman, capture_output=True)
    print(f"{len(names or EFFES) - len(failed)} of {len(names or EFFES)} answered", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
