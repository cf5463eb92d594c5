"""How does draw fold the graph of a network into modules, losses, and arithmetic between them?"""

from __future__ import annotations

import math
import re
import time
import xml.etree.ElementTree as ET

import pygraphviz
import pytest

import nn
from autograd import Value, grad, steps, topological_order
from autograd.draw import draw
from autograd.draw.names import full_names, kinds_of, named_and_trained, short_names
from autograd.draw.sheet import LID_HEIGHT

SVG = "{http://www.w3.org/2000/svg}"


def parts(drawing, kind):
    """{id: lines of text} of the nodes or the frames ("cluster") of a drawing."""
    return {
        g.get("id"): ["".join(text.itertext()) for text in g.iter(f"{SVG}text")]
        for g in ET.fromstring(drawing.svg()).iter(f"{SVG}g")
        if g.get("class") == kind
    }


def boxes(drawing):
    """{first line: the others} of the boxes that stand for several nodes or for a module."""
    return {
        lines[0]: lines[1:] for key, lines in parts(drawing, "node").items() if key.startswith("b")
    }


def frames(drawing):
    return [line for lines in parts(drawing, "cluster").values() for line in lines]


def total(drawing):
    """The number of nodes that the boxes say they hold, in total."""
    counted = 0
    for key, lines in parts(drawing, "node").items():
        sizes = [re.fullmatch(r"([\d,]+) (node|input|constant|parameter)s?", x) for x in lines]
        found = [int(size[1].replace(",", "")) for size in sizes if size]
        assert len(found) == key.startswith("b")
        counted += sum(found) or 1
    return counted


def flows(drawing):
    """{(first line, first line): label} of the edges."""
    heads = {key: lines[0] for key, lines in parts(drawing, "node").items()}
    found = re.findall(r"\t(\w+) -> (\w+) \[(?:label=\"?([\d,]+)\"? )?", drawing.source)
    assert len(found) == len(pygraphviz.AGraph(string=drawing.source).edges())
    return {(heads[tail], heads[head]): label for tail, head, label in found}


def has_no_cycle(drawing):
    """Whether the arrows form no cycle."""
    left = {tuple(edge) for edge in pygraphviz.AGraph(string=drawing.source).edges()}
    while left:
        tails = {tail for tail, _ in left}
        ended = {edge for edge in left if edge[1] not in tails}
        if not ended:
            return False
        left -= ended
    return True


def moons_loss(examples=5, model=None):
    """The loss of the README's network, with an L2 penalty written by hand."""
    data = nn.data.moons(100, noise=0.1)
    model = model or nn.MLP(2, [16, 16, 1])
    scores = [model(x) for x in data.inputs[:examples]]
    penalty = sum((p * p for p in model.parameters()), Value(0.0, label="start"))
    return nn.hinge(scores, data.targets[:examples]) + 1e-4 * penalty


# --- names ----------------------------------------------------------------------------------------


def names(nodes, model=None):
    return full_names(nodes, named_and_trained(nodes, model)[0])


def test_parameters_are_named_by_the_model_that_used_them():
    model = nn.MLP(2, [2, 1])
    out = model([Value(1.0, label="input"), Value(2.0)])
    heads = [lines[0] for lines in parts(draw(out), "node").values()]
    found = names(topological_order(out))
    svg = draw(out).svg()
    for name, parameter in model.named_parameters():
        assert found[parameter] == name
        assert f'title="{name}&#10;data' in svg
    assert {"input", "w₀₀₀", "w₀₀₁", "b₀₀", "w₀₁₀", "w₀₁₁", "b₀₁", "w₁₀₀", "w₁₀₁"} <= set(heads)
    assert len(set(heads)) == len(heads)


def shortened(output, model=None):
    nodes = topological_order(output)
    named, _ = named_and_trained(nodes, model)
    full = full_names(nodes, named)
    return {full[node]: name for node, name in short_names(full, named).items()}


def test_short_names_keep_the_numbers_that_differ():
    neuron = nn.Neuron(2)
    found = shortened(neuron([1.0, 2.0]))
    assert [found[name] for name in ("w.0", "w.1", "b")] == ["w₀", "w₁", "b"]
    found = shortened(nn.Neuron(1)([1.0]))
    assert (found["w.0"], found["b"]) == ("w", "b")
    found = shortened(nn.Layer(2, 2)([1.0, 2.0])[1])
    assert (found["neurons.1.w.0"], found["neurons.1.b"]) == ("w₀", "b")
    found = shortened(nn.MLP(1, [11, 1])([1.0]))
    assert found["layers.0.neurons.10.w.0"] == "w₀.₁₀.₀"
    assert found["layers.1.neurons.0.b"] == "b₁.₀"


def test_short_names_keep_the_word_that_differs():
    model = nn.GPT(3, 2, 2, 1, 1, "layer")
    found = shortened(model.nll([1, 0, 2]))
    assert found["blocks.0.attention.W_q.weights.0.1"] == "W_q.weights₀₁"
    assert found["token.vectors.1.0"] == "token.vectors₁₀"
    assert len(set(found.values())) == len(found)
    one, other = nn.Neuron(1), nn.Neuron(1)
    found = shortened(one([1.0]) + other([2.0]))
    assert (found["Neuron1.w.0"], found["Neuron2.b"]) == ("Neuron1.w", "Neuron2.b")


@pytest.mark.parametrize("keys", ["#a", "#1", ".", "a."])
def test_short_names_of_parameters_by_character(keys):
    model = nn.Module()
    model.by = {key: Value(1.0) for key in keys}
    found = shortened(sum(model.by.values()), model)
    expected = {"#": "#", "a": "a", "1": "by", ".": "by.."}
    assert [found[f"by.{key}"] for key in keys] == [expected[key] for key in keys]


def test_a_name_without_words_is_not_shortened():
    model = nn.Module()
    vars(model).update({"0": [Value(1.0), Value(2.0)]})
    found = shortened(sum(vars(model)["0"]), model)
    assert (found["0.0"], found["0.1"]) == ("0.0", "0.1")


def test_a_short_name_that_is_taken_is_not_used():
    model = nn.Neuron(2)
    model.w[0].label = "w.0"  # as the model calls it
    model.b.label = "my bias"
    found = shortened(model([Value(1.0, label="w₁"), Value(2.0, label="x.0")]))
    assert (found["w.0"], found["w.1"], found["w₁"]) == ("w₀", "w.1", "w₁")
    assert (found["my bias"], found["x.0"]) == ("my bias", "x.0")


def test_equal_labels_are_numbered():
    def told_apart(*labels):
        nodes = [Value(1.0, label=label) for label in labels]
        full = full_names(nodes, {})
        return list(short_names(full, {}).values())

    assert told_apart("w", "b", "w") == ["w₁", "b", "w₂"]
    assert told_apart("w", "w", "w₁") == ["w₂", "w₃", "w₁"]
    assert told_apart("x1", "x1", "a b", "a b") == ["x1.₁", "x1.₂", "(a b)₁", "(a b)₂"]
    h = Value(1.0, label="h")
    out = h.tanh()
    out.label = "h"
    assert list(short_names(full_names([h, out], {}), {}).values()) == ["h₁", "h₂"]
    long = ["a" * 30 + middle + "b" * 30 for middle in "xy"]
    first, second = told_apart(*long)
    assert first != second


def test_two_models_are_told_apart_by_class_and_two_of_a_class_by_number():
    one, two, other = nn.Neuron(1), nn.Neuron(1), nn.Layer(1, 1)
    out = one([1.0]) + two([2.0]) + other([3.0])[0]
    found = names(topological_order(out))
    assert found[one.w[0]] == "Neuron1.w.0"
    assert found[two.b] == "Neuron2.b"
    assert found[other.neurons[0].b] == "Layer.neurons.0.b"


def test_a_given_model_names_parts_that_were_called_separately():
    model = nn.MLP(1, [1, 1])
    out = model.layers[1](model.layers[0]([0.5]))[0]
    bias = model.layers[1].neurons[0].b
    assert names(topological_order(out))[bias] == "Layer2.neurons.0.b"
    assert names(topological_order(out), model)[bias] == "layers.1.neurons.0.b"
    assert {"layers.0", "layers.1"} <= set(boxes(draw(out, depth=0, model=model)))


def test_a_label_takes_precedence_over_the_name_in_the_model():
    neuron = nn.Neuron(1)
    neuron.b.label = "bias"
    out = neuron([1.0])
    assert names(topological_order(out))[neuron.b] == "bias"
    assert ["bias", "data 0", "grad 0"] in parts(draw(out), "node").values()


def test_parameters_buffers_inputs_and_plain_numbers_are_of_different_kinds():
    norm = nn.BatchNorm(1).eval()
    x = Value(1.0)
    (out,) = norm([x])
    nodes = topological_order(out)
    _, trained = named_and_trained(nodes, None)
    kinds = dict(zip(nodes, kinds_of(nodes, {out}, trained), strict=True))
    assert kinds[norm.gain[0]] == "parameter"
    assert kinds[norm.running_mean[0]] == kinds[x] == "leaf"
    assert names(nodes)[norm.running_mean[0]] == "running_mean.0"
    assert kinds[out] == "output"
    assert list(kinds.values()).count("constant") == 1  # eps


def test_only_a_name_is_bold_and_rows_leave_room_for_lids_and_edges():
    neuron = nn.Neuron(1, activation="linear")
    neuron.w[0].data, neuron.b.data = 0.5, 0.25
    double = neuron([Value(4.0)]) * 2.0
    double.parents[1].label = "two"
    source = draw(double - 1.0, edges=True, names=False).source
    found = re.findall(r"\t(n\d|n\d -> n\d) \[label=<<TABLE[^>]*>(.*)</TABLE>>", source)
    rows = {key: re.findall(r'<TD HEIGHT="(\d+)">(.*?)</TD>', table) for key, table in found}
    of = {tuple(text for _, text in table): [int(h) for h, _ in table] for table in rows.values()}
    assert of == {
        ("data 4", "grad 0"): [14, 14],
        ("", "<B>w</B>", "data 0.5", "grad 0"): [LID_HEIGHT["parameter"], 14, 14, 14],
        ("", "<B>b</B>", "data 0.25", "grad 0"): [LID_HEIGHT["parameter"], 14, 14, 14],
        ("1",): [14],
        ("two", "2"): [14, 14],
        ("<B>*</B>", "data 2", "grad 0"): [14, 14, 14],
        ("<B>+</B>", "data 2.25", "grad 0"): [14, 14, 14],
        ("<B>*</B>", "data 4.5", "grad 0"): [14, 14, 14],
        ("<B>-</B>", "data 3.5", "grad 0"): [14, 14, 14],
        ("local 4", ""): [11, 3],
        ("local 0.5", ""): [11, 3],
        ("local 1", ""): [11, 3],
        ("local 2", ""): [11, 3],
    }


def test_a_tooltip_tells_the_full_name_the_operation_the_digits_and_the_module():
    layer = nn.Layer(1, 1, "tanh")
    layer.neurons[0].w[0].data = 1 / 3
    source = draw(layer([Value(1.5)])[0], names=False).source
    tooltips = [found.split("&#10;") for found in re.findall(r'tooltip="(.*?)"', source)]
    assert tooltips == [
        ["neurons.0.w.0", "data 0.3333333333333333", "grad 0.0"],
        ["neurons.0.b", "data 0.0", "grad 0.0"],
        ["data 1.5", "grad 0.0"],
        ["*  mul", "data 0.5", "grad 0.0", "in Layer.neurons.0"],
        ["+  add", "data 0.5", "grad 0.0", "in Layer.neurons.0"],
        ["tanh", f"data {math.tanh(0.5)!r}", "grad 0.0", "in Layer.neurons.0"],
    ]


# --- depth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_boxes_add_up_to_the_graph_and_arrows_form_no_cycle(depth):
    loss = moons_loss()
    drawing = draw(loss, depth=depth)
    assert total(drawing) == len(topological_order(loss))
    assert has_no_cycle(drawing)


def test_at_depth_0_each_model_and_each_loss_is_a_box():
    drawing = draw(moons_loss(), depth=0)
    neuron = {2: 2 * 2 + 1, 16: 2 * 16 + 1}  # products, sums and relu
    inside = 337 + 5 * (16 * neuron[2] + 16 * neuron[16] + 32)
    assert boxes(drawing) == {
        "10 constants": [],  # 5 inputs of 2 numbers
        "MLP(2 → 16 → 16 → 1, relu)": [f"{inside:,} nodes"],
        "11 constants": [],  # 5 targets, 5 times the 1 of 1 - y s, and the 5 of the mean
        "hinge": ["20 nodes"],  # times y, 1 -, relu, the sum and its mean
        "arithmetic": ["* ×338, + ×337", "675 nodes"],  # the penalty
    }
    singles = [lines for key, lines in parts(drawing, "node").items() if key.startswith("n")]
    assert sorted(lines[0] for lines in singles) == ["+", "0.0001", "start"]
    assert flows(drawing) == {
        ("10 constants", "MLP(2 → 16 → 16 → 1, relu)"): "10",
        ("MLP(2 → 16 → 16 → 1, relu)", "hinge"): "5",
        ("11 constants", "hinge"): "11",
        ("MLP(2 → 16 → 16 → 1, relu)", "arithmetic"): "337",
        ("start", "arithmetic"): "",
        ("0.0001", "arithmetic"): "",
        ("hinge", "+"): "",
        ("arithmetic", "+"): "",
    }
    assert frames(drawing) == []


def test_at_depth_1_a_model_is_a_frame_around_its_layers():
    drawing = draw(moons_loss(), depth=1)
    found = boxes(drawing)
    assert {"layers.0", "layers.1", "layers.2", "hinge", "arithmetic"} < set(found)
    assert found["layers.0"] == ["Layer(2 → 16, relu)", f"{48 + 5 * 16 * 5} nodes"]
    assert frames(drawing) == ["MLP(2 → 16 → 16 → 1, relu)"]
    assert flows(drawing)[("layers.0", "layers.1")] == "80"  # 16 neurons, 5 examples
    assert flows(drawing)[("layers.1", "arithmetic")] == "272"


def test_at_depth_2_layers_are_frames_around_their_neurons():
    drawing = draw(moons_loss(), depth=2)
    neurons = [name for name in boxes(drawing) if "neurons" in name]
    assert len(neurons) == 33
    assert boxes(drawing)["layers.2.neurons.0"] == [
        "Neuron(16 → 1, linear)",
        f"{17 + 5 * 32} nodes",
    ]
    assert frames(drawing) == [
        "MLP(2 → 16 → 16 → 1, relu)",
        "layers.0  Layer(2 → 16, relu)",
        "layers.1  Layer(16 → 16, relu)",
        "layers.2  Layer(16 → 1, linear)",
    ]


def test_without_a_depth_as_many_levels_are_opened_as_fit():
    loss = moons_loss()
    assert draw(loss).source == draw(loss, depth=2).source
    assert draw(loss, max_nodes=30).source == draw(loss, depth=1).source
    assert draw(loss, max_nodes=9).source == draw(loss, depth=0).source
    with pytest.raises(ValueError, match=r"depth = 0 more than max_nodes = 5 boxes: raise max"):
        draw(loss, max_nodes=5)


def test_a_depth_beyond_the_last_level_shows_every_node_if_they_fit():
    model = nn.MLP(2, [2, 1])
    out = model([1.0, 2.0])
    assert draw(out, depth=3).source == draw(out).source
    with pytest.raises(ValueError, match="depth = 3 opens every module: use a smaller depth"):
        draw(moons_loss(), depth=3)
    with pytest.raises(ValueError, match="use a smaller depth, or raise max_nodes"):
        draw(moons_loss(), depth=2, max_nodes=20)


def test_a_small_network_is_folded_only_when_asked():
    model = nn.MLP(2, [2, 1])
    out = model([1.0, 2.0])
    assert not boxes(draw(out))
    assert set(boxes(draw(out, collapse=True))) == {
        "2 constants",
        "layers.0.neurons.0",
        "layers.0.neurons.1",
        "layers.1.neurons.0",
    }


@pytest.mark.parametrize("depth", [None, 1])
def test_the_time_to_draw_a_model_grows_no_faster_than_its_parts(depth):
    def seconds(count):
        output = nn.Sequential(*[nn.Linear(1, 1) for _ in range(count)])([0.5])[0]
        start = time.process_time()
        draw(output, max_nodes=100_000, depth=depth)
        return time.process_time() - start

    few, many = [min(seconds(count) for _ in range(2)) for count in (20, 160)]
    assert many < 16.0 * few


def test_the_time_to_name_parts_called_without_their_model_grows_no_faster_than_they_do():
    def seconds(count):
        model, x = nn.Sequential(*[nn.Linear(1, 1) for _ in range(count)]), [0.5]
        for part in model.parts:
            x = part(x)
        start = time.process_time()
        draw(x[0], max_nodes=100_000, model=model, collapse=True)
        return time.process_time() - start

    few, many = [min(seconds(count) for _ in range(2)) for count in (50, 400)]
    assert many < 16.0 * few


# --- which box a node belongs to ------------------------------------------------------------------


class Residual(nn.Module):
    """x + f(x), twice, with arithmetic around the calls of its parts."""

    def __init__(self):
        self.first, self.second = nn.Layer(2, 2, "tanh"), nn.Layer(2, 2, "tanh")
        self.scale = Value(0.5)

    def __call__(self, x):
        for part in (self.first, self.second):
            x = [a + self.scale * b for a, b in zip(x, part(x), strict=True)]
        return x


def test_arithmetic_between_the_parts_of_a_module_makes_no_cycle():
    model = Residual()
    x = [Value(1.0, label="a"), Value(2.0, label="b")]
    loss = nn.mse(model(x), [0.0, 1.0])
    drawing = draw(loss, depth=1)
    assert has_no_cycle(drawing)
    assert total(drawing) == len(topological_order(loss))
    assert {"first", "second", "mse"} < set(boxes(drawing))
    assert boxes(drawing)["2 inputs"] == ["a, b"]
    assert ["scale", "data 0.5", "grad 0"] in parts(drawing, "node").values()
    heads = [lines[0] for lines in parts(drawing, "node").values()]
    assert heads.count("arithmetic") == 2


def test_attention_that_is_called_by_itself_is_a_box_of_its_name():
    X = nn.Matrix([[1.0, 2.0], [3.0, 4.0]])
    assert "attention" in boxes(draw(nn.attention(X, X, X).sum(), depth=0))


def test_all_calls_of_one_module_are_one_box():
    layer = nn.Layer(2, 2, "tanh")
    x = [Value(1.0), Value(2.0)]
    for _ in range(4):
        x = layer(x)
    assert boxes(draw(x, depth=0))["Layer(2 → 2, tanh)"][0] == f"{6 + 4 * 2 * 5 - 2} nodes"


def test_buffers_are_in_the_box_of_their_module():
    norm = nn.BatchNorm(2).eval()
    out = norm([Value(1.0), Value(2.0)])
    drawing = draw(out, depth=0)
    # 4 buffers, 4 parameters, and (v - m) * (gain / sqrt(var + eps)) + bias without the last sum
    assert boxes(drawing)["BatchNorm(4 parameters)"] == [f"{4 + 4 + 2 * 5} nodes"]
    assert total(drawing) == len(topological_order(*out))


def test_parameters_are_in_the_box_of_their_module_even_if_it_is_not_called():
    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.scale = nn.Linear(1, 1, bias=False)

        def __call__(self, x):
            return [self.scale.weights[0][0] * y for y in super().__call__(x)]

    drawn = boxes(draw(Scaled()([1.0, 2.0]), depth=1))
    assert drawn["scale"] == ["Linear(1 → 1, bias=False)", "1 node"]


def test_many_outputs_stay_in_their_boxes_and_are_counted():
    model = nn.MLP(1, [3])
    outputs = [score for i in range(4) for score in model([float(i)])]
    assert boxes(draw(outputs, depth=0))["MLP(1 → 3, linear)"] == ["30 nodes", "12 outputs"]
    few = draw(outputs[:3], depth=0)
    assert [key[0] for key in parts(few, "node")].count("n") == 3 + 1  # and the one input


def test_a_given_model_collects_its_parameters_used_outside_its_calls():
    model = nn.Neuron(3)
    out = sum((w * 2.0 for w in model.w), Value(0.0))
    assert boxes(draw(out, depth=0, model=model))["Neuron(3 → 1, relu)"] == ["3 nodes"]


class Half(nn.Module):
    """A module with a parameter that it does not use, and with a leaf from outside."""

    def __init__(self, outside):
        self.used, self.unused, self.shift = Value(2.0), Value(3.0), lambda: outside

    def __call__(self, x):
        return self.used * x + self.shift()


def test_parameters_outside_the_graph_do_not_change_the_boxes():
    outside = Value(5.0, label="outside")
    model = Half(outside)
    many = draw([model(float(i)) * 2.0 for i in range(11)], depth=0)
    assert boxes(many) == {
        "Half(2 parameters)": ["23 nodes"],  # 11 products, 11 sums, and what is used
        "arithmetic": ["* ×11", "11 nodes"],
        "11 constants": [],
    }
    assert ("outside", "Half(2 parameters)") in flows(many)
    whole = nn.Sequential(model, Half(outside))
    single = draw(model(Value(1.0, label="x")), depth=0, model=whole)
    assert boxes(single) == {
        "2 inputs": ["outside, x"],
        "parts.0": ["Half(2 parameters)", "2 nodes"],
    }


def test_parameters_computed_by_an_optimizer_are_drawn_once():
    """A differentiable optimizer makes parameters inner nodes of a graph that continues."""
    model = nn.Neuron(1, "linear")
    optimizer = nn.SGD(model, lr=Value(0.1, label="rate"), differentiable=True)
    first = nn.mse(model([1.0]), 2.0)
    optimizer.step(grad(first, optimizer.parameters, create_graph=True))
    loss = nn.mse(model([1.0]), 2.0)
    nodes = topological_order(loss)
    assert names(nodes)[model.b] == "b"
    for depth in (0, 1):
        assert total(draw(loss, depth=depth)) == len(nodes)


def test_drawing_a_folded_graph_changes_nothing():
    model = nn.MLP(2, [16, 16, 1])
    loss = moons_loss(model=model)
    loss.backward()
    before = [(node.data, node.grad) for node in topological_order(loss)]
    draw(loss).svg()
    assert [(node.data, node.grad) for node in topological_order(loss)] == before
    output = parts(draw(loss), "node")[f"n{len(before) - 1}"]
    assert output[2] == "grad 1"


class Shouting(nn.Module):
    """A module with a hostile repr."""

    def __init__(self):
        self.w = Value(1.0)

    def __call__(self, x):
        return (self.w * x).tanh() + 1.0

    def __repr__(self):
        return r'S<b>{"|"}\N</b>&amp;'


def test_the_repr_of_a_module_is_drawn_as_plain_text():
    drawing = draw(Shouting()(2.0), depth=0)
    assert boxes(drawing)["Shouting"] == [r'S<b>{"|"}\N</b>&amp;', "3 nodes"]


# --- a transformer --------------------------------------------------------------------------------


def test_a_gpt_reads_as_its_architecture():
    model = nn.GPT(5, 4, 4, 2, 1)
    loss = nn.cross_entropy_with_logits(model([4, 0, 1]), [0, 1, 4])
    loss.backward()
    source = draw(loss, model=model).source
    for name in ("token", "position", "norm", "logits", "cross_entropy_with_logits"):
        assert f"<B>{name}</B>" in source
    for part in ("attention_norm", "attention.W_q", "attention.W_k", "attention.W_v"):
        assert f"<B>blocks.0.{part}</B>" in source
    for part in ("attention.W_o", "mlp_norm", "mlp.W_1", "mlp.W_2"):
        assert f"<B>blocks.0.{part}</B>" in source
    for frame in ("MultiHeadAttention(4 → 4, 2 heads)", "FeedForward(4 → 16 → 4, relu)", "Head"):
        assert frame in source
    assert "Embedding(5 → 4)" in source
    folded = draw(loss, model=model, depth=0).source
    assert "<B>GPT(" in folded


def test_a_page_asks_each_module_for_its_repr_a_few_times_however_many_views_it_has(tmp_path):
    asked = []

    class Model(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(1, 1) for _ in range(12)]

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x[0]

        def __repr__(self):
            asked.append(self)
            return "Model()"

    steps(Model()([1.0])).save(tmp_path / "page.html")
    assert 1 <= len(asked) <= 3
