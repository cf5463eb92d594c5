"""Are files written completely or not at all, and read only as data?"""

import math
import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.files import as_number, read_json, reserved, write_bytes, write_json


def test_content_survives_a_round_trip(tmp_path):
    path = tmp_path / "x.json"
    content = {"kind": "test", "a": [1, 2.5, [True, None]], "b": {"c": "ü"}, "d": "nan"}
    write_json(path, content)
    assert read_json(path, "test") == content


def test_a_tuple_comes_back_as_a_list_and_inf_and_nan_as_strings(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"kind": "test", "a": (math.inf, [-math.inf]), "b": {"c": math.nan}})
    assert read_json(path, "test") == {"kind": "test", "a": ["inf", ["-inf"]], "b": {"c": "nan"}}


@given(st.floats(allow_nan=False))
def test_a_float_keeps_every_bit(tmp_path_factory, number):
    path = tmp_path_factory.getbasetemp() / "float.json"
    write_json(path, {"kind": "test", "x": number})
    found = as_number(read_json(path, "test")["x"], "x")
    assert (found, math.copysign(1.0, found)) == (number, math.copysign(1.0, number))


@pytest.mark.parametrize(
    ("content", "number"),
    [
        *[(3, 3.0), (-0.5, -0.5), ("inf", math.inf), ("-inf", -math.inf)],
        *[(np.float32(0.5), 0.5), (np.int64(3), 3.0)],
    ],
)
def test_numbers_of_a_file_become_floats(content, number):
    found = as_number(content, "x")
    assert found == number
    assert type(found) is float


@pytest.mark.parametrize("content", ["1", "Infinity", "NAN", True, None, [1.0], {}])
def test_the_error_for_a_non_number_in_a_file_names_it(content):
    with pytest.raises(ValueError, match="the slope"):
        as_number(content, "the slope")


def test_a_whole_number_too_large_for_a_float_is_named():
    with pytest.raises(ValueError, match="the slope"):
        as_number(10**400, "the slope")


def test_a_model_with_numpy_numbers_can_be_saved_and_loaded(tmp_path):
    one, other = nn.Neuron(2), nn.Neuron(2)
    for parameter, number in zip(one.parameters(), np.arange(3, dtype=np.float32), strict=True):
        parameter.data = number
    one.save(tmp_path / "x.json")
    other.load(tmp_path / "x.json")
    assert list(other.state_dict().values()) == [0.0, 1.0, 2.0]
    one.load_state_dict(one.state_dict())


@pytest.mark.parametrize("content", [{1, 2}, object(), b"bytes"])
def test_content_that_json_cannot_hold_leaves_the_old_file(tmp_path, content):
    path = tmp_path / "x.json"
    write_json(path, {"kind": "test"})
    with pytest.raises(TypeError):
        write_json(path, {"kind": "test", "x": content})
    assert read_json(path, "test") == {"kind": "test"}
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, function, error
):
    path = tmp_path / "x.bin"
    write_bytes(path, b"old")

    def fail(*args):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(type(error)):
            write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.bin"]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "atomic", b"")
    plain, atomic = (stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "atomic"))
    assert atomic == plain


def test_a_folder_in_place_of_the_file_is_an_os_error(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(OSError, match=r"x\.json"):
        write_json(tmp_path / "x.json", {"kind": "test"})
    with pytest.raises(OSError, match=r"x\.json"):
        read_json(tmp_path / "x.json", "test")
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.skipif(os.name != "posix", reason="a FIFO")
@pytest.mark.parametrize(
    "read",
    [
        lambda path: nn.MLP(2, [1]).load(path),
        nn.text.load,
        nn.text.read,
        lambda path: fit(resume=True, checkpoint=path),
    ],
    ids=["a model", "a GPT", "a text", "a checkpoint"],
)
def test_every_reader_refuses_a_fifo_and_a_huge_file(read, tmp_path):
    fifo, huge = tmp_path / "fifo", tmp_path / "huge"
    os.mkfifo(fifo)
    huge.touch()
    os.truncate(huge, 2**30 + 1)
    with pytest.raises(OSError, match=f"^{fifo} is not a regular file$"):
        read(fifo)
    with pytest.raises(ValueError, match=rf"^{huge} has 1,073,741,825 bytes, more than the 1"):
        read(huge)


def fit(**options):
    model = nn.MLP(2, [1])
    data = nn.data.moons(4)
    return nn.fit(model, data, nn.hinge, nn.SGD(model, 0.1), epochs=1, progress=False, **options)


def test_a_file_of_the_wrong_kind_is_refused(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"kind": "history"})
    with pytest.raises(ValueError, match=r"x\.json is not a model file"):
        read_json(path, "model")


def test_the_error_for_a_damaged_file_says_where_it_is_damaged(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"kind"}')
    with pytest.raises(ValueError, match=r"x\.json is damaged or not a model file: .* column 8"):
        read_json(path, "model")


@pytest.mark.parametrize("content", [b"", b"no id", b"\xff", None])
def test_a_lock_without_a_process_id_is_still_a_lock(content, tmp_path, monkeypatch):
    if content is not None:  # else it was removed before it could be read
        (tmp_path / ".x.json.lock").write_bytes(content)
    monkeypatch.setattr("nn.files.claimed", lambda lock: None)
    with (
        pytest.raises(BlockingIOError, match=r"x\.json is in use by another run: wait"),
        reserved(tmp_path / "x.json", "write another"),
    ):
        pass


def test_ctrl_c_before_a_run_has_its_file_leaves_the_file_free(tmp_path, monkeypatch):
    def interrupted(*arguments):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt), reserved(tmp_path / "x.json", "write another"):
        pass
    with reserved(tmp_path / "x.json", "write another"):
        pass
