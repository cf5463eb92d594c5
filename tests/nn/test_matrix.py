"""Matrix: arithmetic and gradients compared with NumPy, indexing, the norm, bad input."""

import math
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import nn
from autograd import Value, grad, maximum, minimum
from autograd.jit import TraceError, jit
from nn import Matrix
from tests.examples import examples

SIZES = st.integers(1, 4)
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv]
NUMBERS = st.floats(0.125, 10.0) | st.floats(-10.0, -0.125)  # not 0, and not near it, for division


def array(draw, *shape):
    return draw(arrays(np.float64, shape, elements=NUMBERS))


@st.composite
def operands(draw):
    """A 2-d array, and one that NumPy broadcasts with it."""
    m, n = draw(SIZES), draw(SIZES)
    other = draw(st.sampled_from([(m, n), (1, n), (m, 1), (1, 1), (n,)]))
    return array(draw, m, n), array(draw, *other)


@st.composite
def dense_layers(draw):
    """X, W, b and dL/dY of a layer, of random sizes."""
    n, nin, nout = draw(SIZES), draw(SIZES), draw(SIZES)
    sizes = [(n, nin), (nin, nout), (nout,), (n, nout)]
    return [array(draw, *size) for size in sizes]


# --- elementwise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATORS)
@given(operands())
def test_elementwise_arithmetic_matches_numpy(op, pair):
    a, b = pair
    expected = op(a, b).tolist()
    assert op(Matrix(a), b).data == expected
    assert op(Matrix(a), b.tolist()).data == expected
    if b.ndim == 2:
        assert op(Matrix(a), Matrix(b)).data == expected
        assert op(Matrix(b), Matrix(a)).data == op(b, a).tolist()


@pytest.mark.parametrize("op", OPERATORS[:3])
@given(operands())
def test_a_matrix_may_be_to_the_right_of_an_array_or_a_list(op, pair):
    a, b = pair
    expected = op(b, a).tolist()
    assert op(b, Matrix(a)).data == expected
    assert op(b.tolist(), Matrix(a)).data == expected


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("number", [3, 2.5, np.float64(2.5), np.array(2.5), Value(2.5), True])
def test_a_scalar_of_any_type_may_be_on_either_side(op, number):
    a = [[1.0, -2.0], [4.0, 0.5]]
    plain = float(number)
    assert op(Matrix(a), number).data == [[op(x, plain) for x in row] for row in a]
    if op is not operator.truediv:
        assert op(number, Matrix(a)).data == [[op(plain, x) for x in row] for row in a]


@pytest.mark.parametrize(
    "numerator", [2, Value(2.0), [2, 2], [np.array(2)] * 2, np.array([[2, 2]])]
)
def test_a_number_or_an_array_can_be_divided_by_a_matrix(numerator):
    assert (numerator / Matrix([[1, 4]])).data == [[2.0, 0.5]]


def test_a_column_times_a_row_is_a_table():
    table = Matrix([[1], [2]]) * Matrix([[10, 20, 30]])
    assert table.data == [[10.0, 20.0, 30.0], [20.0, 40.0, 60.0]]


def test_matrices_with_hundreds_of_rows_or_columns():
    row = Matrix([[2.0] * 400])
    assert (row + row).data == [[4.0] * 400]
    assert (row.T * row.T).data == [[4.0]] * 400
    assert (row @ row.T).data == [[1600.0]]


def test_a_broadcast_row_gets_the_sum_of_the_gradients_of_the_rows():
    bias = [Value(1.0), Value(2.0)]
    (Matrix([[1, 2], [3, 4], [5, 6]]) * bias).sum().backward()
    assert [b.grad for b in bias] == [1 + 3 + 5, 2 + 4 + 6]


def test_minus_and_map():
    a = Matrix([[1, -2]])
    assert (-a).data == [[-1.0, 2.0]]
    assert abs(a).data == [[1.0, 2.0]]
    assert a.map(lambda x: x * x).data == [[1.0, 4.0]]
    assert a.map(lambda x: 7).data == [[7.0, 7.0]]


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "relu", "detach"])
def test_the_error_for_a_method_of_value_says_to_map_it(name):
    a = Matrix([[1.0, 4.0]])
    with pytest.raises(AttributeError, match=rf"'{name}': write M\.map\(Value\.{name}\)$"):
        getattr(a, name)
    a.map(getattr(Value, name))
    for other in ("expp", "add", "assign", "__array__"):
        with pytest.raises(AttributeError, match=f"'Matrix' object has no attribute '{other}'$"):
            getattr(a, other)


def _numbers(found):
    """The numbers of a Matrix, of a Value or of a list of Values."""
    return [_numbers(each) for each in found] if isinstance(found, list) else found.data


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("clamp", lambda A: A.clip(1.0, 2.0)),
        ("flatten", np.ravel),
        ("log_softmax", lambda A: A - np.log(np.exp(A).sum(1, keepdims=True))),
        ("min", np.min),
        ("softmax", lambda A: np.exp(A) / np.exp(A).sum(1, keepdims=True)),
        ("square", np.square),
        ("std", lambda A: A.std(0, keepdims=True)),
        ("transpose", np.transpose),
        ("var", lambda A: A.var(0, keepdims=True)),
    ],
)
def test_the_error_for_a_method_of_tensors_says_what_computes_the_same(name, method):
    M = Matrix([[1.0, 4.0], [2.5, 0.5], [0.0, 3.0]])
    with pytest.raises(AttributeError, match=f"'Matrix' object has no attribute '{name}'") as error:
        getattr(M, name)
    known = {"M": M, "nn": nn, "Value": Value, "low": 1.0, "high": 2.0}
    advice = str(error.value).partition(": write ")[2]
    written = eval(advice, {**known, "maximum": maximum, "minimum": minimum})
    assert np.allclose(_numbers(written), method(np.array(M.data)), rtol=1e-14)


def test_the_error_for_a_misspelt_method_of_a_matrix_lets_python_find_a_similar_name():
    M = Matrix([[1.0]])
    with pytest.raises(AttributeError, match=r"no attribute 'maen'$") as error:
        assert M.maen
    assert (error.value.name, error.value.obj) == ("maen", M)


def test_the_error_for_a_backward_of_a_matrix_says_to_take_a_loss():
    with pytest.raises(AttributeError, match=r"1 x 2 has no backward\(\).* M\.mean\(\) or"):
        Matrix([[1.0, 4.0]]).backward()


# --- products -------------------------------------------------------------------------------------


@given(dense_layers())
def test_the_matrix_product_matches_numpy(parts):
    x, w, _, _ = parts
    for product in (Matrix(x) @ Matrix(w), Matrix(x) @ w, x @ Matrix(w), x.tolist() @ Matrix(w)):
        assert np.array(product.data) == pytest.approx(x @ w, rel=1e-13, abs=1e-12)


ACTIVATIONS = {
    "linear": lambda z: np.ones_like(z),
    "relu": lambda z: (z > 0).astype(float),
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "sigmoid": lambda z: np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=examples(30))
@given(dense_layers())
def test_gradients_through_a_dense_layer_match_the_closed_forms(name, parts):
    x, w, b, upstream = parts
    inputs, weights, bias = Matrix(x), Matrix(w), [Value(number) for number in b]
    out = getattr(nn, name)(inputs @ weights + bias)
    (out * upstream).sum().backward()  # makes dL/dY the array `upstream`
    # NumPy may add in another order; a z within rounding of relu's kink may fall to either side.
    z = np.array((inputs @ weights + bias).data)
    dz = upstream * ACTIVATIONS[name](z)
    assert np.array(weights.grad) == pytest.approx(x.T @ dz, rel=1e-11, abs=1e-10)
    assert [v.grad for v in bias] == pytest.approx(list(dz.sum(axis=0)), rel=1e-11, abs=1e-10)
    assert np.array(inputs.grad) == pytest.approx(dz @ w.T, rel=1e-11, abs=1e-10)


# --- sums, transposes, indexing -------------------------------------------------------------------


@given(dense_layers())
def test_sums_match_numpy(parts):
    x = parts[0]
    a = Matrix(x)
    assert a.sum().data == pytest.approx(x.sum(), rel=1e-12, abs=1e-12)
    assert a.sum(axis=0).shape == (1, x.shape[1])
    assert a.sum(axis=1).shape == (x.shape[0], 1)
    assert np.array(a.sum(0).data) == pytest.approx(x.sum(0, keepdims=True), rel=1e-12, abs=1e-12)
    assert np.array(a.sum(1).data) == pytest.approx(x.sum(1, keepdims=True), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_numpys_function_of_a_matrix_is_its_method(name, axis):
    M = Matrix([[1.0, 4.0], [2.5, 0.5], [0.0, 3.0]])
    assert _numbers(getattr(np, name)(M, axis=axis)) == _numbers(getattr(M, name)(axis))


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
@pytest.mark.parametrize("others", [{"keepdim": True}, {"dim": 1}, {"dim": None}, {"dtype": float}])
def test_the_error_for_an_argument_of_tensors_says_what_to_write(name, others):
    M = Matrix([[1, 2]])
    message = rf"{name} takes an axis alone, not {', '.join(others)}: write M\.{name}\(0\)"
    with pytest.raises(TypeError, match=message):
        getattr(M, name)(**others)


@pytest.mark.parametrize("axis", [2, -1, "0", 0.5, np.ones(2)])
def test_a_sum_over_an_invalid_axis_is_a_value_error(axis):
    with pytest.raises(ValueError, match="axis"):
        Matrix([[1, 2]]).sum(axis)


def test_the_transpose_holds_the_same_values_with_indices_swapped():
    a = Matrix([[1, 2, 3], [4, 5, 6]])
    assert a.T.data == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    assert a.T[2, 1] is a[1, 2]


def test_values_are_kept_and_indexed_by_row_and_column():
    v = Value(5.0)
    a = Matrix([[1, 2, 3], [4, v, 6]])
    assert a.shape == (2, 3)
    assert len(a) == 2
    assert a[1, 1] is v
    assert a[1][1] is v
    assert a[-1, -2] is v
    assert [[x.data for x in row] for row in a] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert list(a)[1][1] is v
    with pytest.raises(IndexError):
        a[2]
    with pytest.raises(IndexError):
        a[0, 3]


NUMBERED = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def test_a_column_is_a_list_of_its_values():
    a = Matrix([[1, 2, 3], [4, 5, 6]])
    assert [x.data for x in a[:, 0]] == [1.0, 4.0]
    assert a[:, 0][1] is a[1, 0]


@pytest.mark.parametrize(
    "index",
    [
        *[0, 1, -1, -2, np.int64(1), (1, 2), (-1, -1), (0, np.int64(2))],
        *[(slice(None), 0), (slice(None), -1), (slice(1), 2)],
        *[(0, slice(None)), (0, slice(1, None)), (-1, slice(None, None, 2))],
        *[slice(0, 1), slice(None), slice(None, None, -1), slice(1, 9)],
        *[(slice(None), slice(1, None)), (slice(1), slice(2)), (slice(1, 2), slice(None, None, 2))],
    ],
    ids=repr,
)
def test_indexing_matches_numpy(index):
    found, expected = Matrix(NUMBERED)[index], np.array(NUMBERED)[index]
    kind = (Value, list, Matrix)[np.ndim(expected)]
    assert type(found) is kind
    numbers = [x.data for x in found] if kind is list else found.data
    assert np.array_equal(numbers, expected)


@pytest.mark.parametrize(
    "index",
    [
        1.0,
        True,
        None,
        ...,
        "0",
        [0],
        (0, 1.0),
        (0, True),
        (None, 0),
        (slice(None), ...),
        slice(0.5, 2),
        slice(None, None, 0),
        (slice(None), slice("a", None)),
    ],
    ids=repr,
)
def test_an_invalid_index_is_a_type_error(index):
    with pytest.raises(TypeError, match="selected by an integer or a slice of integers, not"):
        Matrix(NUMBERED)[index]


@pytest.mark.parametrize("index", [[1, 0], np.array([1, 0]), ([1, 0], [0, 2]), (range(2), [0, 2])])
def test_the_error_for_several_indices_says_what_to_write(index):
    M, rows, columns = Matrix(NUMBERED), [1, 0], [0, 2]
    with pytest.raises(TypeError, match="selected by an integer") as error:
        M[index]
    assert ": write [M[i] for i in rows], or [M[i, j] for i, j in zip(rows, columns)]" in str(
        error.value
    )
    assert [M[i] for i in rows] == [M.rows[1], M.rows[0]]
    assert [M[i, j] for i, j in zip(rows, columns, strict=True)] == [M.rows[1][0], M.rows[0][2]]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (2, "no row 2 in a Matrix of 2 x 3"),
        (-3, "no row -3 in a Matrix of 2 x 3"),
        ((0, 3), "no column 3 in a Matrix of 2 x 3"),
        ((slice(None), 3), "no column 3 in a Matrix of 2 x 3"),
        ((2, slice(None)), "no row 2 in a Matrix of 2 x 3"),
        ((0, 0, 0), "got 3 indices"),
        ((0,), "got 1 indices"),
        ((), "got 0 indices"),
    ],
)
def test_an_index_out_of_range_is_an_index_error(index, message):
    with pytest.raises(IndexError, match=message):
        Matrix(NUMBERED)[index]


@pytest.mark.parametrize(
    ("index", "what"),
    [
        *[(slice(2, None), "row"), (slice(1, 1), "row"), ((slice(5, 9), 0), "row")],
        *[((0, slice(3, None)), "column"), ((slice(None), slice(0, 0)), "column")],
    ],
)
def test_a_slice_that_selects_nothing_is_a_value_error(index, what):
    with pytest.raises(ValueError, match=f"selects no {what} of a Matrix of 2 x 3"):
        Matrix(NUMBERED)[index]


def test_slices_hold_the_values_of_the_matrix_and_not_copies():
    a = Matrix(NUMBERED)
    (a[:, 1:].sum() + a[0:1].sum()).backward()
    assert a.grad == [[1.0, 2.0, 2.0], [0.0, 1.0, 1.0]]


@given(dense_layers())
def test_means_and_maxima_match_numpy(parts):
    x = parts[0]
    for name in ("mean", "max"):
        ours, theirs = getattr(Matrix(x), name), getattr(x, name)
        assert ours().data == pytest.approx(theirs(), rel=1e-12, abs=1e-12)
        for axis in (0, 1):
            expected = theirs(axis, keepdims=True)
            assert np.array(ours(axis).data) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["mean", "max"])
@pytest.mark.parametrize("axis", [2, -1, "0", 0.5, np.ones(2)])
def test_a_mean_or_maximum_over_an_invalid_axis_is_a_value_error(name, axis):
    with pytest.raises(ValueError, match=f"{name}: axis"):
        getattr(Matrix([[1, 2]]), name)(axis)


def test_equal_largest_entries_share_the_gradient_as_maximum_does():
    a = Matrix([[1.0, 5.0, 5.0], [2.0, 2.0, 2.0], [3.0, 0.0, 1.0]])
    a.max(axis=1).sum().backward()
    assert a.grad == [[0.0, 0.5, 0.5], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0]]


@given(dense_layers())
def test_powers_match_numpy(parts):
    x = parts[0]
    positive = np.abs(x)
    cases = [
        ((Matrix(x) ** 2).data, x**2),
        ((Matrix(x) ** 3.0).data, x**3),
        ((Matrix(positive) ** Value(0.5)).data, positive**0.5),
        ((2 ** Matrix(x)).data, 2.0**x),
        ((Matrix(positive) ** Matrix(x)).data, positive**x),
        ((Matrix(positive) ** x[0]).data, positive ** x[0]),
        ((positive[:1].tolist() ** Matrix(x)).data, positive[:1] ** x),
    ]
    for found, expected in cases:
        assert np.array(found) == pytest.approx(expected, rel=1e-13)


def test_a_plain_exponent_is_not_differentiated():
    a = Matrix([[-2.0, 0.0]])
    squares = a**2
    assert squares[0, 0].op == "pow"
    squares.sum().backward()
    assert a.grad == [[-4.0, 0.0]]
    assert (Matrix([[-2.0]]) ** np.array(2)).data == [[4.0]]


@pytest.mark.parametrize("other", ["ab", None, 1j, object()])
def test_a_base_or_exponent_of_another_type_is_a_type_error(other):
    with pytest.raises(TypeError):
        Matrix([[1, 2]]) ** other
    with pytest.raises(TypeError):
        other ** Matrix([[1, 2]])


# --- the Euclidean norm ---------------------------------------------------------------------------


def test_norm_by_hand():
    x = [Value(3.0), Value(-4.0), Value(12.0)]
    length = nn.norm(x)
    length.backward()
    assert length.data == 13.0
    assert [v.grad for v in x] == pytest.approx([3 / 13, -4 / 13, 12 / 13], rel=1e-15)
    assert nn.norm(np.array([3.0, 4.0])).data == nn.norm((3, 4)).data == 5.0
    assert nn.norm(Matrix([[3, 4], [5, 12]])).data == [[5.0], [13.0]]
    assert nn.norm([-2.5]).data == 2.5


def test_the_distance_of_equal_points_has_first_and_second_derivatives_of_0():
    a, b = [Value(1.0), Value(-2.0)], [Value(1.0), Value(-2.0)]
    both = [*a, *b]
    distance = nn.norm([x - y for x, y in zip(a, b, strict=True)])
    assert distance.data == 0.0
    slopes = grad(distance, both, create_graph=True)
    assert [g.data for g in slopes] == [0.0] * 4
    for slope in slopes:
        assert [g.data for g in grad(slope, both)] == [0.0] * 4
    distance.backward()
    assert [v.grad for v in both] == [0.0] * 4
    # Added to another norm it changes no gradient: that of (3, 4) is still (0.6, 0.8).
    x = [Value(3.0), Value(4.0)]
    (nn.norm(x) + nn.norm([x[0] - x[0], x[1] - 4.0])).backward()
    assert [v.grad for v in x] == pytest.approx([0.6, 0.8], rel=1e-15)


def test_the_norm_at_0_has_derivatives_of_0_of_every_order():
    x = [Value(0.0), Value(-0.0)]
    derivative = nn.norm(x)
    for which in (0, 1, 0, 0, 1):
        (derivative,) = grad(derivative, [x[which]], create_graph=True)
        assert derivative.data == 0.0


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1.0, 1e200, 3e307])
def test_norm_neither_overflows_nor_underflows(size):
    x = [Value(3 * size), Value(4 * size)]
    length = nn.norm(x)
    length.backward()
    assert length.data == pytest.approx(5 * size, rel=1e-15)
    assert [v.grad for v in x] == pytest.approx([0.6, 0.8], rel=1e-15)


def test_norm_of_inf_nan_and_an_empty_vector():
    assert nn.norm([-math.inf, 1.0]).data == math.inf
    assert math.isnan(nn.norm([math.nan, 0.0]).data)
    with pytest.raises(ValueError, match="norm of an empty vector"):
        nn.norm([])
    with pytest.raises(TypeError, match="norm takes a vector of numbers"):
        nn.norm(3.0)


def test_numbers_become_leaves_that_receive_a_gradient():
    a = Matrix([[3.0, math.nan]])
    (a[0, 0] ** 2).backward()
    assert a.grad == [[6.0, 0.0]]


def test_a_matrix_accepts_numpy_arrays_tuples_and_generators():
    for rows in (np.array([[1, 2]]), ((1, 2),), ((x for x in (1, 2)) for _ in range(1))):
        assert Matrix(rows).data == [[1.0, 2.0]]


def test_the_mean_of_a_matrix_is_that_of_all_entries():
    M = Matrix([[1.0, 2.0], [3.0, 6.0]])
    nn.mean(M).backward()
    assert nn.mean(M).data == M.mean().data == 3.0
    assert M.grad == [[0.25, 0.25], [0.25, 0.25]]


@pytest.mark.parametrize("make", [list, np.array, Matrix])
def test_the_mean_of_any_rows_is_that_of_all_entries(make):
    assert nn.mean(make([[Value(1.0), Value(2.0)], [Value(3.0), Value(6.0)]])).data == 3.0


def test_mean_of_values_and_of_an_empty_list():
    assert nn.mean(Value(x) for x in (1.0, 2.0, 6.0)).data == 3.0
    assert nn.mean({"a": Value(1.0), "b": Value(3.0)}.values()).data == 2.0
    with pytest.raises(TypeError, match="mean takes a vector of numbers or a batch"):
        nn.mean(Value(1.0))
    with pytest.raises(TypeError, match="a real number, not None"):
        nn.mean([None, None])
    with pytest.raises(ValueError, match="no values"):
        nn.mean([])


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (3, 1), (1, 2), (3, 2), (4,)])
def test_both_mismatched_shapes_are_named(op, shape):
    rows = " x ".join(map(str, shape if len(shape) == 2 else (1, *shape)))
    with pytest.raises(ValueError, match=f"2 x 3 and {rows}"):
        op(Matrix(np.ones((2, 3))), np.ones(shape))
    with pytest.raises(ValueError, match=f"{rows} and 2 x 3"):
        op(Matrix(np.ones((1, *shape)[-2:])), np.ones((2, 3)))


@pytest.mark.parametrize(("left", "right"), [((2, 3), (2, 3)), ((1, 2), (1, 2)), ((2, 1), (2, 1))])
def test_both_mismatched_shapes_of_a_product_are_named(left, right):
    names = f"{left[0]} x {left[1]} and {right[0]} x {right[1]}"
    with pytest.raises(ValueError, match=f"@.*{names}"):
        Matrix(np.ones(left)) @ Matrix(np.ones(right))
    with pytest.raises(ValueError, match=f"@.*{names}"):
        np.ones(left) @ Matrix(np.ones(right))


@pytest.mark.parametrize("rows", [[[1, 2], [3]], [[1], [2, 3]], [[1], []]])
def test_ragged_rows_are_a_value_error(rows):
    message = f"row 0 has {len(rows[0])} entr(y|ies), row 1 has {len(rows[1])}"
    with pytest.raises(ValueError, match=message):
        Matrix(rows)
    with pytest.raises(ValueError, match=message):
        Matrix([[1, 2]]) + rows


@pytest.mark.parametrize("rows", [[], [[]], [[], []], np.ones((0, 2)), np.ones((2, 0))])
def test_a_matrix_without_rows_or_columns_is_a_value_error(rows):
    with pytest.raises(ValueError, match="at least one row and one column"):
        Matrix(rows)


@pytest.mark.parametrize(
    "rows",
    [
        *("ab", ["ab"], b"ab", None, 3, [1, 2], [[1], None], [["a"]], [[1j]], np.ones((1, 2, 2))),
        *(np.array(1), [np.array(1)]),
        *({(1, 2): 3}, [{1: 2}], {(1, 2), (3, 4)}, [{1, 2}]),
    ],
)
def test_anything_but_rows_of_numbers_is_a_type_error(rows):
    with pytest.raises(TypeError, match=r"takes rows of numbers|holds a real number"):
        Matrix(rows)


@pytest.mark.parametrize("wrong", [lambda: Matrix([1, 2]), lambda: Matrix([[1, 2]]) @ [1, 2]])
def test_the_error_for_a_vector_shows_a_row_and_a_column(wrong):
    with pytest.raises(TypeError, match=r"row 0 is 1 .*one row as \[\[1, 2\]\], one column as"):
        wrong()


def test_map_needs_a_function():
    with pytest.raises(TypeError, match=r"map takes a function .* such as Value\.exp, not 'relu'"):
        Matrix([[1.0]]).map("relu")


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("other", ["ab", None, 1j, object(), {1: 2, 3: 4}, {1, 2}])
def test_an_operand_of_another_type_is_a_type_error(op, other):
    with pytest.raises(TypeError):
        op(Matrix([[1, 2]]), other)
    with pytest.raises(TypeError):
        op(other, Matrix([[1, 2]]))


@pytest.mark.parametrize("other", ["ab", None, 2, Value(2.0), [1, 2]])
def test_a_matrix_product_with_a_non_matrix_is_a_type_error(other):
    with pytest.raises(TypeError):
        Matrix([[1, 2]]) @ other


def test_a_division_by_zero_is_named():
    with pytest.raises(ZeroDivisionError, match=r"div\(1.0, 0.0\)"):
        Matrix([[1, 2]]) / 0


@pytest.mark.parametrize(
    "pick",
    [
        lambda M, i: M[i],
        lambda M, i: M[:i],
        lambda M, i: M[::i],
        lambda M, i: M[0, i],
        lambda M, i: M[0, i:],
    ],
)
def test_an_argument_of_a_jitted_function_is_an_index_only_if_static(pick):
    M = Matrix([[1, 2], [3, 4]])
    with pytest.raises(TraceError, match=r"(row|column) of a Matrix is .* as a static argument"):
        list(map(jit(lambda i: pick(M, i)), [1] * 3))
    picked = jit(lambda i: pick(M, i), static="i")
    assert [repr(picked(1)) for _ in range(3)] == [repr(pick(M, 1))] * 3


def test_a_large_matrix_is_shown_by_its_first_entries_and_its_shape():
    assert repr(Matrix([[1, 2], [3, 4]])) == "Matrix([[1.0, 2.0], [3.0, 4.0]])"
    for rows, columns in ((10, 10), (100, 1), (1, 100)):
        M = Matrix(np.ones((rows, columns)))
        assert repr(M) == f"Matrix({M.data})"
    for rows, columns in ((101, 1), (1, 101), (6, 20)):
        assert repr(Matrix(np.ones((rows, columns)))).endswith(f", {rows} x {columns})")
    shown = repr(Matrix([[k] * 300 for k in range(200)]))
    assert shown.startswith("Matrix([[0.0, 0.0, ")
    assert shown.endswith(", 200 x 300)")
    assert len(shown) < 400


def test_the_error_for_backward_on_a_matrix_says_what_to_call():
    M = Matrix([[1, 2], [3, 4]])
    with pytest.raises(AttributeError, match=r"Matrix of 2 x 2 .*: take a loss, M\.mean\(\)"):
        M.backward()
    assert not hasattr(M, "backward")
    M.mean().backward()
    assert M.grad == [[0.25, 0.25]] * 2


def test_operators_have_names_and_can_be_pickled() -> None:
    for name in ("__add__", "__rtruediv__"):
        method = getattr(Matrix, name)
        assert (method.__name__, pickle.loads(pickle.dumps(method))) == (name, method)
