"""Does each part equal PyTorch's? Outputs, gradients, optimizer steps, and the way there and back.

Settings and numbers are random. Numbers may differ by 1e-12 of the largest in their tensor.
"""

from __future__ import annotations

import random
from functools import partial

import pytest
from parts import (
    ACTIVATIONS,
    FUNCTIONS,
    OPTIMIZERS,
    PARTS,
    WITH_PARAMETERS,
    assert_close,
    assert_same_state,
    in_torch,
    losses,
    made,
    numbers,
    output,
    sgd,
    torch,
)

import nn
from autograd import Value
from nn import Matrix
from nn.__main__ import main
from nn.torch_names import HERE

torch.set_num_threads(1)  # the tests themselves run in parallel

SEEDS = range(4)
STEPS = 20

every_seed = pytest.mark.parametrize("seed", SEEDS)
every_part = pytest.mark.parametrize("name", PARTS)


# --- outputs and gradients ------------------------------------------------------------------------


def test_every_part_of_nn_is_in_the_table():
    kinds = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert {n for n in kinds if issubclass(getattr(nn, n), nn.Module)} - {"Module"} == set(PARTS)


@every_seed
@every_part
def test_outputs_and_all_gradients_agree(name, seed):
    model, x = made(name, seed)
    module = nn.to_torch(model)
    ours, theirs, loss, their_loss, there = losses(model, module, x)
    loss.backward()
    their_loss.backward()
    assert theirs.dtype == torch.float64
    assert_close(theirs, numbers(ours.data), "output")
    if isinstance(x, Matrix):
        assert_close(there.grad, numbers(x.grad), "input")
    assert_same_state(module, model)  # BatchNorm's running averages too
    for parameter in module.parameters():
        parameter.data = parameter.grad
    for parameter in model.parameters():
        parameter.data = parameter.grad
    assert_same_state(module, model)


@every_seed
@every_part
def test_outputs_agree_in_eval_mode_and_for_a_batch_of_batches(name, seed):
    model, x = made(name, seed)
    module = nn.to_torch(model.eval())
    assert not any(part.training for part in module.modules())
    there = in_torch(x).detach()
    there = there if name == "BatchNorm" else torch.stack([there, there])
    with torch.no_grad():
        theirs = module(there)
    expected = numbers(output(model, x).data)
    assert_close(theirs, expected if name == "BatchNorm" else torch.stack([expected, expected]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_agree_near_0_and_far_from_it(name):
    points = [-800.0, -36.0, -3.0, -0.1, -0.0, 0.0, 1e-9, 0.7, 5.0, 20.5, 36.0, 800.0]
    function, module = getattr(nn, name), nn.to_torch(getattr(nn, name))
    for x in [[point] for point in points] if name in ACTIVATIONS else [points[:6], points[5:]]:
        ours, theirs = [Value(number) for number in x], in_torch(Matrix([x]))
        out, their_out = function(ours), module(theirs)
        sum(w * y for w, y in enumerate(out, 1)).backward()
        (their_out * torch.arange(1, len(x) + 1)).sum().backward()
        # PyTorch's slope of a saturated sigmoid, s (1 - s), has an absolute error of 1e-16.
        assert their_out[0].tolist() == pytest.approx([y.data for y in out], rel=1e-12, abs=1e-15)
        assert theirs.grad[0].tolist() == pytest.approx([v.grad for v in ours], 1e-12, abs=1e-15)


# --- optimizers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HERE)
def test_a_name_that_an_error_explains_is_one_of_pytorch(name):
    places = torch.nn, torch.nn.functional, torch.optim, torch
    assert any(hasattr(place, name) for place in places)


def test_every_optimizer_of_nn_is_in_the_table():
    kinds = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    rules = {n for n in kinds if issubclass(getattr(nn, n), nn.Optimizer)}
    assert rules - {"Optimizer"} == set(OPTIMIZERS)


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_20_optimizer_steps_agree_and_convert_back(name, rule):
    draw = random.Random(f"{name} {rule}")
    seed = next(s for s in range(99) if made(name, s)[0].parameters())  # RMSNorm may have none
    model, x = made(name, seed)
    module = nn.to_torch(model)
    make, make_theirs, options, their_options = OPTIMIZERS[rule](draw)
    shared = {"lr": draw.uniform(1e-3, 1e-2), "weight_decay": draw.choice([0.0, draw.random()])}
    optimizer = make(model, **shared, **options)
    their_optimizer = make_theirs(module.parameters(), **shared, **their_options)
    for _ in range(STEPS):
        for each in (optimizer, their_optimizer):
            each.zero_grad()
        _, _, loss, their_loss, _ = losses(model, module, x)
        loss.backward()
        their_loss.backward()
        optimizer.step()
        their_optimizer.step()
    assert_same_state(module, model)
    back, _ = made(name, seed)
    assert nn.from_torch(module, back) is back
    ours, theirs = nn.to_torch(back).state_dict(), module.state_dict()
    assert all(torch.equal(ours[n], theirs[n]) for n in ours if "num_batches" not in n)
    assert_close(numbers(output(back, x).data), numbers(output(model, x).data))


def test_nesterov_and_plain_momentum_are_both_among_the_random_settings():
    drawn = [sgd(random.Random(f"{name} SGD"))[2] for name in WITH_PARAMETERS]
    assert {options["nesterov"] for options in drawn} == {True, False}
    assert any(options["momentum"] and not options["nesterov"] for options in drawn)


# --- there and back -------------------------------------------------------------------------------


@every_seed
@every_part
def test_converting_there_and_back_changes_no_bit(name, seed):
    model, _ = made(name, seed)
    odd = [-0.0, 5e-324, 1.7976931348623157e308, 0.1, -1e-300]
    for parameter, number in zip(model.parameters(), odd * 1000, strict=False):
        parameter.data = number
    module = nn.to_torch(model)
    state = [(name, number.hex()) for name, number in model.state_dict().items()]
    for _, value in [*model.named_parameters(), *model.named_buffers()]:
        value.data = 7.0
    nn.from_torch(module, model)
    assert [(name, number.hex()) for name, number in model.state_dict().items()] == state


def test_weights_have_pytorchs_layouts_and_names():
    model = nn.MLP(2, [3, 1])
    for i, parameter in enumerate(model.parameters()):
        parameter.data = float(i)
    state = nn.to_torch(model).state_dict()
    assert {name: tensor.tolist() for name, tensor in state.items()} == {
        "0.weight": [[0.0, 1.0], [3.0, 4.0], [6.0, 7.0]],
        "0.bias": [2.0, 5.0, 8.0],
        "2.weight": [[9.0, 10.0, 11.0]],
        "2.bias": [12.0],
    }
    assert [type(part) for part in nn.to_torch(model)] == [
        torch.nn.Linear,
        torch.nn.ReLU,
        torch.nn.Linear,
    ]


def test_a_gpt_has_the_parameter_names_of_pytorchs_layers():
    names = nn.to_torch(nn.GPT(5, 4, 4, 2, 1, "layer")).state_dict().keys()
    assert list(names) == [
        "token.weight",
        "position.weight",
        "norm.weight",
        "norm.bias",
        "blocks.0.self_attn.in_proj_weight",
        "blocks.0.self_attn.out_proj.weight",
        "blocks.0.linear1.weight",
        "blocks.0.linear2.weight",
        "blocks.0.norm1.weight",
        "blocks.0.norm1.bias",
        "blocks.0.norm2.weight",
        "blocks.0.norm2.bias",
        "logits.weight",
    ]


def test_batch_norm_keeps_its_running_averages_as_buffers():
    model = nn.BatchNorm(2)
    model(Matrix([[1.0, 5.0], [3.0, 5.0]]))
    module = nn.to_torch(model)
    # By hand: 0.9 * 0 + 0.1 * 2, and 0.9 * 1 + 0.1 * 2, with divisor n - 1 = 1.
    assert module.running_mean.tolist() == pytest.approx([0.2, 0.5])
    assert module.running_var.tolist() == pytest.approx([1.1, 0.9])
    assert [name for name, _ in module.named_parameters()] == ["weight", "bias"]


def test_dropout_drops_the_same_share_and_scales_the_rest():
    module = nn.to_torch(nn.Dropout(0.25))
    torch.manual_seed(0)
    out = module(torch.ones(10_000, dtype=torch.float64))
    assert set(out.tolist()) == {0.0, 1.0 / 0.75}
    assert (out == 0.0).double().mean().item() == pytest.approx(0.25, abs=0.02)


def test_converted_attention_takes_pytorchs_arguments_and_masks():
    nn.seed(1)
    model = nn.MultiHeadAttention(4, 2)
    module, x = nn.to_torch(model), Matrix([[nn.gauss() for _ in range(4)] for _ in range(3)])
    there = numbers(x.data)
    ours, weights = model(x, nn.causal(3), return_weights=True)
    later = torch.ones(3, 3, dtype=torch.bool).triu(1)
    out, looked = module(there, there, there, attn_mask=later, average_attn_weights=False)
    assert_close(out, numbers(ours.data))
    assert_close(looked, numbers([head.data for head in weights]))
    assert_close(module(there, attn_mask=later), numbers(ours.data))


def test_each_part_keeps_its_training_mode():
    model = nn.Sequential(nn.Dropout(), nn.MLP(2, [2, 1]), nn.GPT(3, 2, 2, 1, 1))
    model.parts[0].eval()
    module = nn.to_torch(model)
    assert [part.training for part in module] == [False, True, True]
    assert all(part.training for part in module[1].modules())


def test_a_shared_module_stays_shared():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.tanh, shared)
    module = nn.to_torch(model)
    assert module[0] is module[2]
    assert len(list(module.parameters())) == 2
    nn.from_torch(module, model)


def test_tied_weights_are_one_parameter():
    model = nn.GPT(5, 4, 4, 1, 1)
    model.logits.weights = model.token.vectors
    module = nn.to_torch(model)
    assert module.logits.weight is module.token.weight
    nn.from_torch(module, model)
    untied = nn.to_torch(nn.GPT(5, 4, 4, 1, 1))
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"token.weight and logits.weight are one tensor"):
        nn.from_torch(untied, model)
    assert model.state_dict() == before


def test_an_mlp_may_hold_other_modules_between_its_layers():
    model = nn.MLP(3, [3, 2])
    model.layers.insert(1, nn.Dropout(0.5))
    assert [type(part).__name__ for part in nn.to_torch(model)] == [
        *["Linear", "ReLU", "Dropout", "Linear"]
    ]


def test_a_subclass_with_the_same_call_converts_like_its_base_class():
    class Small(nn.MLP):
        def __init__(self):
            super().__init__(2, [2, 1])

    class Doubled(nn.MLP):
        def __call__(self, x):
            return 2.0 * super().__call__(x)

    assert isinstance(nn.to_torch(Small()), torch.nn.Sequential)
    with pytest.raises(TypeError, match=r"to_torch: Doubled has no counterpart in PyTorch"):
        nn.to_torch(Doubled(2, [1]))


@pytest.mark.parametrize("model", [3, None, 0.5, [1.0]])
def test_what_is_neither_a_module_nor_a_function_is_not_converted(model):
    with pytest.raises(TypeError, match=r"to_torch: .* has no counterpart in PyTorch"):
        nn.to_torch(model)


@pytest.mark.parametrize("model", [nn.MLP, nn.GPT])
def test_the_class_of_a_module_is_not_converted(model):
    with pytest.raises(TypeError, match=f"takes a model, not the class {model.__name__}$"):
        nn.to_torch(model)


def test_conversion_does_not_use_pytorchs_random_stream():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    module = nn.to_torch(nn.MLP(2, [2]))
    nn.from_torch(module, nn.MLP(2, [2]))
    assert torch.equal(torch.rand(1), expected)


def test_float32_parameters_convert_back_exactly():
    model = nn.MLP(2, [1])
    nn.from_torch(nn.to_torch(model).float(), model)
    for parameter in model.parameters():
        assert parameter.data == numbers(parameter.data).float().item()


# --- a user's own module --------------------------------------------------------------------------


class Residual(nn.Module):
    """x * gain + layer(x) for each of several inner layers, plus a count that is a buffer."""

    buffers = ("count",)

    def __init__(self, size=3):
        self.gain = [Value(1.0 + i) for i in range(size)]
        self.count = Value(5.0)
        self.inner = [nn.Layer(size, size, "tanh"), nn.Linear(size, size)]
        self._held = {"gain": self.gain, "count": self.count, "inner": self.inner}

    def __call__(self, x):
        for layer in self.inner:
            x = x * self.gain + layer(x)
        return x + self.count

    def for_torch(self):
        class Residual(torch.nn.Module):
            def forward(self, x):
                for layer in self.inner:
                    x = x * self.gain + layer(x)
                return x + self.count

        return Residual(), self._held


def test_a_users_module_converts_both_ways_with_one_method():
    nn.seed(2)
    model = nn.Sequential(nn.Linear(3, 3), Residual(), nn.relu)
    module, x = nn.to_torch(model), Matrix([[1.0, -0.5, 2.0], [0.0, 1.5, -1.0]])
    _, _, loss, their_loss, _ = losses(model, module, x)
    assert their_loss.item() == pytest.approx(loss.data, rel=1e-12)
    assert dict(module.named_buffers()).keys() == {"1.count"}
    assert "1.inner.0.0.weight" in module.state_dict()
    state = model.state_dict()
    for parameter in model.parameters():
        parameter.data = 0.0
    assert nn.from_torch(module, model).state_dict() == state


def wrong(held=None, row=None):
    model = Residual()
    if row is not None:
        model.for_torch = lambda: row
    model._held = {k: v for k, v in (model._held | (held or {})).items() if v != "left out"}
    return model


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda: wrong({"gain": "left out"}), ValueError, r"gain\.0 of .* 0 entries"),
        (lambda: wrong({"again": wrong().gain}), ValueError, "again has a Value that is not in"),
        (lambda: wrong({"gain": [[]]}), ValueError, "gain is empty, or has rows of different"),
        (lambda: wrong({"gain": [1.0]}), TypeError, "gain has 1.0 where a Value should be"),
        (lambda: wrong({"gain": ["x"]}), TypeError, "gain has 'x' where a Value should be"),
        (lambda: wrong(row=torch.nn.ReLU()), TypeError, "for_torch of Residual must return"),
    ],
)
def test_a_wrong_for_torch_raises_a_clear_error(model, error, message):
    with pytest.raises(error, match=message):
        nn.to_torch(model())


def test_a_value_in_two_places_is_rejected():
    model = Residual()
    model._held["again"] = model.gain[:2]
    with pytest.raises(ValueError, match=r"gain\.0 of .* would be in 2 entries of tensors"):
        nn.to_torch(model)


def test_for_torch_may_name_activations_and_create_modules():
    class Doubled(nn.Layer):
        def __call__(self, x):
            return nn.tanh(nn.Sequential(super().__call__, nn.softmax)(x))

        def for_torch(self):
            layer = nn.Layer(1, 1, "linear")
            layer.neurons = self.neurons
            return torch.nn.Sequential(), {"0": layer, "1": nn.softmax, "2": "tanh"}

    nn.seed(1)
    model, x = Doubled(3, 2), Matrix([[1.0, -0.5, 2.0], [0.0, 1.5, -1.0]])
    assert_close(nn.to_torch(model)(numbers(x.data)), numbers(model(x).data))


def test_values_of_another_shape_than_the_torch_parameter_are_rejected():
    class Wide(nn.Linear):
        def for_torch(self):
            return torch.nn.Linear(3, 2, bias=False), {"weight": self.weights}

    with pytest.raises(ValueError, match=r"weight has 2 x 2 Values, but that of Linear is 2 x 3"):
        nn.to_torch(Wide(2, 2, bias=False))


def test_a_torch_parameter_without_values_is_rejected():
    class Half(nn.Linear):
        def for_torch(self):
            return torch.nn.Linear(2, 2), {"weight": self.weights}

    with pytest.raises(ValueError, match=r"bias of the Linear holds no Values"):
        nn.to_torch(Half(2, 2, bias=False))


# --- what does not fit ----------------------------------------------------------------------------


class Tower(nn.Module):
    def __init__(self):
        self.w = Value(1.0)

    def __call__(self, x):
        return x * self.w


def cube(x):
    return x * x * x


def with_bias():
    model = nn.MultiHeadAttention(2, 1)
    model.W_q = nn.Linear(2, 2)
    return model


def mixed():
    model = nn.Layer(2, 2)
    model.neurons[1] = nn.Neuron(2, "tanh")
    return model


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (lambda: nn.Sequential(nn.relu, Tower()), r"parts\.1: Tower"),
        (lambda: nn.Sequential(nn.Layer(2, 2, cube)), r"parts\.0: the function cube"),
        (lambda: nn.Sequential(nn.logsumexp), "the function logsumexp"),
        (lambda: partial(nn.elu, alpha=Value(2.0)), "the function"),
        (with_bias, "MultiHeadAttention with biases"),
        (mixed, "a Layer of Neurons that differ"),
    ],
)
def test_a_part_without_counterpart_is_named(model, named):
    with pytest.raises(TypeError, match=f"to_torch: {named}.* has no counterpart in PyTorch"):
        nn.to_torch(model())


def sequential_there(*parts):
    return lambda: torch.nn.Sequential(*parts).double()


Linear = torch.nn.Linear


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        (
            sequential_there(Linear(3, 4), torch.nn.ReLU(), Linear(4, 1)),
            ValueError,
            r"0\.weight of the module is 4 x 3, but that of MLP\(2 → 4 → 1, relu\) is 4 x 2",
        ),
        (
            sequential_there(Linear(2, 4), torch.nn.Tanh(), Linear(4, 1)),
            TypeError,
            r"1 is Tanh, but that of MLP\(.*\) is ReLU",
        ),
        (
            sequential_there(Linear(2, 4), torch.nn.ReLU()),
            ValueError,
            r"the module has no 2, which is Linear of MLP\(2 → 4 → 1, relu\)",
        ),
        (
            sequential_there(Linear(2, 4), torch.nn.ReLU(), Linear(4, 1), torch.nn.Sigmoid()),
            ValueError,
            r"MLP\(2 → 4 → 1, relu\) has no 3, which is Sigmoid of the module",
        ),
        (
            sequential_there(Linear(2, 4, bias=False), torch.nn.ReLU(), Linear(4, 1)),
            ValueError,
            r"the module has no 0\.bias, which MLP\(.*\) has",
        ),
        (lambda: {"0.weight": 1}, TypeError, "takes a torch.nn.Module, then the model, not dict"),
        (lambda: nn.MLP(2, [4, 1]), TypeError, "not MLP first"),
    ],
)
def test_a_mismatched_module_raises_one_error_that_names_both(module, error, message):
    model = nn.MLP(2, [4, 1])
    before = model.state_dict()
    with pytest.raises(error, match=f"from_torch.*{message}") as raised:
        nn.from_torch(module(), model)
    assert "\n" not in str(raised.value)
    assert model.state_dict() == before


def test_a_bias_that_only_the_module_has_is_named():
    with pytest.raises(ValueError, match=r"Linear\(.*\) has no bias, which the module has"):
        nn.from_torch(torch.nn.Linear(2, 4), nn.Linear(2, 4, bias=False))


@pytest.mark.parametrize(
    ("module", "model", "message"),
    [
        (torch.nn.LayerNorm(3, 1e-3), nn.LayerNorm(3), "eps of the module is 0.001, but .* 1e-05"),
        (torch.nn.BatchNorm1d(3, momentum=0.2), nn.BatchNorm(3), "momentum of the module is 0.2"),
        (torch.nn.Dropout(0.2), nn.Dropout(0.5), "p of the module is 0.2, but .* is 0.5"),
        (torch.nn.MultiheadAttention(4, 2, bias=False), nn.MultiHeadAttention(4, 2), "batch_first"),
    ],
)
def test_a_different_setting_is_named(module, model, message):
    with pytest.raises(ValueError, match=message):
        nn.from_torch(module, model)


def test_a_tensor_of_integers_is_rejected():
    module = torch.nn.LayerNorm(2)
    module.weight = torch.nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
    with pytest.raises(ValueError, match=r"weight of the module is 2 of torch\.int64, but that"):
        nn.from_torch(module, nn.LayerNorm(2))


def test_a_module_written_in_pytorch_can_be_converted():
    module = torch.nn.Sequential(Linear(2, 4), torch.nn.ReLU(inplace=True), Linear(4, 1)).double()
    model = nn.from_torch(module, nn.MLP(2, [4, 1]))
    x = [[0.5, -1.0], [2.0, 0.1]]
    assert_close(module(numbers(x)), numbers(model(x).data))


# --- python -m nn TASK --export FILE --------------------------------------------------------------

SMALL = {
    "moons": ["--epochs", "1", "--hidden", "3", "--examples", "12"],
    "gpt": ["--steps", "1", "--embedding", "4", "--heads", "1", "--base-width", "8"],
}


@pytest.mark.parametrize("task", SMALL)
def test_the_weights_of_a_run_are_exported(task, tmp_path, capsys):
    file, out = tmp_path / "made" / "weights.pt", tmp_path / "out"
    arguments = [task, *SMALL[task], "--quiet", "--out", str(out), "--export", str(file)]
    assert main(arguments) == 0
    assert f"weights for torch.load are in {file}\n" in capsys.readouterr().out
    if task == "gpt":
        trained, _ = nn.text.load(out / "model.json")
    else:
        trained = nn.MLP(2, [3, 1])
        trained.load(out / "model.json")
    state = torch.load(file, weights_only=True)
    expected = nn.to_torch(trained).state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    nn.to_torch(trained).load_state_dict(state)
    assert [path.name for path in file.parent.iterdir()] == ["weights.pt"]


def test_an_export_to_a_folder_is_rejected_before_training(tmp_path, capsys):
    assert main(["moons", "--out", str(tmp_path / "out"), "--export", str(tmp_path)]) == 1
    assert f"{tmp_path} is a folder, not a file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
