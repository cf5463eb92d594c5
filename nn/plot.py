"""What does training look like? Figures of losses, decision boundaries and activation functions.

A notebook shows the Figure that a function returns; `figure.savefig(path)` saves it. It is not one
of pyplot's: `plt.show()` and `plt.savefig(path)` do not see it.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autograd import Value, grad
from autograd.extras import to_install
from autograd.files import write_bytes
from autograd.messages import require_whole
from autograd.text import counted, quoted
from nn import checks
from nn.activations import Elementwise, gelu, name_of, relu, sigmoid, silu, softplus, tanh
from nn.checkpoint import History
from nn.data import Dataset, listed, number_rows
from nn.evaluation import evaluating
from nn.metrics import classes, largest, score_rows, threshold_for, threshold_of
from nn.module import Module
from nn.predictions import Predict, in_pieces, predict_batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colors, which color-blind people can tell apart; classes also differ by marker.
# Each further 8 classes have the colors again, with other markers.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
MARKERS = "os^Dv*PX"


def loss_curve(history: History, steps: int | None = None, total: float = math.inf) -> Figure:
    """Plot loss, and accuracy if there is one, by epoch; by step if each epoch has `steps` steps.

    total: the total number of steps, if the last epoch may be shorter.
    """
    if not isinstance(history, History):
        raise TypeError(f"loss_curve takes what fit returns, a History, not {quoted(history)}")
    each = 1 if steps is None else require_whole("steps", steps)
    scores, held_out = history.accuracy, history.held_out_accuracy
    is_accuracy = all(0.0 <= score <= 1.0 for score in [*scores, *held_out])
    right_end = (0.89 if is_accuracy else 0.85) if scores else 0.97
    figure, axes = _panel(6.4, 4.0, right_end, above=0.56)
    epochs = [min((i + 1) * each, total) for i in range(len(history.loss))]
    axes.plot(epochs, history.loss, color=COLORS[0], label="loss")
    if history.held_out_loss:
        axes.plot(epochs, history.held_out_loss, color=COLORS[2], ls=":", label="loss, held out")
    axes.set_xlabel("epoch" if steps is None else "step")
    axes.set_ylabel("loss")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if not any(loss < 0.0 for loss in [*history.loss, *history.held_out_loss]):
        axes.update_datalim([(0.0, 0.0)], updatex=False)  # so that there is room above the line
        axes.set_ylim(bottom=0.0)
    lines = list(axes.lines)
    if scores:
        right = axes.twinx()
        name = "accuracy" if is_accuracy else "metric"
        right.plot(epochs, scores, color=COLORS[1], ls="--", label=f"{name}, training")
        if held_out:
            right.plot(epochs, held_out, color=COLORS[2], ls=":", label=f"{name}, held out")
        right.set_ylabel(name)
        right.ticklabel_format(axis="y", scilimits=(-3, 4))
        if is_accuracy:
            right.set_ylim(0.0, 1.02)
        lines += right.lines
    for line in lines:
        if alone := _without_neighbors(line.get_ydata()):
            line.set(marker="o", markevery=alone, clip_on=False)  # whole, if it is at the top
    # Above the axes and their powers of ten, where no line can run through it.
    place: Any = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 1.5}
    axes.legend(handles=lines, ncols=3, frameon=False, **place)
    return figure


def _without_neighbors(numbers: Sequence[float]) -> list[int]:
    """Return where a number has no finite number before or after it, so that no line shows it."""
    finite = [False, *map(math.isfinite, numbers), False]
    return [i for i in range(len(numbers)) if finite[i : i + 3] == [False, True, False]]


def decision_boundary(
    model: Module,
    data: Dataset | tuple[Sequence[Any], Sequence[Any]],
    resolution: int = 100,
    *,
    loss: Callable[..., Any] | None = None,
    threshold: float | None = None,
    predict: Predict | None = None,
) -> Figure:
    """Plot the class that a model with two inputs predicts at each point of a plane, and examples.

    A single score is shown as a shade, with a line at the threshold, where the class changes. With
    several scores the class is that of the largest; there is none if one is nan.

    Args:
        model: called on a batch Matrix (n x 2).
        data: (inputs, targets) as `fit` takes them: lists or arrays; targets of -1/+1, 0/1, class
            indices or one-hot rows.
        resolution: points in each direction, 2 or more.
        loss: the loss that the model was trained with, to set the threshold; see
            `nn.metrics.threshold_of`.
        threshold: a single score above it means class +1, or 1. By default that of the loss; else 0
            if a target is -1 or some score in the plane is outside 0 .. 1, and otherwise 0.5
            (probabilities).
        predict: (model, inputs) -> predictions, as for `fit`, for a model that is not called on a
            batch; the inputs are a list of n rows of 2.

    Raises ValueError if the examples do not have two inputs each, or for targets that are not
    classes of the model's outputs; TypeError if the model is not a Module.
    """
    checks.functions(model, {}, {"loss": loss, "predict": predict})
    resolution = require_whole("resolution", resolution, 2)
    inputs, marks = listed(data)
    points = [[float(x) for x in row] for row in number_rows(inputs)]
    if not points or len(points[0]) != 2:
        told = f"not {len(points[0])}" if points else "but there are none"
        raise ValueError(f"a decision boundary needs examples with two inputs, {told}")
    xs, ys = (_grid([row[k] for row in points], resolution) for k in (0, 1))
    require_matplotlib()  # it brings NumPy, which the predictions need
    with evaluating(model):
        rows = _rows(model, predict or predict_batch, xs, ys)
    outputs = len(rows[0][0])
    targets = classes(marks, outputs)
    figure, axes = _panel(5.6, 4.8, right=0.92 if outputs == 1 else 0.97)
    if outputs == 1:
        if threshold is None:
            threshold = threshold_of(loss, marks)
        _draw_scores(axes, xs, ys, [[s for (s,) in row] for row in rows], targets, threshold)
    else:
        _draw_regions(axes, xs, ys, rows)
    _draw_examples(axes, points, targets)
    return figure


def _rows(
    model: Module, predict: Predict, xs: list[float], ys: list[float]
) -> list[list[list[float]]]:
    """Return the scores at each point of a grid, row by row."""
    from autograd.jit import TraceError  # NumPy is slow to import

    def scores(predict: Predict) -> list[list[list[float]]]:
        return [score_rows(predict(model, [[x, y] for x in xs])) for y in ys]

    try:
        found = scores(in_pieces(predict, times=len(ys)))
    except TraceError:  # the model branches on its numbers
        found = scores(predict)
    for row in found:
        if len(row) != len(xs):
            raise ValueError(f"{counted(len(row), 'prediction')} for {counted(len(xs), 'input')}")
    return found


def _draw_scores(
    axes: Any,
    xs: list[float],
    ys: list[float],
    scores: list[list[float]],
    targets: list[int],
    threshold: float | None,
) -> None:
    """Draw the score as a shade, and a line at the threshold."""
    from matplotlib.ticker import MaxNLocator

    scores = [[s if math.isfinite(s) else math.nan for s in row] for row in scores]
    finite = [s for row in scores for s in row if math.isfinite(s)]
    cut = threshold_for(finite, targets, threshold)
    cut = 0.5 if cut is None else cut
    limit = max((abs(s - cut) for s in finite), default=0.0) or 1.0
    levels = [cut + limit * (k / 10 - 1) for k in range(21)]
    shade = axes.contourf(xs, ys, scores, levels=levels, cmap="RdBu_r", alpha=0.75)
    if finite and min(finite) <= cut < max(finite):  # else there is only one class
        axes.contour(xs, ys, scores, levels=[cut], colors="black", linewidths=1.2)
    bar = axes.figure.colorbar(shade, ax=axes, label="score", ticks=MaxNLocator(9))
    bar.formatter.set_powerlimits((-3, 4))


def _draw_regions(
    axes: Any, xs: list[float], ys: list[float], rows: list[list[list[float]]]
) -> None:
    """Draw the class of each point as a color."""
    from matplotlib.colors import ListedColormap

    outputs = len(rows[0][0])
    found = [[largest(cell) for cell in row] for row in rows]
    regions = [[math.nan if k is None else float(k) for k in row] for row in found]
    colors = ListedColormap([COLORS[k % len(COLORS)] for k in range(outputs)])
    # Cells, because contours would put class 1 between classes 0 and 2.
    axes.pcolormesh(xs, ys, regions, cmap=colors, vmin=-0.5, vmax=outputs - 0.5, alpha=0.35)


def _draw_examples(axes: Any, inputs: list[list[float]], targets: list[int]) -> None:
    """Draw the examples in the colors and markers of their classes, with a legend."""
    for target in sorted(set(targets)):
        points = [row for row, t in zip(inputs, targets, strict=True) if t == target]
        look = max(target, 0)  # class -1 looks like class 0
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            s=26,
            color=COLORS[look % len(COLORS)],
            marker=MARKERS[(look + look // len(COLORS)) % len(MARKERS)],
            edgecolors="white",
            linewidths=0.6,
            label=f"class {target:+d}" if -1 in targets else f"class {target}",
        )
    axes.legend(loc="best")  # where it covers the fewest examples
    axes.set_xlabel("x1")
    axes.set_ylabel("x2")


def activations(
    functions: Sequence[Elementwise] = (relu, sigmoid, tanh, softplus, gelu, silu),
) -> Figure:
    """Plot activation functions and their derivatives, computed by backpropagation."""
    if not (isinstance(functions, list | tuple) and functions and all(map(callable, functions))):
        what = f"a list of functions of a Value, such as [nn.relu], not {quoted(functions)}"
        raise TypeError(f"activations takes {what}")
    rows = -(-len(functions) // 3)
    figure = _figure(8.0, 2.6 * rows)
    figure.set_layout_engine("constrained")
    panels: Any = list(figure.subplots(rows, 3, squeeze=False).flat)
    for panel in panels[len(functions) :]:
        panel.set_axis_off()
    xs = [k / 20 for k in range(-80, 81)]
    for panel, function in zip(panels, functions, strict=False):
        points = [Value(x) for x in xs]
        values = [function(point) for point in points]
        slopes = [grad(v, [p])[0] for v, p in zip(values, points, strict=True)]
        panel.axhline(0.0, color="0.8", lw=0.8)
        panel.plot(xs, [float(v) for v in values], color=COLORS[0], label="g(x)")
        panel.plot(xs, [float(s) for s in slopes], color=COLORS[1], ls="--", label="g'(x)")
        panel.set_title(name_of(function), fontsize="medium")
        panel.legend(fontsize="small")
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file, atomically, in the format of the file's extension."""
    if not hasattr(figure, "savefig"):
        raise TypeError(f"plot.save takes a figure, then the path, not {quoted(figure)} first")
    content = io.BytesIO()
    figure.savefig(content, format=os.path.splitext(path)[1].lstrip(".") or "png", dpi=150)
    write_bytes(path, content.getvalue())


def require_matplotlib() -> type[Figure]:
    """Return matplotlib's Figure; if it is missing, the ImportError says how to install it."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ImportError(f"plots need matplotlib: {to_install('train')}") from None
    return Figure


def _figure(width: float, height: float) -> Figure:
    return require_matplotlib()(figsize=(width, height))


def _panel(width: float, height: float, right: float, above: float = 0.22) -> tuple[Figure, Any]:
    """Return a figure of this size in inches and its axes, with room for labels and short numbers.

    The margins are fixed, because a layout engine that measures all text takes longer than the
    drawing. `right`, a fraction of the width, is where the axes or their colorbar end; `above` is
    the room over them, in inches.
    """
    figure = _figure(width, height)
    left, bottom, top = 0.9 / width, 0.5 / height, 1.0 - above / height
    figure.subplots_adjust(left=left, bottom=bottom, right=right, top=top)
    axes = figure.subplots()
    axes.ticklabel_format(scilimits=(-3, 4))
    return figure, axes


def _grid(values: Sequence[float], resolution: int) -> list[float]:
    """Return `resolution` points from a bit below the smallest value to a bit above the largest."""
    low, high = min(values), max(values)
    margin = 0.15 * (high - low) or 1.0
    step = (high - low + 2.0 * margin) / (resolution - 1)
    return [low - margin + step * k for k in range(resolution)]
