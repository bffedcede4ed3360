"""Uploaded files, in memory and on the disk (effetool/runtime/http/upload.py)."""

import contextlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from effetool.runtime.http import upload
from effetool.runtime.http.upload import MAX_HELD, Spool


def spooled(*contents):
    spool, places = Spool(), []
    for content in contents:
        begin = spool.size
        for start in range(0, len(content), 7000):
            spool.write(content[start : start + 7000])
        places.append((begin, spool.size))
    return [spool.file(begin, end) for begin, end in places]


@pytest.mark.parametrize("size", [10, MAX_HELD], ids=["memory", "disk"])
def test_files_of_one_form_do_not_see_one_another(size):
    """Each has a place of its own, reads to its own end and can be sought."""
    one, two = spooled(b"a" * size + b"\nend\n", b"b" * size)
    assert one.read(3) == b"aaa" and two.read(2) == b"bb" and one.read(1) == b"a"
    assert one.seek(-5, io.SEEK_END) == size and one.readline() == b"\n" and one.read() == b"end\n"
    assert one.read() == b"" and one.seek(0) == 0 and one.tell() == 0
    assert len(two.read()) == size - 2
    with pytest.raises(ValueError):
        two.seek(-1)


def test_what_reads_files_reads_them():
    """A zip file asks for all that a file can do."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x", os.urandom(MAX_HELD))
    for file in spooled(b"before", packed.getvalue()), spooled(packed.getvalue()[:0], packed.getvalue()):
        assert zipfile.ZipFile(file[1]).testzip() is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed in /proc (Linux)")
def test_a_form_costs_one_descriptor_and_leaves_nothing(tmp_path, monkeypatch):
    """However many files it has; no name in the directory, and closed with the last of them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def opened():
        links = []
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # that of the listing itself
                links.append(str(descriptor.readlink()))
        return [link for link in links if str(tmp_path) in link]

    files = spooled(*[b"x" * MAX_HELD] * 20)
    assert len(opened()) == 1 and list(tmp_path.iterdir()) == []
    last = files.pop()
    files.clear()
    assert len(opened()) == 1 and last.read() == b"x" * MAX_HELD
    del last
    assert opened() == []


def test_a_full_disk_is_the_authors_error(monkeypatch):
    """OSError, as from any file; nothing is opened for ever."""
    monkeypatch.setattr("tempfile.tempdir", "/no/such/directory")
    with pytest.raises(OSError):
        spooled(b"x" * MAX_HELD, b"x")


def test_a_write_that_the_system_cuts_short_is_gone_on_with(monkeypatch):
    """write(2) may take less than it was given."""
    real = os.write
    monkeypatch.setattr(upload.os, "write", lambda fd, data: real(fd, data[:1000]))
    (file,) = spooled(bytes(range(256)) * 2000)
    assert file.read() == bytes(range(256)) * 2000
