"""Are only regular files of limited size read, and is a written file always complete?"""

import errno
import os
import socket
import stat
import threading

import pytest

from autograd import files
from autograd.files import read_text, write_bytes

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffü\r\n".encode())
    assert read_text(path) == read_text(str(path)) == "ü\r\n"
    path.write_bytes(b"")
    assert read_text(path) == ""


@posix
@pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "folder", "socket", "device"])
def test_anything_but_a_regular_file_is_rejected_at_once(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path = "/dev/zero" if kind == "device" else "x.txt"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link to a fifo":
        os.mkfifo("fifo")
        os.symlink("fifo", path)
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
    with pytest.raises(OSError, match=path):
        read_text(path)


@posix
def test_a_file_replaced_by_a_fifo_before_it_is_opened_is_rejected(tmp_path, monkeypatch):
    path, fifo = tmp_path / "x.txt", tmp_path / "fifo"
    path.write_bytes(b"abc")
    os.mkfifo(fifo)
    original = os.open

    def swapped(*args):
        os.replace(fifo, path)
        return original(*args)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(OSError, match=r"x\.txt is not a regular file"):
        read_text(path)


def test_a_file_descriptor_is_rejected_and_stays_open(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"abc")
    with path.open() as file:
        with pytest.raises(TypeError, match="not int"):
            read_text(file.fileno())
        assert file.read() == "abc"


@posix
def test_a_huge_file_is_rejected_before_it_is_read(tmp_path):
    path = tmp_path / "x.txt"
    path.touch()
    os.truncate(path, 10 * 10**9)  # a sparse file
    message = r"x\.txt has 10,000,000,000 bytes, more than the 1,073,741,824 allowed"
    with pytest.raises(ValueError, match=message):
        read_text(path)


def test_a_file_of_exactly_the_largest_size_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 3)
    path = tmp_path / "x.txt"
    path.write_bytes(b"abc")
    assert read_text(path) == "abc"
    path.write_bytes(b"abcd")
    with pytest.raises(ValueError, match=r"x\.txt has 4 bytes"):
        read_text(path)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("ab\nü".encode("latin-1"), "byte 0xfc in line 2"),
        (b"\xef\xbb\xbf\n\n\nab\xfc", "byte 0xfc in line 4"),  # after a byte order mark
        ("ab\nü".encode("utf-16"), "byte 0xff in line 1"),
        ("ab\nü".encode("utf-32"), "byte 0xff in line 1"),
    ],
)
def test_a_file_that_is_not_utf_8_is_rejected(content, where, tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"x\.txt is not UTF-8: {where}$"):
        read_text(path)


# --- writing --------------------------------------------------------------------------------------


def test_a_write_removes_what_a_killed_write_left_behind(tmp_path):
    (tmp_path / ".x.bin.0.part").write_bytes(b"half")
    write_bytes(tmp_path / "x.bin", b"whole")
    assert (tmp_path / "x.bin").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["x.bin"]


@posix
def test_a_link_in_place_of_the_temporary_file_is_not_followed(tmp_path):
    (tmp_path / "other").write_bytes(b"mine")
    os.symlink("other", tmp_path / ".x.bin.0.part")
    write_bytes(tmp_path / "x.bin", b"new")
    assert (tmp_path / "other").read_bytes() == b"mine"
    assert (tmp_path / "x.bin").read_bytes() == b"new"


@posix
@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_a_file_may_have_the_longest_name_that_its_folder_takes(character, tmp_path):
    path = tmp_path / (character * (255 // len(character.encode())))
    for content in (b"old", b"new"):
        write_bytes(path, content)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"new"]


@posix
def test_a_write_through_a_link_replaces_its_target_and_keeps_its_permissions(tmp_path):
    (tmp_path / "target").touch(mode=0o600)
    os.symlink("target", tmp_path / "link")
    write_bytes(tmp_path / "link", b"new")
    assert os.readlink(tmp_path / "link") == "target"
    assert (tmp_path / "target").read_bytes() == b"new"
    assert stat.S_IMODE(os.stat(tmp_path / "target").st_mode) == 0o600


@posix
@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("fifo", OSError, "x.bin is not a regular file"),
        ("link to a fifo", OSError, "x.bin is not a regular file"),
        ("link to itself", OSError, "symbolic links: '.*x.bin'"),
        ("folder", IsADirectoryError, "x.bin is a folder"),
        ("write-protected", PermissionError, "Permission denied: '.*x.bin'"),
    ],
)
def test_only_a_writable_regular_file_is_replaced(kind, error, message, tmp_path, monkeypatch):
    path = tmp_path / "x.bin"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link to a fifo":
        os.mkfifo(tmp_path / "fifo")
        os.symlink("fifo", path)
    elif kind == "link to itself":
        os.symlink("x.bin", path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch(mode=0o444)
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for all but root
    before = os.lstat(path).st_ino, os.listdir(tmp_path)
    with pytest.raises(error, match=message):
        write_bytes(path, b"new")
    assert (os.lstat(path).st_ino, os.listdir(tmp_path)) == before


def test_threads_that_write_one_file_leave_one_complete_file(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(8)]
    errors = []

    def write(content):
        try:
            for _ in range(10):
                write_bytes(tmp_path / "x.bin", content)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (tmp_path / "x.bin").read_bytes() in contents
    assert os.listdir(tmp_path) == ["x.bin"]


def test_the_error_of_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*x\.bin'"):
        write_bytes(tmp_path / "x.bin", b"new")
    assert os.listdir(tmp_path) == []
