"""Is the decision boundary where the class changes, for all kinds of scores and targets?"""

import math
import warnings

import numpy as np
import pytest

import nn
from autograd import Value
from nn import Matrix, plot
from nn.data import Dataset

INPUTS = [[-1.0, 0.0], [1.0, 1.0], [0.5, -1.0], [-0.5, 0.5]]


class Scores(nn.Module):
    """Scores that depend on the first input only."""

    def __init__(self, *scores):
        self._scores = scores

    def __call__(self, rows):
        return Matrix([score(row[0]) for score in self._scores] for row in rows)


def crossings(figure):
    """The x1 coordinates of the line between the two classes."""
    lines = [c for c in figure.axes[0].collections if type(c).__name__ == "QuadContourSet"][1:]
    if not lines:
        return []
    points = np.concatenate([path.vertices for path in lines[0].get_paths()])
    return sorted({round(x, 9) for x in points[:, 0]})


def steep(x):
    return (20.0 * (x - 0.3)).sigmoid()


def inside(x):
    return 0.2 * (x - 0.3) + 0.4


SINGLE = [
    # (score, targets, options, where the class changes)
    (lambda x: x - 0.3, [-1, 1, 1, -1], {}, 0.3),
    (lambda x: x - 0.3, [0, 1, 1, 0], {}, 0.3),  # logits: some lie outside 0 .. 1
    (inside, [0, 1, 1, 0], {}, 0.8),  # probabilities: 0.5 is reached at 0.8
    (inside, [0, 1, 1, 0], {"threshold": 0.4}, 0.3),
    (lambda x: 0.2 * x + 0.2, [0, 1, 1, 0], {"loss": nn.binary_cross_entropy_with_logits}, -1.0),
    (lambda x: 0.2 * x + 0.2, [-1, 1, 1, -1], {}, -1.0),
    (lambda x: x, [0, 1, 1, 0], {"loss": nn.mse}, 0.5),
    (lambda x: x, [-1, 1, 1, -1], {"loss": nn.mse}, 0.0),
]


FORMS = [Dataset, lambda x, y: (np.array(x), np.array(y)), lambda *xy: xy]


@pytest.mark.parametrize(
    ("form", "score", "targets", "options", "place"),
    [(FORMS[i % 3], *case) for i, case in enumerate(SINGLE)],
)
def test_the_boundary_of_a_single_score_is_where_the_class_changes(
    form, score, targets, options, place
):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of Matplotlib's own code
        figure = plot.decision_boundary(Scores(score), form(INPUTS, targets), 21, **options)
    assert crossings(figure) == [pytest.approx(place, abs=1e-6)]
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == (["class -1", "class +1"] if -1 in targets else ["class 0", "class 1"])


def test_the_boundary_of_a_final_sigmoid_is_at_one_half():
    figure = plot.decision_boundary(Scores(steep), (INPUTS, [0, 1, 1, 0]), 61)
    assert crossings(figure) == [pytest.approx(0.3, abs=1e-3)]
    model = nn.MLP(2, [1], ["sigmoid"])
    model.layers[0].neurons[0].w[0].data, model.layers[0].neurons[0].w[1].data = 4.0, 0.0
    assert crossings(plot.decision_boundary(model, (INPUTS, [0, 1, 1, 0]), 41)) == [0.0]


@pytest.mark.parametrize(
    "targets",
    [
        [0, 1, 2, 0],
        np.array([0, 1, 2, 0]),
        np.eye(3)[[0, 1, 2, 0]].tolist(),
        np.eye(3)[[0, 1, 2, 0]],
    ],
)
def test_regions_and_markers_of_several_classes_have_the_same_colors(targets):
    model = Scores(lambda x: -x, lambda x: x, lambda x: x * 0.0 - 9.0)
    figure = plot.decision_boundary(model, (INPUTS, targets), 10)
    mesh, *points = figure.axes[0].collections
    cells = mesh.get_array().reshape(10, 10)
    assert cells[0].tolist() == [0.0] * 5 + [1.0] * 5
    for k, dots in enumerate(points):
        assert dots.get_facecolor()[0][:3] == pytest.approx(mesh.cmap(mesh.norm(k))[:3])
    assert [len(dots.get_offsets()) for dots in points] == [2, 1, 1]


def test_a_class_keeps_its_color_if_another_has_no_example():
    model = Scores(lambda x: -x, lambda x: x, lambda x: x * 0.0 - 9.0)
    figure = plot.decision_boundary(model, (INPUTS, [2, 1, 1, 2]), 10)
    mesh, one, two = figure.axes[0].collections
    assert one.get_facecolor()[0][:3] == pytest.approx(mesh.cmap(mesh.norm(1))[:3])
    assert two.get_facecolor()[0][:3] == pytest.approx(mesh.cmap(mesh.norm(2))[:3])


def test_no_two_of_many_classes_look_alike():
    count = 20
    model = Scores(*[lambda x, k=k: x * k for k in range(count)])
    figure = plot.decision_boundary(model, ([[0.1 * k, 0.5] for k in range(count)], range(count)))
    looks = {
        (tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes())
        for dots in figure.axes[0].collections[1:]
    }
    assert len(looks) == count


def test_a_score_of_nan_gives_no_class():
    def broken(x):
        return x - 0.3 if float(x) > -1.0 else Value(math.nan)

    several = plot.decision_boundary(Scores(broken, lambda x: -x), (INPUTS, [0, 1, 1, 0]), 10)
    cells = several.axes[0].collections[0].get_array().reshape(10, 10)
    assert np.ma.getmaskarray(cells)[0].tolist() == [True] * 2 + [False] * 8
    assert crossings(plot.decision_boundary(Scores(broken), (INPUTS, [0, 1, 1, 0]), 10)) == [0.3]


class OneByOne(nn.Module):
    """Takes one example, a pair, at a time."""

    def __call__(self, pair):
        x, _ = pair
        return x - 0.3


@pytest.mark.parametrize(
    "predict",
    [
        lambda model, inputs: [model(pair) for pair in inputs],
        lambda model, inputs: [[model(pair)] for pair in inputs],
        lambda model, inputs: np.array([float(model(pair)) for pair in inputs]),
        lambda model, inputs: [model(pair) if float(pair[0]) < 9.0 else 0.0 for pair in inputs],
    ],
)
def test_a_model_of_single_examples_is_drawn_with_predict(predict):
    model = OneByOne()
    figure = plot.decision_boundary(model, (INPUTS, [-1, 1, 1, -1]), 21, predict=predict)
    assert crossings(figure) == [pytest.approx(0.3, abs=1e-6)]
    assert model.training


def test_predict_may_return_several_scores():
    def predict(model, inputs):
        return [[-model(pair), model(pair)] for pair in inputs]

    figure = plot.decision_boundary(OneByOne(), (INPUTS, [0, 1, 1, 0]), 10, predict=predict)
    cells = figure.axes[0].collections[0].get_array().reshape(10, 10)
    assert cells[0].tolist() == [0.0] * 6 + [1.0] * 4  # x1 > 0.3 from the seventh point on


def test_too_few_predictions_are_an_error():
    with pytest.raises(ValueError, match="1 prediction for 5 inputs"):
        plot.decision_boundary(
            OneByOne(), (INPUTS, [0, 1, 1, 0]), 5, predict=lambda model, inputs: [0.5]
        )


def test_the_error_for_too_few_predictions_counts_those_of_the_row_that_has_too_few():
    def upper_half_fails(model, inputs):
        return [0.5] * (4 if inputs[0][1] > 0.5 else 5)

    with pytest.raises(ValueError, match="4 predictions for 5 inputs"):
        plot.decision_boundary(OneByOne(), (INPUTS, [0, 1, 1, 0]), 5, predict=upper_half_fails)


@pytest.mark.parametrize("figure", [None, "losses.png"])
def test_save_says_that_the_figure_comes_first(figure, tmp_path):
    with pytest.raises(TypeError, match=r"takes a figure, then the path, not (None|'losses.png')"):
        plot.save(figure, tmp_path / "losses.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"model": nn.MLP}, {"loss": "hinge"}, {"predict": "model"}])
def test_an_argument_of_a_decision_boundary_of_the_wrong_type_is_named(wrong):
    (name,) = wrong
    arguments = {"model": Scores(lambda x: x), "data": (INPUTS, [-1, 1, 1, -1])} | wrong
    with pytest.raises(TypeError, match=f"^{name} must be a (Module|function), not "):
        plot.decision_boundary(**arguments)


@pytest.mark.parametrize(
    ("resolution", "error"), [(1, ValueError), (0, ValueError), (2.0, TypeError)]
)
def test_a_resolution_must_be_a_whole_number_of_at_least_2(resolution, error):
    with pytest.raises(error, match="resolution must be"):
        plot.decision_boundary(Scores(lambda x: x), (INPUTS, [-1, 1, 1, -1]), resolution)
    plot.decision_boundary(Scores(lambda x: x), (INPUTS, [-1, 1, 1, -1]), 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((INPUTS, [0, 1, 2, 0]), "targets of single scores are"),
        ((INPUTS, [0, 1]), "4 inputs, but 2 targets"),
        (([[0.5, math.nan]], [0]), "input 0 has a number that is not finite: nan"),
        (([[1.0]], [0]), "two inputs, not 1"),
        (([0.5, 1.0], [0, 1]), "two inputs, not 1"),
        ((np.array([0.5, 1.0]), [0, 1]), "two inputs, not 1"),
        (([[0.5, 1.0], [1.0]], [0, 1]), "input 0 has 2 numbers, input 1 has 1"),
        (([], []), "two inputs, but there are none"),
    ],
)
def test_data_that_cannot_be_drawn_are_a_value_error(data, message):
    with pytest.raises(ValueError, match=message):
        plot.decision_boundary(Scores(lambda x: x), data, 5)
