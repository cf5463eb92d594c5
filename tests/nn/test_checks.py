"""Does `fit` accept the data that users have, and reject anything else with one clear error?"""

import functools
import random
import re
import traceback

import numpy as np
import pytest

import nn
from autograd import Value
from nn import data
from tests.cases import case

EXAMPLES = data.moons(10, generator=random.Random(3))
INPUTS, TARGETS = EXAMPLES
LINE = [0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.0]


def normed():
    return nn.Sequential(nn.Layer(2, 3, "linear"), nn.BatchNorm(3), nn.Layer(3, 1, "linear"))


def fit(model, examples=EXAMPLES, loss=nn.mse, optimizer=None, **options):
    options = {"epochs": 2, "progress": False} | options
    return nn.fit(model, examples, loss, optimizer or nn.SGD(model, lr=0.05), **options)


def seeded(make):
    nn.seed(2)
    return make()


# --- data -----------------------------------------------------------------------------------------

SAME = {
    "a column": ([[x] for x in LINE[0]], LINE[1]),
    "numbers": LINE,
    "a tuple": (tuple(LINE[0]), tuple(LINE[1])),
    "whole numbers": ([0, 1, 2, 3], [1, 3, 5, 7]),
    "a range": (range(4), LINE[1]),
    "a generator": ((x for x in LINE[0]), LINE[1]),
    "arrays": (np.array(LINE[0]), np.array(LINE[1])),
    "a list of the two": [np.array(LINE[0]), LINE[1]],
    "columns": (np.array(LINE[0])[:, None], np.array(LINE[1])[:, None]),
    "rows of arrays": ([np.array([x]) for x in LINE[0]], LINE[1]),
    "float32": (np.array(LINE[0], np.float32), np.array(LINE[1], np.float32)),
    "Values": ([Value(x) for x in LINE[0]], LINE[1]),
    "a Matrix": (nn.Matrix([[x] for x in LINE[0]]), LINE[1]),
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in SAME if kind != "a generator"])
def test_every_form_of_a_single_input_trains_the_same_model(kind, jit):
    model = seeded(lambda: nn.MLP(1, [1]))
    history = fit(model, SAME[kind], jit=jit, held_out=SAME[kind])
    expected = seeded(lambda: nn.MLP(1, [1]))
    same = fit(expected, ([[x] for x in LINE[0]], LINE[1]), held_out=SAME["a column"])
    assert model.state_dict() == expected.state_dict()
    assert history == same
    assert nn.evaluate(model, SAME[kind], nn.mse) == history.held_out_loss[-1]


def test_a_generator_is_read_once():
    model = seeded(lambda: nn.MLP(1, [1]))
    assert fit(model, SAME["a generator"]).loss == fit(seeded(lambda: nn.MLP(1, [1])), LINE).loss


@pytest.mark.parametrize(
    ("examples", "kind", "message"),
    [
        (INPUTS, TypeError, r"(data|held_out) must be a pair \(inputs, targets\), not 10 parts$"),
        ((INPUTS,), TypeError, "not 1 parts"),
        ((INPUTS, TARGETS, TARGETS), TypeError, "not 3 parts"),
        (None, TypeError, "not NoneType"),
        ("ab", TypeError, "not str"),
        (np.ones((2, 3)), TypeError, "not ndarray"),
        (dict(zip("ab", EXAMPLES, strict=True)), TypeError, "not dict"),
        ((INPUTS, None), TypeError, "targets must be a list or an array .* not None"),
        ((INPUTS, 1.0), TypeError, "targets must be a list or an array .* not 1.0"),
        ((INPUTS, "0101010101"), TypeError, "targets must be a list .* not '0101010101'"),
        ((INPUTS, np.array(1.0)), TypeError, "targets must be a list"),
        (({1.0, 2.0}, [1, 1]), TypeError, "inputs must be a list or an array"),
        ((Value(1.0), [1]), TypeError, "inputs must be a list or an array"),
        ((["ab", "cd"], [1, 1]), TypeError, "input 0 is 'ab', not a row of numbers; give predict="),
        (([None, None], [1, 1]), TypeError, "input 0 is None, not a row"),
        (([{"a": 1.0}], [1]), TypeError, "input 0 is .*, not a row of numbers"),
        (([frozenset([1.0])], [1]), TypeError, "input 0 is .*, not a row of numbers"),
        (([[1.0, "x"]], [1]), TypeError, "input 0 has 'x', which is not a number"),
        (([[1.0, 1j]], [1]), TypeError, "input 0 has 1j, which is not a number"),
        ((np.ones((2, 2, 2)), [1, 1]), TypeError, "input 0 has .* not a number; give predict="),
        (([1.0, [2.0]], [1, 1]), TypeError, r"input 1 has \[2.0\], which is not a number"),
        (([[1.0, 2.0], 2.0], [1, 1]), TypeError, "input 1 is 2.0, not a row"),
        (([[], []], [1, 1]), ValueError, "input 0 has 0 numbers"),
        (([[1.0, 2.0], [1.0]], [1, 1]), ValueError, "input 0 has 2 numbers, input 1 has 1"),
        ((np.array([1.0, np.nan]), [1, 1]), ValueError, "input 1 has .* not finite: nan"),
    ],
)
def test_data_of_the_wrong_form_are_rejected(examples, kind, message):
    model = nn.MLP(2, [1])
    calls = {
        "data": lambda: fit(model, examples),
        "held out": lambda: fit(model, held_out=() if examples is None else examples),
        "evaluate": lambda: nn.evaluate(model, examples, nn.mse),
    }
    for place, call in calls.items():
        none = place == "held out" and examples is None  # held_out=None: no held-out data
        with case(place), pytest.raises(kind, match="not 0 parts" if none else message):
            call()


def test_the_error_for_data_in_another_form_says_what_to_write():
    model, pairs = nn.MLP(2, [1]), list(zip(*EXAMPLES, strict=True))
    with pytest.raises(TypeError, match=r"^data must be .* parts: .* write list\(zip\(\*data\)\)$"):
        fit(model, pairs)
    data = list(zip(*pairs, strict=True))
    assert nn.evaluate(model, data, nn.mse) == nn.evaluate(model, EXAMPLES, nn.mse)
    with pytest.raises(TypeError, match=r"^held_out must be a pair .* not float: nn\.data\.split"):
        fit(model, held_out=0.2)


def test_evaluate_accepts_losses_that_return_a_value_or_a_pair():
    model = seeded(lambda: nn.MLP(2, [1]))
    mean = nn.evaluate(model, EXAMPLES, nn.mse)
    assert type(mean) is float
    pair = nn.evaluate(model, EXAMPLES, lambda p, t: (nn.mse(p, t) * 3.0, 3.0))
    assert pair == pytest.approx(mean, rel=1e-15)


# --- counts and batches ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["epochs", "every", "batch_size", "micro_batch", "patience"])
@pytest.mark.parametrize("count", [2.5, "2", True, [2]])
def test_counts_must_be_whole_numbers(name, count):
    with pytest.raises(TypeError, match=f"{name} must be a whole number"):
        fit(nn.MLP(2, [1]), held_out=EXAMPLES, **{name: count})


def test_counts_may_be_numpy_integers(tmp_path):
    two = np.int64(2)
    history = fit(nn.MLP(2, [1]), epochs=two, batch_size=two, checkpoint=tmp_path / "c.json")
    assert len(history.loss) == 2


@pytest.mark.parametrize("jit", [False, True])
def test_drop_last_leaves_out_an_incomplete_batch(jit):
    sizes = []

    def metric(predictions, targets):
        sizes.append(len(targets))
        return 0.0

    model = nn.MLP(2, [1])
    optimizer = nn.SGD(model, lr=0.05)
    fit(model, EXAMPLES, nn.mse, optimizer, batch_size=4, drop_last=True, metric=metric, jit=jit)
    assert set(sizes) == {4}
    assert optimizer.time.data == 4.0  # two steps of four in each of two epochs


def test_a_run_with_drop_last_resumes_to_the_last_bit(tmp_path):
    def learned(*epochs):
        model = seeded(lambda: nn.MLP(2, [1]))
        for i, n in enumerate(epochs):
            file = tmp_path / f"{len(epochs)}.json"
            fit(model, epochs=n, batch_size=3, drop_last=True, checkpoint=file, resume=i > 0)
        return model.state_dict()

    assert learned(4) == learned(1, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 3}, "batch_size=3 leaves a last batch of 1 of 10 .*drop_last=True"),
        ({"batch_size": 9}, "batch_size=9 leaves a last batch of 1 of 10 .*drop_last=True"),
        ({"batch_size": 1}, "steps of at least 2 examples, not 1"),
        ({"batch_size": 1, "drop_last": True}, "steps of at least 2 examples, not 1"),
        ({"micro_batch": 5}, "micro_batch=5: BatchNorm would use .* 5 .* 10 of a step"),
        ({"batch_size": 4, "micro_batch": 2}, "micro_batch=2: BatchNorm"),
    ],
)
def test_batches_too_small_for_batch_norm_are_refused_before_the_first_step(options, message):
    model = normed()
    before = model.state_dict()
    with pytest.raises(ValueError, match=message):
        fit(model, **options)
    assert model.state_dict() == before


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 3, "drop_last": True},
        {"batch_size": 4},
        {"batch_size": 100},
        {"micro_batch": 10},
        {"batch_size": 5, "micro_batch": 5},
    ],
)
def test_batches_large_enough_for_batch_norm_are_accepted(options):
    assert len(fit(normed(), **options).loss) == 2


def test_drop_last_that_leaves_no_batch_is_refused():
    with pytest.raises(ValueError, match="batch_size=11 leaves no batch of 10 examples"):
        fit(nn.MLP(2, [1]), batch_size=11, drop_last=True)


@pytest.mark.parametrize("flag", ["no", 1, None])
def test_flags_must_be_true_or_false(flag, tmp_path):
    model = nn.MLP(2, [1])
    for name in ("drop_last", "resume", "progress", "jit"):
        options = {"batch_size": 3, "checkpoint": tmp_path / "run.json", name: flag}
        with pytest.raises(TypeError, match=f"^{name} must be True or False, not {flag!r}$"):
            fit(model, **options)
    with pytest.raises(TypeError, match=f"^jit must be True or False, not {flag!r}$"):
        nn.evaluate(model, EXAMPLES, nn.mse, jit=flag)
    with pytest.raises(TypeError, match=f"^mode must be True or False, not {flag!r}$"):
        model.train(flag)
    with pytest.raises(TypeError, match=f"^return_weights must be True or False, not {flag!r}$"):
        nn.attention([[1.0]], [[1.0]], [[1.0]], return_weights=flag)
    with pytest.raises(TypeError, match=f"^return_weights must be True or False, not {flag!r}$"):
        nn.MultiHeadAttention(2, 1)([[1.0, 2.0]], return_weights=flag)
    for clip in (nn.clip_grad_norm, nn.clip_grad_value):
        with pytest.raises(TypeError, match=f"^error_if_nonfinite must be .*, not {flag!r}$"):
            clip(model, 1.0, error_if_nonfinite=flag)
    assert list(tmp_path.iterdir()) == []
    assert model.training


# --- optimizers -----------------------------------------------------------------------------------


def two_parts():
    return nn.Sequential(nn.Layer(2, 3, "tanh"), nn.Layer(3, 1, "linear"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            lambda m: nn.SGD(two_parts(), lr=0.1),
            r"no optimizer has 13 of the model's 13 parameters \(parts.0.neurons.0.w.0, .*\), and"
            " the model lacks 13 optimized or frozen parameters: make the optimizer from the",
        ),
        (
            lambda m: nn.SGD([*m.parameters(), Value(1.0)], lr=0.1),
            "the model lacks 1 optimized or frozen parameter:",
        ),
        (
            lambda m: nn.SGD(m.parts[0], lr=0.1),
            r"no optimizer has 4 of the model's 13 parameters \(parts.1.neurons.0.w.0, .*frozen=",
        ),
        (lambda m: nn.SGD(m.parameters()[:-1], lr=0.1), r"1 of .* \(parts.1.neurons.0.b\)"),
        (
            lambda m: [nn.SGD(m, lr=0.1), nn.SGD(m.parts[1], lr=0.1)],
            "parts.1.neurons.0.w.0 is both in optimizer 0 and in optimizer 1",
        ),
        (lambda m: [], "no optimizer has 13"),
    ],
)
def test_every_parameter_must_belong_to_exactly_one_optimizer(given, message):
    model = two_parts()
    before = model.state_dict()
    with pytest.raises(ValueError, match=message):
        nn.fit(model, EXAMPLES, nn.mse, given(model), epochs=1, progress=False)
    assert model.state_dict() == before


@pytest.mark.parametrize("given", [None, "adam", nn.Adam, 0.1, [nn.Adam]])
def test_non_optimizers_are_rejected(given):
    with pytest.raises(TypeError, match="optimizer must be an optimizer or a list of them"):
        nn.fit(two_parts(), EXAMPLES, nn.mse, given, epochs=1, progress=False)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("micro_batch", [None, 3])
@pytest.mark.parametrize(
    "frozen",
    [
        lambda part: part,
        lambda part: part.parameters(),
        lambda part: [part],
        lambda part: [*part.neurons[:2], *part.neurons[2].parameters()],
    ],
)
def test_frozen_parameters_do_not_change(frozen, micro_batch, jit):
    model = seeded(two_parts)
    before = model.state_dict()
    optimizer = nn.Adam(model.parts[1])
    fit(model, optimizer=optimizer, frozen=frozen(model.parts[0]), micro_batch=micro_batch, jit=jit)
    changed = {name[:7] for name, number in model.state_dict().items() if number != before[name]}
    assert changed == {"parts.1"}


def test_frozen_parameters_must_belong_to_the_model_and_to_no_optimizer():
    model = two_parts()
    with pytest.raises(
        ValueError, match=r"parts.0.neurons.0.w.0 is both in optimizer 0 and in fro"
    ):
        fit(model, frozen=model.parts[0])
    with pytest.raises(ValueError, match="the model lacks 9 optimized or frozen parameters"):
        fit(model, frozen=two_parts().parts[0])


@pytest.mark.parametrize("frozen", [None, "", "x", 3, np.array(1), ["x"], [None], Value(1.0)])
def test_only_modules_and_values_can_be_frozen(frozen):
    with pytest.raises(TypeError, match=r"frozen(\[0\])? must be a (Module|Value)"):
        fit(two_parts(), frozen=frozen)


def test_a_differentiable_optimizer_is_refused():
    model = two_parts()
    optimizer = nn.SGD(list(model.parameters()), lr=0.1, differentiable=True)
    with pytest.raises(ValueError, match=r"without differentiable=True: .* write the loop"):
        fit(model, optimizer=optimizer)


@pytest.mark.parametrize(
    ("schedule", "error"),
    [([], ValueError), ([None], ValueError), ([None] * 3, ValueError), (0.1, TypeError)],
)
def test_schedules_must_be_as_many_as_optimizers(schedule, error):
    model = two_parts()
    optimizers = [nn.SGD(part, lr=0.1) for part in model.parts]
    with pytest.raises(error, match="or a list of 2, not"):
        fit(model, optimizer=optimizers, schedule=schedule)
    with pytest.raises(TypeError, match="a schedule is a function of the number of steps"):
        fit(model, optimizer=optimizers, schedule=[0.1, None])


# --- models and metrics ---------------------------------------------------------------------------


class Scalar(nn.Module):
    """A neuron like micrograd's, which takes one example at a time."""

    def __init__(self):
        self.w = [Value(0.5), Value(-0.5)]

    def __call__(self, x):
        return sum((w * x for w, x in zip(self.w, x, strict=True)), Value(0.0))


@pytest.mark.parametrize("jit", [False, True])
def test_the_error_for_a_model_of_single_examples_shows_the_predict_argument(jit):
    model, rows = Scalar(), ([[1.0, 2.0], [3.0, 4.0]], [1.0, -1.0])
    hint = r"predict=lambda model, inputs: \[model\(x\) for x in inputs\]"
    for call in (
        lambda: fit(model, rows, jit=jit),
        lambda: nn.evaluate(model, rows, nn.mse, jit=jit),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert re.search(hint, "".join(traceback.format_exception_only(caught.value)))

    def each(model, inputs):
        return [model(x) for x in inputs]

    # Both scores are -0.5, so ((1.5)^2 + (0.5)^2) / 2.
    assert nn.evaluate(model, rows, nn.mse, predict=each, jit=jit) == 1.25
    assert fit(model, rows, predict=each, jit=jit).loss[0] == 1.25


def test_so_does_the_error_of_a_model_that_unpacks_an_example():
    class Pair(Scalar):
        def __call__(self, x):
            first, second = x
            return self.w[0] * first + self.w[1] * second

    with pytest.raises(ValueError, match="too many values to unpack") as caught:
        fit(Pair(), ([[1.0, 2.0]] * 3, [1.0] * 3))
    assert "predict=lambda model, inputs:" in caught.value.__notes__[0]


def test_the_error_of_a_layer_of_another_size_does_not():
    with pytest.raises(ValueError, match=r"^a Linear of 3 inputs got 2$") as caught:
        fit(nn.Linear(3, 1), ([[1.0, 2.0]] * 3, [1.0] * 3))
    assert not hasattr(caught.value, "__notes__")


def squared(predictions, targets):
    """A loss that is not one of nn's."""
    return nn.mse(predictions, targets)


@pytest.mark.parametrize("scores", [[0.2, 0.4, 0.6], [3.0, -2.0, 0.5]])
def test_accuracy_of_0_1_targets_needs_a_threshold_or_a_known_loss(scores):
    model = nn.Linear(1, 1, bias=False)
    model.weights[0][0].data = 1.0
    rows = scores, [0, 0, 1]
    with pytest.raises(ValueError, match=r"partial\(nn.accuracy, threshold=0.5\)"):
        fit(model, rows, squared, metric=nn.accuracy, batch_size=1)
    assert model.weights[0][0].data == 1.0
    for metric, loss in (
        (functools.partial(nn.accuracy, threshold=0.5), squared),
        (nn.accuracy, nn.mse),
    ):
        history = fit(model, rows, loss, nn.SGD(model, lr=0.0), metric=metric, epochs=1)
        assert history.accuracy == [1.0 if scores[0] < 0.5 else pytest.approx(1 / 3)]


def test_accuracy_of_several_scores_needs_no_threshold():
    def loss(predictions, targets):
        return nn.cross_entropy_with_logits(predictions, targets)

    model = nn.Linear(2, 2)
    targets = [0, 1] * 5
    assert len(fit(model, (INPUTS, targets), loss, metric=nn.accuracy).accuracy) == 2


@pytest.mark.parametrize("jit", [False, True])
def test_a_loss_used_as_a_metric_gives_floats(jit, tmp_path):
    model = nn.Linear(2, 1)
    path = tmp_path / "checkpoint.json"
    history = fit(model, metric=nn.mse, held_out=EXAMPLES, checkpoint=path, jit=jit)
    assert history.accuracy == history.loss
    assert all(type(x) is float for x in history.accuracy + history.held_out_accuracy)
    fit(model, metric=nn.mse, held_out=EXAMPLES, checkpoint=path, resume=True)


@pytest.mark.parametrize("answer", [None, "0.5", [0.5]])
def test_a_metric_must_return_a_number(answer):
    with pytest.raises(TypeError, match="a metric returns a number, not"):
        fit(nn.Linear(2, 1), metric=lambda p, t: answer)
    with pytest.raises(TypeError, match="a metric returns a number, not"):
        nn.evaluate(nn.Linear(2, 1), EXAMPLES, lambda p, t: answer)


@pytest.mark.parametrize(
    "call",
    [
        nn.mean,
        nn.MLP(2, [1]),
        nn.seed,
        nn.GPT(5, 4, 4, 2, 1).generate,
        lambda x: nn.Matrix([[1.0], x]),
        lambda x: nn.SGD([Value(1.0)], lr=x),
        lambda x: nn.fit(x, ([[1.0]], [1.0]), nn.mse, nn.SGD([Value(1.0)], lr=0.1), epochs=1),
        lambda x: nn.mse([Value(1.0)], x),
        lambda x: nn.Layer(2, 2, x),
        lambda x: nn.GPT(5, 4, 4, 2, 1, norm=x),
    ],
)
def test_errors_abbreviate_long_arguments(call):
    for x in ("a" * 10_000, dict.fromkeys(range(10000), 0.5)):
        with pytest.raises((TypeError, ValueError)) as caught:
            call(x)
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.cross_entropy([[0.5, 0.5]], [0, 1]), "1 example, but 2 targets"),
        (lambda: nn.cross_entropy([[0.5, 0.5]] * 2, [0]), "2 examples, but 1 target"),
        (lambda: nn.BatchNorm(1)([[1.0, 2.0]]), "BatchNorm of 1 column got 2"),
        (lambda: nn.LayerNorm(1)([1.0, 2.0]), "LayerNorm of 1 entry got 2"),
        (lambda: nn.RMSNorm(1)([1.0, 2.0]), "RMSNorm of 1 entry got 2"),
        (lambda: nn.Matrix([[1.0], [2.0, 3.0]]), "row 0 has 1 entry, row 1 has 2"),
        (lambda: nn.MLP(2, [1], ["relu"] * 3), "1 layer takes 0 activations"),
        (
            lambda: nn.attention([[1.0]], [[1.0, 2.0]], [[1.0]]),
            "queries of 1 number, but keys of 2",
        ),
        (lambda: nn.attention([[1.0]], [[1.0]], [[1.0]], [[1, 0]]), "for 1 query and 1 key"),
        (lambda: data.split(([[1.0]], [1]), 2), "cannot hold out 2 of 1 example"),
        (
            lambda: fit(nn.Linear(1, 1), ([1.0], [1.0]), batch_size=2, drop_last=True),
            "of 1 example",
        ),
        (lambda: fit(nn.Linear(1, 1), LINE, held_out=([[1.0, 2.0]], [1.0])), "have 1 number, held"),
        (
            lambda: nn.text.sample(nn.GPT(3, 2, 2, 1, 1), nn.Tokenizer("ab"), "ab"),
            "at most 1 character, not 2",
        ),
    ],
)
def test_errors_have_the_singular_of_one(call, message):
    with pytest.raises(ValueError, match=f"{message}\\b"):
        call()
