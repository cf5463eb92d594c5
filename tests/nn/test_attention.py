"""Attention: by hand, compared with NumPy, masked and in blocks; first and second derivatives."""

import math
import re

import numpy as np
import numpy_transformer as reference
import pytest

import nn
from autograd import Value, detect_anomaly, gradcheck
from autograd.jit import jit
from nn import Matrix
from nn.matrix import total

CLOSE = {"rel": 1e-10, "abs": 1e-12}


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def weighed(matrix):
    return total((0.3 + 0.1 * i) * x for i, x in enumerate(x for row in matrix for x in row))


def weights_of(shape):
    return 0.3 + 0.1 * np.arange(np.prod(shape)).reshape(shape)


# --- attention ------------------------------------------------------------------------------------


def test_attention_by_hand():
    # Scores (1 0; 0 1) ln 2 sqrt(2) / sqrt(2) = ln 2 on the diagonal: weights 2/3 and 1/3.
    K = Matrix([[1.0, 0.0], [0.0, 1.0]])
    Q = K * (math.log(2.0) * math.sqrt(2.0))
    out, weights = nn.attention(Q, K, Matrix([[3.0], [6.0]]), return_weights=True)
    assert np.array(weights.data) == pytest.approx(np.array([[2, 1], [1, 2]]) / 3, rel=1e-15)
    assert np.array(out.data) == pytest.approx(np.array([[4.0], [5.0]]), rel=1e-15)


MASKS = {
    "none": None,
    "causal": np.tril(np.ones((4, 5), dtype=bool), 1),
    "padding": np.array([[1, 1, 1, 0, 0]] * 4),
    "an empty row": np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1] * 5]),
}


@pytest.mark.parametrize("kind", ["plain", "Values"])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_and_its_gradients_match_numpy(mask, kind):
    mask = MASKS[mask]
    shapes = [(4, 3), (5, 3), (5, 2)]
    parts = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
    ours = [Matrix(part) for part in parts]
    given = mask
    if mask is not None:
        given = mask.tolist() if kind == "plain" else Matrix(mask.astype(float))
    out, weights = nn.attention(*ours, given, return_weights=True)
    expected, expected_weights = reference.attention(*parts, mask)
    assert np.array(out.data) == pytest.approx(expected, **CLOSE)
    assert np.array(weights.data) == pytest.approx(expected_weights, **CLOSE)
    weighed(out).backward()

    def loss(flat):
        take = reference.Numbers(flat)
        out, _ = reference.attention(*(take(*shape) for shape in shapes), mask)
        return (out * weights_of(out.shape)).sum()

    slopes = reference.gradient(loss, np.concatenate([part.ravel() for part in parts]))
    grads = np.concatenate([np.array(part.grad).ravel() for part in ours])
    assert grads == pytest.approx(slopes, **CLOSE)


@pytest.mark.parametrize(("n", "m", "size"), [(400, 1, 1), (1, 400, 1), (1, 1, 400)])
def test_attention_to_equal_values_is_that_value_however_many_there_are(n, m, size):
    Q, K = numbers(n, size, seed=1), numbers(m, size, seed=2)
    out = nn.attention(Matrix(Q), Matrix(K), Matrix([[3.0]] * m), [[1] * m] * n)
    assert np.array(out.data) == pytest.approx(np.full((n, 1), 3.0), rel=1e-13)


@pytest.mark.parametrize("make", [lambda row: row, lambda row: [Value(x) for x in row]])
def test_a_fully_masked_row_gives_zeros_and_passes_no_gradient(make):
    Q, K, V = Matrix([[1.0], [2.0]]), Matrix([[3.0]]), Matrix([[5.0, 7.0]])
    with detect_anomaly():
        out, weights = nn.attention(Q, K, V, [make([0.0]), make([1.0])], return_weights=True)
        weighed(out).backward()
    assert out.data == [[0.0, 0.0], [5.0, 7.0]]
    assert weights.data == [[0.0], [1.0]]
    assert Q.grad == [[0.0], [0.0]]
    assert V.grad == [[pytest.approx(0.5), pytest.approx(0.6)]]


@pytest.mark.parametrize("counted", [0.5, -1e3])
@pytest.mark.parametrize("huge", [1e300, -1e300])
def test_masked_scores_may_be_huge(huge, counted):
    Q, K, V = Matrix([[1.0]]), Matrix([[huge], [counted]]), Matrix([[1.0], [2.0]])
    with detect_anomaly():
        out = nn.attention(Q, K, V, [[Value(0.0), Value(1.0)]])
        out[0][0].backward()
    assert out.data == [[2.0]]
    assert K.grad == [[0.0], [0.0]]
    assert V.grad == [[0.0], [1.0]]


def test_pairs_masked_by_plain_numbers_are_not_computed():
    from autograd import topological_order

    def ops(mask):
        parts = [Matrix(numbers(6, 2, seed=i)) for i in range(3)]
        return [node.op for node in topological_order(nn.attention(*parts, mask).sum())]

    assert len(ops(nn.causal(6))) < 0.7 * len(ops(None))
    assert "where" not in ops(nn.causal(6)) + ops(None)  # which only a mask of Values needs


def test_queries_keys_and_values_may_be_rows_of_numbers():
    parts = [numbers(2, 2, seed=i).tolist() for i in range(3)]
    assert nn.attention(*parts).data == nn.attention(*map(Matrix, parts)).data


def test_a_mask_can_be_an_argument_of_a_recorded_function():
    parts = [Matrix(numbers(3, 2, seed=i)) for i in range(3)]
    recorded = jit(lambda mask: nn.attention(*parts, mask))
    for mask in (nn.causal(3), [[1] * 3] * 3, [[0, 0, 0], [1, 0, 1], [0, 1, 0]]):
        plain = [[float(entry) for entry in row] for row in mask]
        assert np.array(recorded(plain).data) == pytest.approx(
            np.array(nn.attention(*parts, mask).data), rel=1e-14
        )
    assert len(recorded.programs) == 1


def test_a_recorded_function_rejects_masks_other_than_0_and_1():
    parts = [Matrix(numbers(2, 2, seed=i)) for i in range(3)]
    for mask in ([[1.0, 0.5], [1.0, 1.0]], [[1.0, 0.0], [2.0, 1.0]]):
        recorded = jit(lambda mask: nn.attention(*parts, mask))
        for usual in ([[1.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]) * 2:
            recorded(usual)
        with pytest.raises(ValueError, match="a mask holds 0 and 1") as eager:
            nn.attention(*parts, mask)
        with pytest.raises(ValueError, match=re.escape(str(eager.value))):
            recorded(mask)


def test_attention_is_differentiable_twice():
    for mask in (None, nn.causal(2)):

        def f(*x, mask=mask):
            return weighed(
                nn.attention(*(Matrix([x[i : i + 2], x[i + 2 : i + 4]]) for i in (0, 4, 8)), mask)
            )

        assert gradcheck(f, numbers(12).tolist(), order=2, atol=1e-7)


def test_the_causal_mask():
    assert nn.causal(3) == [[True, False, False], [True, True, False], [True, True, True]]
    assert nn.causal(1, 3) == [[True, True, True]]
    assert (nn.causal(0), nn.causal(2, 0)) == ([], [[], []])
    for sizes in ((-1,), (1, -1)):
        with pytest.raises(ValueError, match=r"^causal: (queries|keys) must be 0 or more, not -1"):
            nn.causal(*sizes)


@pytest.mark.parametrize(
    ("shapes", "mask", "error", "message"),
    [
        ([(2, 3), (2, 4), (2, 1)], None, ValueError, "queries of 3 numbers, but keys of 4"),
        ([(2, 4), (2, 3), (2, 1)], None, ValueError, "queries of 4 numbers, but keys of 3"),
        ([(2, 3), (2, 3), (4, 1)], None, ValueError, "2 keys, but 4 values"),
        ([(2, 3), (4, 3), (2, 1)], None, ValueError, "4 keys, but 2 values"),
        ([(2, 1), (3, 1), (3, 1)], [[1, 1, 1]], ValueError, "mask of 1 x 3 for 2 queries and 3"),
        ([(1, 1), (1, 1), (1, 1)], [[1, 1]], ValueError, "mask of 1 x 2 for 1 query and 1 key"),
        ([(1, 1), (1, 1), (1, 1)], [[1], [1]], ValueError, "mask of 2 x 1 for 1 query and 1 key"),
        ([(2, 1), (2, 1), (2, 1)], [[1, 1], [1]], ValueError, "mask of 2 x 1/2 for 2 queries"),
        ([(1, 1), (1, 1), (1, 1)], [[0.5]], ValueError, "a mask holds 0 and 1, not 0.5"),
        ([(1, 1), (1, 1), (1, 1)], [["x"]], ValueError, "a mask holds 0 and 1, not 'x'"),
        ([(1, 1), (1, 1), (1, 1)], [1], TypeError, "a mask is a table"),
        ([(1, 1), (1, 1), (1, 1)], "11", TypeError, "a mask is a table"),
        ([(1, 1), (1, 1), (1, 1)], np.array(1), TypeError, "a mask is a table"),
    ],
)
def test_shapes_that_do_not_fit_and_invalid_masks_are_rejected(shapes, mask, error, message):
    with pytest.raises(error, match=f"attention: .*{message}"):
        nn.attention(*(Matrix(numbers(*shape)) for shape in shapes), mask)


@pytest.mark.parametrize("sizes", [("a",), (None,), (2.0,), (2, "a"), (True,), (2, np.ones(2))])
def test_the_sizes_of_a_causal_mask_must_be_whole_numbers(sizes):
    with pytest.raises(TypeError, match=r"^causal: (queries|keys) must be a whole number, not "):
        nn.causal(*sizes)


# --- several heads, and blocks --------------------------------------------------------------------


def check_against_numpy(model, call, expected, rows):
    """Compare the values, and the gradients of every parameter and input."""
    x = numbers(rows, 4)
    inputs = Matrix(x)
    out = call(model, inputs)
    start = np.array([p.data for p in model.parameters()])
    assert np.array(out.data) == pytest.approx(expected(reference.Numbers(start), x), **CLOSE)
    weighed(out).backward()

    def loss(flat):
        out = expected(reference.Numbers(flat[: len(start)]), flat[len(start) :].reshape(x.shape))
        return (out * weights_of(out.shape)).sum()

    slopes = reference.gradient(loss, np.concatenate([start, x.ravel()]))
    grads = [p.grad for p in model.parameters()] + np.array(inputs.grad).ravel().tolist()
    assert grads == pytest.approx(slopes, **CLOSE)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention_matches_numpy(heads, masked):
    mask = np.tril(np.ones((3, 3), dtype=bool)) if masked else None
    check_against_numpy(
        nn.MultiHeadAttention(4, heads),
        lambda model, x: model(x, nn.causal(3) if masked else None),
        lambda take, x: reference.multi_head_attention(take, x, heads, mask),
        rows=3,
    )


def test_a_feed_forward_network_by_hand():
    mlp = nn.FeedForward(1, expansion=2)
    for weight, number in zip(mlp.parameters(), [1.0, -2.0, 3.0, 4.0], strict=True):
        weight.data = number
    # 3 relu(1) + 4 relu(-2), and 3 relu(-1) + 4 relu(2)
    assert mlp(Matrix([[1.0], [-1.0]])).data == [[3.0], [8.0]]


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_a_transformer_block_matches_numpy(norm):
    model = nn.TransformerBlock(4, 2, norm)
    for i, parameter in enumerate(model.parameters()):
        parameter.data += 0.1 * math.sin(i)  # gains and biases other than 1 and 0

    mask = np.tril(np.ones((3, 3), dtype=bool))
    check_against_numpy(
        model,
        lambda model, x: model(x, nn.causal(3)),
        lambda take, x: reference.block(take, x, 2, mask, norm),
        rows=3,
    )


def test_a_block_is_differentiable_twice():
    model = nn.TransformerBlock(2, 2, activation="gelu", std=0.4)
    parameters = model.parameters()

    def f(*values):
        for i in range(len(parameters)):
            parameters[i] = values[i]
        return weighed(model(Matrix([values[-4:-2], values[-2:]]), nn.causal(2)))

    point = [p.data for p in parameters] + numbers(4).tolist()
    assert gradcheck(f, point, rtol=1e-5, atol=1e-7)
    assert gradcheck(lambda *x: weighed(model(Matrix([x[:2], x[2:]]))), point[-4:], order=2)


def test_the_number_and_names_of_the_parameters():
    block = nn.TransformerBlock(8, 2)
    assert len(block.parameters()) == 12 * 8 * 8
    assert len(nn.FeedForward(8).parameters()) == 2 * (4 * 8) * 8
    assert len(nn.TransformerBlock(8, 2, "layer").parameters()) == 12 * 64 + 4 * 8
    names = [name for name, _ in block.named_parameters()]
    assert names[0] == "attention.W_q.weights.0.0"
    assert names[-1] == "mlp.W_2.weights.7.31"


def test_initial_weights_have_the_requested_standard_deviation():
    numbers = np.array([p.data for p in nn.TransformerBlock(16, 4, std=0.08).parameters()])
    assert numbers.std() == pytest.approx(0.08, rel=0.05)
    assert abs(numbers.mean()) < 0.005


def test_no_output_depends_on_later_positions():
    model = nn.TransformerBlock(4, 2)
    x = numbers(5, 4)
    before = model(Matrix(x), nn.causal(5)).data
    x[3] += 1.0
    after = model(Matrix(x), nn.causal(5)).data
    assert after[:3] == before[:3]
    assert after[3] != before[3]
    assert after[4] != before[4]


def test_padding_changes_nothing():
    model = nn.MultiHeadAttention(4, 2)
    x = numbers(5, 4)
    mask = [[1, 1, 1, 0, 0]] * 5
    alone = np.array(model(Matrix(x[:3])).data)
    assert np.array(model(Matrix(x), mask).data)[:3] == pytest.approx(alone, rel=1e-14)
    x[3:] = 100.0
    assert np.array(model(Matrix(x), mask).data)[:3] == pytest.approx(alone, rel=1e-14)


def test_cached_keys_and_values_give_the_same_result_as_one_call():
    model = nn.TransformerBlock(4, 2)
    x = Matrix(numbers(5, 4))
    whole = model(x, nn.causal(5)).data
    cache = ([], [])
    parts = [model(Matrix(x.rows[a:b]), nn.causal(b - a, b), cache) for a, b in ((0, 2), (2, 5))]
    assert [row for part in parts for row in part.data] == whole
    with pytest.raises(ValueError, match="mask of 1 x 1 for 1 query and 6 keys"):
        model(Matrix(numbers(1, 4)), nn.causal(1), cache)
    assert len(cache[0]) == len(cache[1]) == 5  # as before the error


def test_return_weights_gives_the_weights_of_each_head():
    model = nn.MultiHeadAttention(4, 2)
    x = Matrix(numbers(3, 4))
    out, weights = model(x, nn.causal(3), return_weights=True)
    assert out.data == model(x, nn.causal(3)).data
    assert len(weights) == 2
    for head in weights:
        assert np.array(head.data).sum(axis=1) == pytest.approx(np.ones(3), rel=1e-14)
        assert head.data[0] == [1.0, 0.0, 0.0]


SQUARE, attend = Matrix([[1.0, 0.0], [0.0, 1.0]]), nn.MultiHeadAttention(2, 1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.MultiHeadAttention(4, 3), ValueError, "3 heads do not divide embedding 4"),
        (lambda: nn.MultiHeadAttention(4, 0), ValueError, "heads must be 1 or more"),
        (lambda: nn.MultiHeadAttention(4, 2.0), TypeError, "heads must be a whole number"),
        (
            lambda: nn.TransformerBlock(4, 2, "batch"),
            ValueError,
            "there is no norm 'batch', only rms, layer",
        ),
        (lambda: nn.TransformerBlock(4, 2)(Matrix([[1.0]])), ValueError, "RMSNorm of 4 .* got 1"),
        (lambda: nn.FeedForward("4"), TypeError, "embedding must be a whole number, not '4'"),
        (lambda: nn.FeedForward(2)([1.0, 2.0]), TypeError, "a Matrix takes rows of numbers; row 0"),
        (lambda: nn.MultiHeadAttention(2, 1)([1.0]), TypeError, "takes rows of numbers; row 0"),
        (lambda: attend(SQUARE, SQUARE, SQUARE), TypeError, r"from one x: write \(x, mask\), not"),
        (lambda: attend(*[SQUARE.data] * 3), TypeError, r"a pair of lists of rows, not \[\[1.0"),
        (lambda: nn.FeedForward(4, expansion=0), ValueError, "expansion must be 1 or more, not 0"),
    ],
)
def test_invalid_sizes_and_inputs_are_rejected(make, error, message):
    with pytest.raises(error, match=message):
        make()
