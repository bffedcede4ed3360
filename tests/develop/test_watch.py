"""Seeing a save."""

import os
import time

import pytest

from effetool.develop.watch import AWAY, EMPTY, Watch


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "logic.py"
    path.write_text("one")
    return path


def looked(watch, seconds):
    """Look again and again for a while; return what was seen."""
    until = time.monotonic() + seconds
    found = []
    while time.monotonic() < until and not found:
        found = watch.look()
    return found


def test_a_save_is_seen_once(file):
    """A change is returned by the next look, and not again."""
    watch = Watch()
    watch.add([str(file)])
    assert watch.look() == []
    file.write_text("three")
    assert watch.look() == [str(file)]
    assert watch.look() == []


def test_the_same_size_and_time_in_another_file(file, tmp_path):
    """A file put in its place is seen even with its size and time (the inode differs)."""
    watch = Watch()
    watch.add([str(file)])
    before = file.stat()
    beside = tmp_path / "beside"
    beside.write_text("two")
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.rename(file)
    assert watch.look() == [str(file)]


def test_a_file_that_is_away_for_a_moment(file):
    """Between an editor's two renames nothing is reported; a file that stays away is."""
    watch = Watch()
    watch.add([str(file)])
    file.unlink()
    assert watch.look() == []
    file.write_text("two")
    assert watch.look() == [str(file)]
    file.unlink()
    began = time.monotonic()
    assert looked(watch, 30) == [str(file)]
    assert time.monotonic() - began >= AWAY


def test_a_file_that_was_cut_to_nothing(file):
    """An empty file is about to be written: the content is what is reported, or emptiness that lasts."""
    watch = Watch()
    watch.add([str(file)])
    file.write_text("")
    assert watch.look() == []
    file.write_text("two")
    assert watch.look() == [str(file)]
    file.write_text("")
    began = time.monotonic()
    assert looked(watch, 30) == [str(file)]
    assert time.monotonic() - began >= EMPTY


def test_a_file_that_is_not_there_yet(tmp_path):
    """Its appearing is a change."""
    watch = Watch()
    watch.add([str(tmp_path / "new.py")])
    assert watch.look() == []
    (tmp_path / "new.py").write_text("x")
    assert watch.look() == [str(tmp_path / "new.py")]
