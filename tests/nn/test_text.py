"""Documents, and `python -m nn gpt`: training, resuming, generation, errors of one line."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import nn
from autograd import Value
from nn import plot, text
from nn.__main__ import main
from nn.gpt import PADDING

FILES = {"loss.png", "history.json", "model.json", "checkpoint.json"}
TINY = ("--embedding", "4", "--heads", "2", "--block-size", "5", "--quiet")


# --- documents ------------------------------------------------------------------------------------


def write(folder, content):
    path = folder / "lines.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        ("emma\nava\n", ["emma", "ava"]),
        ("emma\r\n\r\nava", ["emma", "ava"]),
        ("\ufeffemma\n\n\n ava \n", ["emma", " ava "]),
        ("a\u2028b\x0bc\x85d\n\u202ee\x00\n", ["a\u2028b\x0bc\x85d", "\u202ee\x00"]),
        ("a\rb\n", ["a\rb"]),
    ],
)
def test_documents_are_lines_and_every_other_character_is_kept(content, documents, tmp_path):
    assert text.read(write(tmp_path, content)) == documents


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no text"),
        (b"\n\r\n\n", "has no text"),
        (b"emma\nz\xfcrich\n", "is not UTF-8: byte 0xfc in line 2"),
        ("emma\nava\n".encode("utf-16"), "is not UTF-8: byte 0xff in line 1"),
    ],
)
def test_a_file_without_utf_8_text_is_rejected(content, message, tmp_path):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=f"lines.txt {message}"):
        text.read(path)


def test_the_chemical_elements():
    elements = text.elements()
    assert len(elements) == len(set(elements)) == 118
    assert (elements[0], elements[78], elements[-1]) == ("hydrogen", "gold", "oganesson")
    assert all(name.isascii() and name.islower() for name in elements)


def test_documents_are_padded_to_one_length_and_counted():
    tokenizer = nn.Tokenizer("ab")
    inputs, counts = text.examples(["ab", "a", "abba"], tokenizer, 4)
    assert inputs == [[2, 0, 1, 2, PADDING], [2, 0, 2, PADDING, PADDING], [2, 0, 1, 1, 0]]
    assert counts == [3, 2, 4]  # the end token of the last one is beyond the block


def test_with_mean_counts_every_character_has_the_same_weight():
    documents, counts = [[2, 0, 2], [2, 0, 1, 0, 2]], [2, 4]
    assert text.with_mean_counts((documents, counts)) == (documents, [3.0, 3.0])
    assert text.with_mean_counts(([], [])) == ([], [])
    # With one document per step, the mean loss is that of all characters at once.
    costs = [Value(5.0), Value(7.0)]
    alone = [text.nll_per_character([cost], [3.0]) for cost in costs]
    cost, characters = text.nll_per_character(costs, counts)
    assert sum(c.data / n for c, n in alone) / 2 == cost.data / characters == 2.0


def test_the_loss_is_over_all_characters():
    model = nn.GPT(3, 4, 4, 2, 1)
    inputs, counts = text.examples(["ab", "a"], nn.Tokenizer("ab"), 4)
    nlls = text.nlls(model, inputs)
    parts = [model.nll([2, 0, 1, 2]).data, model.nll([2, 0, 2]).data]
    cost, characters = text.nll_per_character(nlls, counts)
    assert cost.data == pytest.approx(sum(parts), rel=1e-12)
    assert characters == 5


def test_a_saved_model_and_its_tokenizer_can_be_loaded(tmp_path):
    sizes = np.array([4, 3, 4, 2, 1])  # the file has these as whole numbers, too
    model, tokenizer = nn.GPT(*sizes, norm="layer", base_width=2), nn.Tokenizer("añ\u202e")
    text.save(tmp_path / "model.json", model, tokenizer)
    again, characters = text.load(tmp_path / "model.json")
    assert again.state_dict() == model.state_dict()
    assert again.sizes == model.sizes
    assert characters.characters == tokenizer.characters
    model.load(tmp_path / "model.json")  # it is a model file like any other


DAMAGE = {
    "another model": lambda content: content.update(model="MLP"),
    "no sizes": lambda content: content.pop("sizes"),
    "a size of 0": lambda content: content["sizes"].update(layers=0),
    "a string as a size": lambda content: content["sizes"].update(layers="1"),
    "an unknown size": lambda content: content["sizes"].update(depth=1),
    "a huge size": lambda content: content["sizes"].update(layers=10**12),
    "no base_width": lambda content: content["sizes"].pop("base_width"),
    "a base_width of 0": lambda content: content["sizes"].update(base_width=0),
    "a huge base_width": lambda content: content["sizes"].update(base_width=10**400),
    "heads that do not fit": lambda content: content["sizes"].update(heads=3),
    "another norm": lambda content: content["sizes"].update(norm="batch"),
    "a list for a norm": lambda content: content["sizes"].update(norm=[]),
    "no characters": lambda content: content.update(characters=None),
    "empty characters": lambda content: content.update(characters=""),
    "an additional character": lambda content: content.update(characters="abc"),
    "characters out of order": lambda content: content.update(characters="ba"),
    "no state": lambda content: content.pop("state"),
    "a string as a parameter": lambda content: content["state"].update({"token.vectors.0.0": "x"}),
}


def test_a_tokenizer_that_does_not_fit_the_model_is_refused(tmp_path):
    model, tokenizer = nn.GPT(4, 8, 4, 2, 1), nn.Tokenizer("ab")
    path = tmp_path / "model.json"
    for act in (lambda *pair: text.save(path, *pair), text.sample):
        with pytest.raises(ValueError, match=r"a GPT of 4 tokens .* Tokenizer, which has 3"):
            act(model, tokenizer)
        with pytest.raises(TypeError, match="expected a GPT and its Tokenizer, not Tokenizer"):
            act(tokenizer, model)
    assert not path.exists()


def test_invalid_arguments_of_examples_are_rejected():
    with pytest.raises(TypeError, match=r"documents must be a list, .* text\.splitlines\(\)"):
        text.examples("abba", nn.Tokenizer("ab"), 8)
    with pytest.raises(TypeError, match=r"documents must be a list, .*, not <int"):
        text.examples(10**5000, nn.Tokenizer("ab"), 8)  # its repr is an error
    with pytest.raises(TypeError, match=r"block_size must be a whole number, not 8\.0"):
        text.examples(["abba"], nn.Tokenizer("ab"), 8.0)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_is_refused(damage, tmp_path):
    path = tmp_path / "model.json"
    text.save(path, nn.GPT(3, 4, 4, 2, 1), nn.Tokenizer("ab"))
    content = json.loads(path.read_text())
    DAMAGE[damage](content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"model\.json is (damaged|not a model)"):
        text.load(path)


# --- python -m nn gpt -----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_drawing(request, monkeypatch):
    """Write empty files instead of plots, to save time, except in tests that use `drawn`."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(plot, "loss_curve", lambda history, every, steps: None)
        monkeypatch.setattr(plot, "save", lambda figure, path: path.write_bytes(b""))


@pytest.fixture
def drawn():
    """Marks a test that draws plots."""


def run(folder, *arguments):
    return main(["gpt", *map(str, arguments), "--out", str(folder)])


def numbers(folder):
    return [(folder / name).read_bytes() for name in ("model.json", "history.json")]


@pytest.mark.usefixtures("drawn")
def test_a_gpt_learns_the_elements_and_generates_new_ones(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nn.writing.REPORT", 40)
    assert run(tmp_path, "--steps", "60") == 0
    out, err = capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert "gpt: 107 lines of the chemical elements, 11 held out; 25 tokens, 4,128 para" in out
    assert "trained for 60 steps" in out
    assert "nats per character" in out
    assert "step" in err  # the progress bar
    assert out.count("\nloss ") == 2  # samples, after 40 and after 60 steps
    history = json.loads((tmp_path / "history.json").read_text())
    assert len(history["loss"]) == len(history["held_out_loss"]) == 2
    assert history["loss"][0] < math.log(25)
    assert history["held_out_loss"][1] < 2.4

    assert run(tmp_path, "--generate", "20", "--temperature", "0.5", "--seed", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert run(tmp_path, "--generate", "20", "--temperature", "0.5", "--seed", "1") == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert run(tmp_path, "--generate", "2", "--prompt", "zin", "--temperature", "0") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("zin")
    for likeliest in (("--top-k", "1"), ("--top-p", "1e-9")):
        assert run(tmp_path, "--generate", "1", *likeliest, "--prompt", "zin") == 0
        assert capsys.readouterr().out.strip() == first


def test_the_multiplier_of_linear_layers_follows_from_the_base_width(tmp_path):
    path = write(tmp_path, "ab\nba\n")
    for given, base in (((), 16), (("--base-width", "2"), 2)):
        assert run(tmp_path, "--text", path, "--steps", "1", *TINY, *given) == 0
        model, _ = text.load(tmp_path / "model.json")
        assert (model.sizes["embedding"], model.sizes["base_width"]) == (4, base)
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        assert {layer.multiplier for layer in layers} == {base / 4}


def test_a_resumed_run_keeps_its_base_width(tmp_path):
    path = write(tmp_path, "ab\nba\n")
    assert run(tmp_path, "--text", path, "--steps", "2", *TINY, "--base-width", "4") == 0
    assert run(tmp_path, "--steps", "3", "--resume", "--quiet") == 0
    assert text.load(tmp_path / "model.json")[0].sizes["base_width"] == 4


@pytest.mark.parametrize("options", [(), ("--batch-size", "3"), ("--no-jit",)])
def test_a_resumed_run_equals_an_uninterrupted_one(options, tmp_path, monkeypatch):
    path = write(tmp_path, "\n".join(["abc", "cab", "bca", "aabb", "c"] * 4))
    common = ("--text", path, "--seed", "3", *TINY, *options)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # Step 20 is in the middle of a pass over 18 lines, and of one over batches of them.
    monkeypatch.setattr("nn.writing.REPORT", 20)
    assert run(whole, "--steps", "25", *common) == 0
    # Stop the other run by Ctrl-C in after_epoch, which is called after 20 steps.
    real = nn.train.fit

    def stopped(*args, **kwargs):
        def interrupt(history):
            signal.raise_signal(signal.SIGINT)

        return real(*args, **{**kwargs, "after_epoch": interrupt})

    with monkeypatch.context() as stopping:
        stopping.setattr("nn.writing.fit", stopped)
        assert run(parts, "--steps", "25", *common) == 130
    assert len(json.loads((parts / "history.json").read_text())["loss"]) == 1
    eagerly = ["--no-jit"] if "--no-jit" in options else []  # padding changes the order of sums
    assert run(parts, "--resume", "--quiet", *eagerly) == 0
    assert numbers(parts) == numbers(whole)


def test_a_batch_is_the_mean_of_its_documents():
    """Gradients summed over micro-batches equal those of the whole batch."""
    nn.seed(2)
    data = text.examples(["ab", "ba", "aa", "bb"], nn.Tokenizer("ab"), 3)  # all of one length
    states = []
    for micro_batch in (None, 1, 3):
        nn.seed(2)
        model = nn.GPT(3, 3, 4, 2, 1)
        optimizer = nn.SGD(model, lr=0.5)
        history = nn.fit(
            model,
            data,
            text.nll_per_character,
            optimizer,
            epochs=3,
            micro_batch=micro_batch,
            predict=text.nlls,
            penalty=nn.l2(1e-3),
            clip=0.5,
            progress=False,
        )
        states.append([*history.loss, *model.state_dict().values()])
    assert states[1] == pytest.approx(states[0], rel=1e-9)
    assert states[2] == pytest.approx(states[0], rel=1e-9)


@pytest.mark.parametrize("content", ["a\n", "aaaa\naa\n", "x" * 50, "a\nb\n" * 3])
def test_small_and_odd_texts_can_be_learned(content, tmp_path, capsys):
    path = write(tmp_path, content)
    assert run(tmp_path / "out", "--text", path, "--steps", "2", "--no-jit", *TINY) == 0
    out = capsys.readouterr().out
    assert ("lines cut to a block of 5 tokens: 1\n" in out) == (len(content) == 50)
    assert run(tmp_path / "out", "--generate", "3", "--seed", "0") == 0
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 4
    assert all(set(line) <= set(content) for line in lines)


def test_0_steps_and_0_lines_are_allowed(tmp_path, capsys):
    assert run(tmp_path, "--steps", "0", *TINY) == 0
    assert "trained for 0 steps" in capsys.readouterr().out
    assert run(tmp_path, "--generate", "0") == 0
    assert capsys.readouterr().out == ""


@pytest.fixture
def trained(tmp_path):
    text.save(tmp_path / "model.json", nn.GPT(3, 4, 4, 2, 1), nn.Tokenizer("ab"))
    return tmp_path


def test_control_characters_are_printed_as_symbols(tmp_path, capsys):
    model = nn.GPT(2, 4, 4, 2, 1)
    text.save(tmp_path / "model.json", model, nn.Tokenizer("\x1b"))
    assert run(tmp_path, "--generate", "20", "--prompt", "\x1b", "--seed", "1") == 0
    out = capsys.readouterr().out
    assert set(out) == {"␛", "\n"}
    assert run(tmp_path / "\x1b[31m", "--generate", "1") == 1
    assert "␛[31m" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="such a path")
def test_a_training_prints_paths_and_samples_without_control_characters(tmp_path, capsys):
    folder = tmp_path / "\x1b[31m"
    folder.mkdir()
    path = write(folder, "\x1b\u202e\n" * 4)
    assert run(folder, "--text", path, "--steps", "1", *TINY[:-1]) == 0
    out = capsys.readouterr().out
    assert not {"\x1b", "\u202e"} & set(out)
    assert out.count("␛[31m") == 2


def test_a_closed_pipe_gives_no_traceback(trained):
    command = [sys.executable, "-m", "nn", "gpt", "--generate", "1", "--out", str(trained)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_closed_pipe_during_training_saves_the_run_like_ctrl_c(tmp_path, monkeypatch):
    monkeypatch.setattr("nn.writing.REPORT", 5)
    path, tiny = write(tmp_path, "ab\nba\n"), TINY[:-1]  # with samples
    reading, writing = os.pipe()
    readers = iter([reading])  # closed once, before the first samples

    def sample(*_, **__):
        for reader in readers:
            os.close(reader)
        return "ab"

    monkeypatch.setattr(text, "sample", sample)
    with os.fdopen(writing, "w") as out, contextlib.redirect_stdout(out):
        assert run(tmp_path / "gpt", "--text", path, "--steps", 10**6, *tiny) == 130
    assert {path.name for path in (tmp_path / "gpt").iterdir()} == FILES
    assert run(tmp_path / "gpt", "--steps", "12", "--resume", "--quiet") == 0


def test_a_process_may_have_no_stdout(trained):
    with contextlib.redirect_stdout(None):
        assert run(trained, "--generate", "1") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--generate", "1", "--prompt", "abc"], 1, "character 3 of the prompt, 'c' (U+0063)"),
        (["--generate", "1", "--prompt", "abab"], 1, "may have at most 3 characters, not 4"),
        (["--generate", "1", "--steps", "5"], 2, "--steps does not apply to --generate"),
        (["--generate", "-1"], 2, "--generate"),
        (["--generate", "1", "--temperature", "-1"], 2, "--temperature"),
        (["--generate", "1", "--top-k", "0"], 2, "--top-k"),
        (["--generate", "1", "--top-p", "0"], 2, "--top-p: takes a number above 0, at most 1"),
        (["--generate", "1", "--top-p", "1.5"], 2, "--top-p: takes a number above 0, at most 1"),
        (["--generate", "1", "--top-p", "x"], 2, "--top-p: takes a number above 0, at most 1"),
        (["--top-p", "0.5"], 2, "--top-p does not apply to the task gpt"),
        (["--temperature", "1.0"], 2, "--temperature does not apply to the task gpt"),
        (["--hidden", "3"], 2, "--hidden does not apply to the task gpt"),
        (["--epochs", "3"], 2, "--epochs does not apply to the task gpt"),
        (["--text", "nowhere.txt"], 1, "gpt: nowhere.txt: No such file or directory"),
        (["--heads", "3"], 1, "3 heads do not divide embedding 16"),
        (["--resume"], 1, "nothing to resume"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else None,
)
def test_invalid_commands_print_one_line(arguments, code, named, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    try:
        found = run(trained, *arguments)
    except SystemExit as wrong_usage:
        found = wrong_usage.code
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert (found, len(lines)) == (code, 1), err
    assert named in lines[0]
    assert {path.name for path in trained.iterdir()} == {"model.json"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["moons", "--steps", "3"],
        ["iris", "--generate", "3"],
        ["iris", "--noise", "3"],
        ["digits", "--examples", "3"],
    ],
)
def test_options_of_another_task_are_rejected(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert f"{arguments[1]} does not apply to the task {arguments[0]}" in capsys.readouterr().err


def test_the_error_for_generating_without_a_model_says_what_to_do(tmp_path, capsys):
    assert run(tmp_path, "--generate", "3") == 1
    assert "model.json: train one first" in capsys.readouterr().err
    nn.MLP(2, [1]).save(tmp_path / "model.json")
    assert run(tmp_path, "--generate", "3") == 1
    assert "is not a model that `python -m nn gpt` wrote" in capsys.readouterr().err


def test_a_resumed_run_may_find_its_text_elsewhere_but_not_another_text(tmp_path, capsys):
    path = write(tmp_path, "ab\nba\n")
    out = tmp_path / "out"
    assert run(out, "--text", path, "--steps", "1", "--no-jit", *TINY) == 0
    (tmp_path / "moved.txt").write_text("ab\nba\n")
    assert run(out, "--text", tmp_path / "moved.txt", "--steps", "2", "--resume") == 0
    (tmp_path / "moved.txt").write_text("ab\nab\n")
    assert run(out, "--text", tmp_path / "moved.txt", "--steps", "3", "--resume") == 1
    assert "was made with data" in capsys.readouterr().err
