"""Is a file claimed by one process or thread at a time, and free once its process was killed?"""

import os
import subprocess
import sys

import pytest

from autograd.claims import claimed, release_all

HOLD = """
import sys, time
from autograd.claims import claimed
claim = claimed(sys.argv[1])
print(claim is not None, flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "lock")


def test_a_claimed_file_is_held_until_it_is_released(path):
    claim = claimed(path)
    assert os.listdir(os.path.dirname(path)) == ["lock"]
    assert claimed(path) is None
    claim.release()
    assert os.listdir(os.path.dirname(path)) == []
    claimed(path).release()


def test_another_process_holds_a_file_until_it_is_killed(path):
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "True\n"
            assert claimed(path) is None
        finally:
            other.kill()
    assert os.path.exists(path)
    claim = claimed(path)
    assert claim is not None
    claim.release()
    assert not os.path.exists(path)


def test_releasing_a_renamed_file_keeps_it_and_any_new_file_with_its_old_name(path, tmp_path):
    claim = claimed(path)
    os.write(claim.handle, b"content")
    claim.move(str(tmp_path / "new"))
    other = claimed(path)
    claim.release()
    assert sorted(os.listdir(tmp_path)) == ["lock", "new"]
    assert claimed(path) is None
    other.release()
    assert (tmp_path / "new").read_bytes() == b"content"


def test_release_all_releases_every_file(path, tmp_path):
    for name in "ab":
        assert claimed(path + name)
    release_all()
    assert os.listdir(tmp_path) == []


def test_claiming_a_file_in_a_missing_folder_raises_file_not_found_error(path):
    with pytest.raises(FileNotFoundError):
        claimed(path + "/below/lock")


def test_ctrl_c_while_a_file_is_claimed_or_released_leaves_it_free(path, monkeypatch):
    def interrupted(*arguments):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(os.path, "samestat", interrupted)
    with pytest.raises(KeyboardInterrupt):
        claimed(path)
    claim = claimed(path)
    monkeypatch.setattr(os.path, "samestat", interrupted)
    with pytest.raises(KeyboardInterrupt):
        claim.release()
    claimed(path).release()
