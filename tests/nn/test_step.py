"""Do the micro-batches of a step add up to the whole step, whatever the loss divides by?"""

import functools
import math

import pytest

import nn
from autograd import Value
from nn import text
from nn.step import as_mean

DOCUMENTS = ["ab", "abbaba", "bab"]  # 2, 6 and 3 letters
WEIGHTS = [3.0, 1.0, 0.5]
POINTS = [[0.5, -1.0], [1.5, 0.3], [-0.7, 0.9], [0.1, 0.2], [-1.2, -0.4]]
CLASSES = [0, 1, 2, 2, 0]


def numbers(model, history):
    return [*history.loss, *model.state_dict().values()]


def learned_documents(micro_batch, jit, loss=text.nll_per_character, **options):
    nn.seed(4)
    model = nn.GPT(3, 8, 4, 2, 1)
    data = text.examples(DOCUMENTS, nn.Tokenizer("ab"), 8)
    options = {"penalty": nn.l2(1e-2), "clip": 0.5, "epochs": 3} | options
    history = nn.fit(
        model,
        data,
        loss,
        nn.SGD(model, lr=0.5),
        micro_batch=micro_batch,
        predict=text.nlls,
        progress=False,
        jit=jit,
        **options,
    )
    return numbers(model, history)


@functools.cache
def whole_documents():
    return learned_documents(None, False)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("micro_batch", [1, 2])
def test_micro_batches_of_a_weighted_loss_add_up_to_the_whole_step(micro_batch, jit):
    assert learned_documents(micro_batch, jit) == pytest.approx(whole_documents(), rel=1e-9)


def test_a_weighted_loss_is_the_sum_divided_by_the_sum_of_weights():
    # One weight w = 1: predictions 1 and 2, costs (1 - 2)^2 = 1 and (2 - 6)^2 = 16, weights 3 and
    # 1: (3 * 1 + 16) / 4 = 4.75, with the slope (3 * 2 * (-1) * 1 + 2 * (-4) * 2) / 4 = -5.5.
    def loss(predictions, targets):
        costs = [(p[0] - y) ** 2 * k for p, (y, k) in zip(predictions, targets, strict=True)]
        return costs[0] if len(costs) == 1 else costs[0] + costs[1], sum(k for _, k in targets)

    for micro_batch in (None, 1):
        for jit in (False, True):
            model = nn.Linear(1, 1, bias=False)
            model.weights[0][0].data = 1.0
            history = nn.fit(
                model,
                ([1.0, 2.0], [[2.0, 3.0], [6.0, 1.0]]),
                loss,
                nn.SGD(model, lr=0.1),
                epochs=1,
                micro_batch=micro_batch,
                progress=False,
                jit=jit,
            )
            assert history.loss == [4.75]
            assert model.weights[0][0].data == pytest.approx(1.55, rel=1e-15)


def weighed(predictions, targets):
    """Class-weighted cross-entropy, as (sum, weight)."""
    one = nn.cross_entropy_with_logits
    costs = [one(p, y) * k for p, (y, k) in zip(predictions, targets, strict=True)]
    return sum(costs[1:], costs[0]), sum(k for _, k in targets)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("batch_size", "micro_batch"), [(None, 2), (3, 1), (4, 3), (3, 5)])
def test_micro_batches_of_weighted_cross_entropy_equal_the_batch(batch_size, micro_batch, jit):
    def learned(micro_batch):
        nn.seed(4)
        model = nn.MLP(2, [3, 3], "tanh")
        history = nn.fit(
            model,
            (POINTS, [(y, WEIGHTS[y]) for y in CLASSES]),
            weighed,
            nn.Adam(model, lr=0.05),
            epochs=3,
            batch_size=batch_size,
            micro_batch=micro_batch,
            progress=False,
            jit=jit,
        )
        return numbers(model, history)

    assert learned(micro_batch) == pytest.approx(learned(None), rel=1e-7)


def test_class_weights_in_micro_batches_need_a_loss_that_returns_a_pair():
    ready = functools.partial(nn.cross_entropy_with_logits, weight=WEIGHTS)

    def pair(predictions, targets):
        weight = Value(sum(WEIGHTS[y] for y in targets)) * 1.0  # does not depend on the model
        return ready(predictions, targets) * weight, weight

    def learned(loss, micro_batch):
        nn.seed(4)
        model = nn.MLP(2, [3, 3], "tanh")
        rule = nn.SGD(model, lr=0.5)
        options = {"epochs": 3, "micro_batch": micro_batch, "progress": False}
        return numbers(model, nn.fit(model, (POINTS, CLASSES), loss, rule, **options))

    with pytest.raises(ValueError, match=r"micro_batch=2: the loss of 5 .*\(sum, weight\)"):
        learned(ready, 2)
    assert learned(pair, 2) == pytest.approx(learned(ready, None), rel=1e-9)


def test_the_loss_of_an_epoch_is_divided_by_the_weights_of_all_steps():
    nn.seed(4)
    model = nn.MLP(2, [3])
    data = POINTS, [(y, WEIGHTS[y]) for y in CLASSES]
    whole = nn.evaluate(model, data, weighed)
    run = nn.fit(
        model, data, weighed, nn.SGD(model, lr=0.0), epochs=1, batch_size=2, progress=False
    )
    assert run.loss == [pytest.approx(whole, rel=1e-12)]


def divided(nlls, counts):
    """The same loss as a mean over characters, not documents: micro-batches do not add up."""
    return as_mean(text.nll_per_character(nlls, counts), len(counts))[0]


@pytest.mark.parametrize("jit", [False, True])
def test_a_loss_that_is_not_a_mean_over_examples_is_refused_before_a_step(jit):
    nn.seed(4)
    model = nn.GPT(3, 8, 4, 2, 1)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"micro_batch=1: the loss of 3 .*\(sum, weight\)"):
        nn.fit(
            model,
            text.examples(DOCUMENTS, nn.Tokenizer("ab"), 8),
            divided,
            nn.SGD(model, lr=0.5),
            epochs=3,
            micro_batch=1,
            predict=text.nlls,
            progress=False,
            jit=jit,
        )
    assert model.state_dict() == before


@pytest.mark.parametrize("gradient", [None, 7.0])
def test_a_second_optimizer_that_fails_restores_the_gradients(gradient):
    model = nn.Linear(2, 1)
    w, v, b = model.parameters()
    w.grad = v.grad = b.grad = gradient
    optimizers = [nn.SGD([w, v], 0.1), Broken([b], 0.1)]
    with pytest.raises(RuntimeError, match="broken"):
        nn.fit(model, (POINTS, [1.0] * 5), nn.mse, optimizers, epochs=1, progress=False)
    assert [w.grad, v.grad, b.grad] == [gradient] * 3


@pytest.mark.parametrize("jit", [False, True])
def test_a_part_that_fails_restores_the_gradients(jit):
    def loss(predictions, targets):
        return predictions[0][0] * Value(targets[0]).log()

    model = nn.Linear(2, 1)
    examples = POINTS, [1.0, 2.0, 3.0, 4.0, 0.0]  # there is no log(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.rng.generator, "shuffle", lambda indices: None)
        with pytest.raises(ValueError, match="log"):
            nn.fit(
                *(model, examples, loss, nn.SGD(model, lr=0.1)),
                epochs=100,  # enough to be recorded
                micro_batch=1,
                progress=False,
                jit=jit,
            )
    assert [parameter.grad for parameter in model.parameters()] == [0.0] * 3


def test_a_tiny_loss_that_is_not_a_mean_over_examples_is_refused_too():
    message = "the loss of 5 examples is 5e-12, but the mean over its parts is 1.8e-12:"
    with pytest.raises(ValueError, match=message):  # (2 * 2 + 2 * 2 + 1) / 5
        fitted(nn.Linear(2, 1), False, loss=lambda p, t: p[0][0] * 0.0 + 1e-12 * len(t))


def test_a_loss_of_0_is_a_mean_over_examples():
    history = fitted(nn.Linear(2, 1), False, loss=lambda p, t: p[0][0] - p[0][0].detach())
    assert history.loss == [0.0, 0.0]


@pytest.mark.parametrize("jit", [False, True])
def test_a_loss_that_is_a_mean_by_chance_in_the_first_steps_is_refused_later(jit):
    # Each step has two documents, of equal length in the first two steps, but not later.
    documents = ["ab", "ba", "aa", "bb", "a", "abab", "ab", "abbb"]
    nn.seed(4)
    model = nn.GPT(3, 8, 4, 2, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.rng.generator, "shuffle", lambda indices: None)
        with pytest.raises(ValueError, match="is not a mean over examples"):
            nn.fit(
                model,
                text.examples(documents, nn.Tokenizer("ab"), 8),
                divided,
                nn.SGD(model, lr=0.5),
                epochs=2,
                batch_size=2,
                micro_batch=1,
                predict=text.nlls,
                progress=False,
                jit=jit,
            )


@pytest.mark.parametrize("micro_batch", [1, 2, 4])
def test_a_mean_whose_terms_nearly_cancel_is_accepted(micro_batch):
    # The terms are about +-1e6, their mean is about 1e-5: half of it is rounding error.
    model = nn.Linear(1, 1, bias=False)
    model.weights[0][0].data = 0.1
    history = nn.fit(
        model,
        ([1e7, -1e7 + 3e-4, 1e7, -1e7], [0.0] * 4),
        lambda p, t: nn.mean([row[0] for row in p]),
        nn.SGD(model, lr=0.0),
        epochs=1,
        micro_batch=micro_batch,
        progress=False,
    )
    assert history.loss == [pytest.approx(7.5e-6, rel=1e-3)]


@pytest.mark.parametrize("jit", [False, True])
def test_a_weight_that_depends_on_the_model_is_refused_with_micro_batches(jit):
    def loss(predictions, targets):
        return predictions[0][0] * 2.0, predictions[0][0] * predictions[0][0] + 1.0

    model = nn.Layer(2, 1, "linear")
    with pytest.raises(ValueError, match="the weight of the loss depends on the model"):
        nn.fit(
            model,
            (POINTS, CLASSES),
            loss,
            nn.SGD(model, lr=0.1),
            epochs=1,
            micro_batch=1,
            progress=False,
            jit=jit,
        )


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize(
    "answer",
    [
        0.5,
        (0.5, 1.0),
        (Value(1.0),),
        [Value(1.0), 2.0],
        (Value(1.0), "2"),
        (Value(1.0), 2, 3),
        None,
    ],
)
def test_the_error_for_an_invalid_loss_says_what_to_return(answer, micro_batch):
    model = nn.MLP(2, [1])
    with pytest.raises(TypeError, match=r"returns a Value, .*or a tuple \(sum, weight\), not"):
        nn.fit(
            model,
            (POINTS, CLASSES),
            lambda p, t: answer,
            nn.SGD(model, lr=0.1),
            epochs=1,
            micro_batch=micro_batch,
            progress=False,
        )


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_a_penalty_must_return_a_value_or_a_number(micro_batch):
    def losses(penalty):
        nn.seed(1)
        model = nn.MLP(2, [3])
        optimizer = nn.SGD(model, lr=0.1)
        data, options = (POINTS, CLASSES), {"micro_batch": micro_batch, "progress": False}
        loss = nn.cross_entropy_with_logits
        return nn.fit(model, data, loss, optimizer, epochs=2, penalty=penalty, **options).loss

    assert losses(lambda model: 2) == pytest.approx([2 + x for x in losses(lambda model: 0.0)])
    with pytest.raises(TypeError, match="a penalty returns a Value or a number, not None"):
        losses(lambda model: None)


# --- several optimizers ---------------------------------------------------------------------------


def parts(rule=nn.SGD, **options):
    nn.seed(4)
    model = nn.Sequential(nn.Layer(2, 3, "tanh"), nn.Layer(3, 1, "linear"))
    rates = options.pop("rates", (0.1, 0.02))
    optimizers = [rule(part, lr=lr) for part, lr in zip(model.parts, rates, strict=True)]
    data = POINTS, [1, -1, 1, 1, -1]
    history = nn.fit(model, data, nn.hinge, optimizers, epochs=4, progress=False, **options)
    return model, optimizers, history


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("micro_batch", [None, 2])
def test_two_optimizers_with_the_same_rate_equal_a_single_one(micro_batch, jit):
    model, _, history = parts(rates=(0.1, 0.1), clip=0.3, micro_batch=micro_batch, jit=jit)
    nn.seed(4)
    one = nn.Sequential(nn.Layer(2, 3, "tanh"), nn.Layer(3, 1, "linear"))
    data = POINTS, [1, -1, 1, 1, -1]
    expected = nn.fit(one, data, nn.hinge, nn.SGD(one, lr=0.1), epochs=4, clip=0.3, progress=False)
    assert numbers(model, history) == pytest.approx(numbers(one, expected), rel=1e-9)


def test_each_optimizer_has_its_own_rate_or_schedule():
    still, _, _ = parts(rates=(0.0, 0.1))
    nn.seed(4)
    start = nn.Sequential(nn.Layer(2, 3, "tanh"), nn.Layer(3, 1, "linear")).state_dict()
    moved = {name[:7] for name, number in still.state_dict().items() if number != start[name]}
    assert moved == {"parts.1"}
    _, both, _ = parts(schedule=lambda step: 1.0 / (step + 1))
    assert [optimizer.lr for optimizer in both] == [0.25, 0.25]  # four steps
    _, own, _ = parts(schedule=[None, lambda step: 1.0 / (step + 1)])
    assert [optimizer.lr for optimizer in own] == [0.1, 0.25]


class Broken(nn.SGD):
    def update(self, parameter, gradient, state):
        raise RuntimeError("broken")


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("micro_batch", [None, 2])
def test_a_second_optimizer_that_fails_undoes_the_step_of_the_first(micro_batch, jit):
    nn.seed(4)
    model = nn.Sequential(nn.Layer(2, 3, "tanh"), nn.Layer(3, 1, "linear"))
    before = model.state_dict()
    optimizers = [nn.Adam(model.parts[0]), Broken(model.parts[1], lr=0.1)]
    data = POINTS, [1, -1, 1, 1, -1]
    with pytest.raises(RuntimeError, match="broken"):
        nn.fit(
            *(model, data, nn.hinge, optimizers),
            epochs=1,
            micro_batch=micro_batch,
            progress=False,
            jit=jit,
        )
    assert model.state_dict() == before
    assert optimizers[0].time.data == 0.0
    assert set(optimizers[0].state_dict()["moments"]["mean"]) == {0.0}


def test_frozen_parameters_have_the_gradients_of_the_last_step():
    model = nn.Sequential(nn.Layer(2, 3, "tanh"), nn.Layer(3, 1, "linear"))
    inner, outer = model.parts
    data = POINTS, [1, -1, 1, 1, -1]
    optimizer = nn.SGD(outer, lr=0.0)
    nn.fit(model, data, nn.hinge, optimizer, frozen=inner, epochs=2, progress=False)
    found = [p.grad for p in inner.parameters()]
    for parameter in inner.parameters():
        parameter.grad = 0.0
    nn.hinge(model(nn.Matrix(POINTS)), data[1]).backward()
    assert [p.grad for p in inner.parameters()] == found


@pytest.mark.parametrize("jit", [False, True])
def test_a_first_step_without_any_gradient_warns_at_the_line_that_called_fit(jit):
    model = nn.Linear(2, 1, bias=False)
    for weight in model.weights[0]:
        weight.data = 0.0
    data = [[100.0, 0.0]] * 2, [1, 1]
    with pytest.warns(UserWarning, match="every gradient of this step of SGD is 0") as w:
        nn.fit(
            model,
            data,
            lambda p, t: nn.mean([(x[0] * 0.0).relu() for x in p]),
            nn.SGD(model, lr=0.1),
            epochs=1,
            progress=False,
            jit=jit,
        )
    assert [warning.filename for warning in w] == [__file__]


@pytest.mark.parametrize("jit", [False, True])
def test_an_infinite_clip_equals_no_clip(jit):
    def trained(clip):
        nn.seed(4)
        model = nn.Linear(2, 1)
        data = POINTS, [1, -1, 1, 1, -1]
        nn.fit(
            model, data, nn.mse, nn.SGD(model, 0.1), epochs=3, clip=clip, progress=False, jit=jit
        )
        return model.state_dict()

    assert trained(math.inf) == trained(None)


@pytest.mark.parametrize(("rate", "error"), [(None, TypeError), (-1.0, ValueError)])
def test_an_invalid_rate_of_a_schedule_is_an_error_and_changes_nothing(rate, error):
    model = nn.Linear(2, 1)
    before = model.state_dict()
    data = POINTS, [1, -1, 1, 1, -1]
    optimizer = nn.SGD(model, 0.1)
    with pytest.raises(error, match="lr must be"):
        nn.fit(model, data, nn.mse, optimizer, epochs=3, schedule=lambda step: rate, progress=False)
    assert model.state_dict() == before
    assert optimizer.lr == 0.1


# --- what micro-batches cannot do -----------------------------------------------------------------


@pytest.mark.parametrize("jit", [False, True])
def test_a_class_weight_that_first_matters_in_the_third_step_is_refused_there(jit):
    ready = functools.partial(nn.cross_entropy_with_logits, weight=[1.0, 1.0, 5.0])
    nn.seed(4)
    model = nn.MLP(2, [3, 3], "tanh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.rng.generator, "shuffle", lambda indices: None)
        with pytest.raises(ValueError, match=r"2 examples is .*: it is not a mean") as caught:
            nn.fit(
                model,
                ([*POINTS, [0.3, 0.3]], [0, 1, 1, 0, 2, 0]),
                ready,
                nn.SGD(model, lr=0.5),
                epochs=2,
                batch_size=2,
                micro_batch=1,
                progress=False,
                jit=jit,
            )
    assert caught.value.history.loss == []


class Centred(nn.Module):
    """A model that subtracts the mean of its batch."""

    def __init__(self):
        self.gain = Value(0.5)

    def __call__(self, x):
        middle = sum((row[0] for row in x), Value(0.0)) / len(x)
        return [(row[0] - middle) * self.gain for row in x]


def fitted(model, jit, **options):
    options = {"loss": nn.mse, "epochs": 2, "micro_batch": 2, "progress": False} | options
    data, optimizer = (POINTS, [1.0, -1.0, 0.5, 2.0, -0.5]), nn.SGD(model, lr=0.1)
    return nn.fit(model, data, optimizer=optimizer, jit=jit, **options)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("size", [1, 2])
def test_user_defined_batch_statistics_are_refused_with_micro_batches(size, jit):
    model = Centred()
    with pytest.raises(ValueError, match=rf"micro_batch={size}: .* computes across examples"):
        fitted(model, jit, micro_batch=size)
    assert model.gain.data == 0.5
    # Without micro-batches the first loss is the mean of (y - gain * (x - middle))^2.
    middle = sum(x for x, _ in POINTS) / 5
    pairs = zip(POINTS, [1.0, -1.0, 0.5, 2.0, -0.5], strict=True)
    expected = sum((y - 0.5 * (x - middle)) ** 2 for (x, _), y in pairs) / 5
    history = fitted(model, jit, micro_batch=None, epochs=1)
    assert history.loss == [pytest.approx(expected, rel=1e-12)]


@pytest.mark.parametrize("jit", [False, True])
def test_batch_statistics_behind_a_weight_of_0_are_refused_after_a_step(jit):
    model = Centred()
    model.gain.data = 0.0
    with pytest.raises(ValueError, match=r"micro_batch=2: .* computes across examples"):
        fitted(model, jit)


@pytest.mark.parametrize(
    "predict",
    [
        lambda model, x: [model.gain],
        lambda model, x: [model.gain] * len(x) ** 2,
        lambda model, x: {"scores": [model.gain] * len(x)},
        lambda model, x: [model.gain * (len(x) - 4) for _ in x],  # 0 for as many as are checked
        lambda model, x: [model.gain * (len(x) if model.training else 1) for _ in x],
        lambda model, x: model.drop([model.gain * len(x) for _ in x]),
    ],
)
def test_predictions_by_the_number_of_examples_are_refused_with_micro_batches(predict):
    model = Centred()
    model.drop = nn.Dropout(0.5)
    with pytest.raises(ValueError, match=r"micro_batch=2: .* with an entry for each example, the"):
        fitted(model, False, predict=predict)


def test_predictions_may_contain_more_than_numbers():
    history = fitted(
        Centred(),
        False,
        predict=lambda model, x: [(model.gain * row[0], "name", None) for row in x],
        loss=lambda predictions, targets: nn.mse([p for p, *_ in predictions], targets),
    )
    assert len(history.loss) == 2


def test_the_first_two_steps_alone_check_the_model_for_micro_batches():
    lengths = []

    def predict(model, inputs):
        lengths.append(len(inputs))
        return model(nn.Matrix(inputs))

    fitted(nn.Linear(2, 1), False, epochs=4, predict=predict)
    assert len(lengths) == 18
    assert lengths[12:] == [2, 2, 1] * 2


@pytest.mark.parametrize("size", [2, 8])
def test_evaluate_with_the_jit_does_not_change_a_batch_on_which_the_model_averages(size):
    model, data = Centred(), ([[x] for x in range(7)], [0.0] * 7)
    whole = nn.evaluate(model, data, nn.mse)
    assert whole == pytest.approx(1.0, rel=1e-12)  # 0.25 times the variance of 0 .. 6, which is 4
    assert nn.evaluate(model, data, nn.mse, jit=True, micro_batch=size) == whole


@pytest.mark.parametrize("jit", [False, True])
def test_dropout_is_not_mistaken_for_batch_statistics_and_draws_as_before(jit, monkeypatch):
    def learned():
        nn.seed(4)
        model = nn.Sequential(nn.Layer(2, 4, "tanh"), nn.Dropout(0.5), nn.Layer(4, 1, "linear"))
        history = fitted(model, jit)
        return numbers(model, history), nn.rng.generator.getstate()

    checked = learned()
    monkeypatch.setattr("nn.step.is_per_example", lambda *arguments: True)
    assert learned() == checked


def test_a_model_that_draws_random_numbers_is_accepted():
    class Noisy(nn.Module):
        def __init__(self):
            self.w = Value(0.5)

        def __call__(self, x):
            return [row[0] * self.w + nn.rng.generator.gauss(0.0, 0.1) for row in x]

    assert len(fitted(Noisy(), False).loss) == 2


def test_the_check_of_micro_batches_changes_no_running_average():
    class Counting(nn.Module):
        buffers = ("seen",)

        def __init__(self):
            self.w, self.seen = Value(0.5), Value(0.0)

        def __call__(self, x):
            self.seen.assign(self.seen.data + len(x))
            return [row[0] * self.w for row in x]

    model = Counting()
    fitted(model, False, epochs=1)
    assert model.seen.data == 5.0


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("micro_batch", [None, 1])
def test_a_first_step_without_any_gradient_warns_with_micro_batches_too(micro_batch, jit):
    model = nn.Linear(2, 1, bias=False)
    with pytest.warns((RuntimeWarning, UserWarning), match="every gradient of .* 0"):
        fitted(
            model,
            jit,
            micro_batch=micro_batch,
            epochs=1,
            predict=lambda model, x: [p * 0.0 for (p,) in model(nn.Matrix(x))],
        )


@pytest.mark.parametrize("jit", [False, True])
def test_the_error_for_gradients_too_large_to_clip_gives_advice_for_fit(jit):
    model = nn.Linear(1, 1, bias=False)
    model.weights[0][0].data = 0.0
    with pytest.raises(FloatingPointError) as caught:
        nn.fit(
            model,
            ([1.0], [0.0]),
            lambda p, t: p[0][0] * 1e200 * 1e200,
            nn.SGD(model, lr=0.1),
            epochs=1,
            clip=1.0,
            progress=False,
            jit=jit,
        )
    message = str(caught.value)
    assert message.startswith("clip_grad_norm: the gradient of parameters[0] is inf in epoch 1")
    assert "with a learning rate of 0.1: try a smaller one; autograd.detect" in message
    assert "error_if_nonfinite" not in message


# --- what is recorded -----------------------------------------------------------------------------


def learned(jit, epochs, **options):
    """Train with an incomplete last batch; return the model, the examples and all results."""
    nn.seed(1)
    examples, held_out = nn.data.moons(90, noise=0.1), nn.data.moons(77, noise=0.1)
    model = nn.MLP(2, [5, 1], "tanh")
    options = {"batch_size": 20, "held_out": held_out, "metric": nn.accuracy} | options
    optimizer = nn.Adam(model, lr=0.05)
    history = nn.fit(
        model, examples, nn.hinge, optimizer, epochs=epochs, progress=False, jit=jit, **options
    )
    return model, examples, (model.state_dict(), optimizer.state_dict(), history)


@pytest.mark.parametrize(
    ("epochs", "options", "recorded"),
    [
        (1, {}, []),  # 4 steps of 20 examples, one of 10, and 3 pieces held out
        (1, {"batch_size": None, "held_out": None}, []),
        (5, {"held_out": None}, ["step"]),  # 20 steps; the 5 of 10 examples are eager
        (4, {}, []),  # 12 pieces held out
        (7, {}, ["step", "predict_batch"]),  # 21 pieces
        (20, {"held_out": None}, ["step", "step"]),
        (20, {"held_out": None, "drop_last": True}, ["step"]),
        (5, {"micro_batch": 20, "held_out": None}, ["step"]),  # no smaller than a batch
        (5, {"micro_batch": 30, "held_out": None}, ["step"]),
        (1, {"batch_size": 45, "micro_batch": 5, "held_out": None}, []),  # 18 parts of 2 steps
        (1, {"micro_batch": 5, "held_out": None}, ["add"]),  # 20 parts, if all steps were full
        (4, {"micro_batch": 10, "held_out": None}, ["add", "move", "whole", "whole"]),
        (None, {"steps": 23, "held_out": None}, []),  # 19 steps of 20 examples
        (None, {"steps": 24, "held_out": None}, ["step"]),
        (None, {"steps": 20, "batch_size": 30, "held_out": None}, ["step"]),
        (None, {"steps": 20, "drop_last": True, "held_out": None}, ["step"]),
    ],
)
def test_functions_called_too_seldom_are_not_recorded(epochs, options, recorded, recordings):
    *_, found = learned(True, epochs, **options)
    assert sorted(recordings) == sorted(recorded)
    *_, eager = learned(False, epochs, **options)
    assert repr(found) == repr(eager)


def test_fit_evaluate_and_a_plot_share_the_recorded_predictions_of_a_model(recordings):
    model, examples, _ = learned(True, 8, batch_size=None)
    assert recordings == ["predict_batch"]
    found = [nn.evaluate(model, examples, loss, jit=True) for loss in (nn.accuracy, nn.hinge)]
    assert found == [nn.evaluate(model, examples, loss) for loss in (nn.accuracy, nn.hinge)]
    nn.plot.decision_boundary(model, examples, resolution=50)
    assert recordings == ["predict_batch"]
    another = nn.MLP(2, [5, 1], "tanh")
    nn.plot.decision_boundary(another, examples, resolution=50)
    assert recordings == ["predict_batch"] * 2


def test_a_long_run_compiles_its_steps_at_once_and_a_short_one_does_not(monkeypatch):
    import autograd.jit as package

    backends, jitted = [], package.jit

    def noted(function, backend=None):
        backends.append((function.__name__, backend))
        return jitted(function, backend=backend)

    monkeypatch.setattr(package, "jit", noted)
    monkeypatch.setattr("nn.step.WORTH_COMPILING", 5)
    learned(True, 4, held_out=None)  # 16 steps of 20 examples, and 4 of 10
    learned(True, 5, held_out=None)
    assert backends == [("step", "native"), ("step", None)] + [("step", "native")] * 2
    monkeypatch.setattr("nn.step.find_spec", lambda name: None)
    learned(True, 5, held_out=None)
    assert backends[4:] == [("step", None)] * 2
