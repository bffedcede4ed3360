"""`effe-tool verify` as a user has it: exit 0 when every byte is the same, exit 1 and the part that is not."""

from __future__ import annotations

import json

import pytest

EFFE = 'INFO = {"name": "one", "version": "1.0"}\ndef run(context, error, response, request):\n    pass\n'


@pytest.mark.slow
def test_verify(effe_tool, tmp_path):
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "one.py").write_text(EFFE)
    assert effe_tool("build", "one.py", "-q", env=cache).returncode == 0
    same = effe_tool("verify", "one-1.0.pex", env=cache)
    assert (same.returncode, same.stdout) == (0, "one-1.0.pex: the same as built from the files inside it\n")
    assert same.stderr == ""
    (tmp_path / "one.py").write_text(EFFE.replace("pass", "..."))
    other = effe_tool("verify", "one-1.0.pex", "--source", "one.py", env=cache)
    first, *rest = other.stdout.splitlines()
    assert other.returncode == 1 and first.startswith("one-1.0.pex: differs from what one.py gives, first in ")
    assert any(line.startswith("~ file one.py") for line in rest)
    told = effe_tool("verify", "one-1.0.pex", "--source", "one.py", "--json", env=cache)
    document = json.loads(told.stdout)
    assert told.returncode == 1 and not document["identical"] and document["difference"]
    assert "file" in [one["kind"] for one in document["differences"]]
    (tmp_path / "no.pex").write_text("no zip")
    refused = effe_tool("verify", "no.pex", env=cache)
    assert refused.returncode == 1 and refused.stderr.startswith("error[E131]: no.pex is no .pex of effe-tool")
