"""The GPT and its tokenizer: compared with NumPy, causal, cached, padded; training, generation."""

import math
import random
import re
from collections import Counter

import numpy as np
import numpy_transformer as reference
import pytest

import nn
from autograd import Value, draw
from autograd.jit import jit
from nn.gpt import PADDING, sample_token

CLOSE = {"rel": 1e-10, "abs": 1e-12}
SIZES = (5, 6, 4, 2, 2)  # vocabulary, block, embedding, heads, layers
DOCUMENT = [4, 0, 3, 3, 1, 4]


def small(**kwargs):
    return nn.GPT(*SIZES, std=0.3, **kwargs)


# --- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_logits_and_every_gradient_match_numpy(norm):
    model = small(norm=norm)
    start = np.array([p.data for p in model.parameters()])
    logits = np.array(model(DOCUMENT[:-1]).data)
    assert logits == pytest.approx(reference.gpt(start, DOCUMENT[:-1], *SIZES, norm), **CLOSE)
    nll = model.nll(DOCUMENT)
    assert nll.data == pytest.approx(reference.nll(start, DOCUMENT, *SIZES, norm), **CLOSE)
    nll.backward()
    slopes = reference.gradient(lambda flat: reference.nll(flat, DOCUMENT, *SIZES, norm), start)
    assert [p.grad for p in model.parameters()] == pytest.approx(slopes, **CLOSE)


def test_a_drawing_of_the_loss_names_it_nll():
    model = small()
    source = draw(model.nll(DOCUMENT), model=model, depth=1).source
    assert "nll" in source
    assert "_nll" not in source


def test_a_base_width_scales_the_outputs_of_linear_layers():
    model, plain = (small(base_width=base, generator=random.Random(3)) for base in (1, None))
    names, start = zip(*((name, p.data) for name, p in model.named_parameters()), strict=True)
    scale = np.array([0.25 if "weights" in name else 1.0 for name in names])
    assert np.count_nonzero(scale == 0.25) == 2 * 12 * 4 * 4 + 5 * 4
    assert start * scale == pytest.approx([p.data for p in plain.parameters()], **CLOSE)
    nll = model.nll(DOCUMENT)
    nll.backward()

    def cost(flat):
        return reference.nll(flat * scale, DOCUMENT, *SIZES)

    assert nll.data == pytest.approx(cost(np.array(start)), **CLOSE)
    slopes = reference.gradient(cost, start)
    assert [p.grad for p in model.parameters()] == pytest.approx(slopes, **CLOSE)


@pytest.mark.parametrize("base_width", [0, -4, 2.5, True, 10**400])
def test_an_invalid_base_width_is_rejected(base_width):
    with pytest.raises((ValueError, TypeError), match="base_width must be"):
        small(base_width=base_width)


@pytest.mark.parametrize("embedding", [0, "16", True, 16.0])
def test_the_error_for_a_wrong_embedding_does_not_mention_base_width(embedding):
    with pytest.raises((ValueError, TypeError)) as caught:
        nn.GPT(5, 6, embedding, 2, 1)
    assert "base_width" not in str(caught.value)


def test_the_number_of_parameters_is_that_of_microgpt():
    model = nn.GPT(vocabulary=27, block_size=16, embedding=16, heads=4, layers=1)
    # tokens and positions, q k v o, MLP, logits
    assert 27 * 16 + 16 * 16 + 4 * 16 * 16 + 2 * 16 * 64 + 27 * 16 == 4192
    assert len(model.parameters()) == 4192
    numbers = np.array([p.data for p in model.parameters()])
    assert numbers.std() == pytest.approx(0.08, rel=0.05)


def test_every_token_is_about_equally_likely_at_first():
    model = nn.GPT(27, 16, 16, 4, 1)
    assert model.nll([26, 4, 12, 12, 0, 26]).data / 5 == pytest.approx(math.log(27), rel=0.1)


def test_changing_a_token_changes_no_output_before_it():
    model = small()
    before = model([0, 1, 2, 3, 4]).data
    for place in range(5):
        tokens = [0, 1, 2, 3, 4]
        tokens[place] = (tokens[place] + 1) % 5
        after = model(tokens).data
        assert after[:place] == before[:place]
        assert all(a != b for a, b in zip(after[place:], before[place:], strict=True))


@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5, 6], [4, 6], [1, 6]])
def test_cached_keys_and_values_give_the_same_logits_to_the_last_bit(cuts):
    model, cache = small(), small().empty_cache()
    tokens = [0, 1, 2, 3, 4, 1]
    rows = []
    for a, b in zip([0, *cuts], cuts, strict=False):
        rows += model(tokens[a:b], cache).data
    assert rows == model(tokens).data


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([], ValueError, "one token or more"),
        ([0] * 7, ValueError, "a block size of 6 got 7 tokens"),
        ([0, 5], IndexError, "5 vectors has no index 5"),
        ([-1], IndexError, "no index -1"),
        ([0.5], TypeError, "whole numbers"),
    ],
)
def test_invalid_tokens_are_rejected(tokens, error, message):
    with pytest.raises(error, match=message):
        small()(tokens)


@pytest.mark.parametrize("name", ["vocabulary", "block_size", "embedding", "heads", "layers"])
def test_the_error_for_an_invalid_size_names_the_argument(name):
    sizes = {"vocabulary": 5, "block_size": 6, "embedding": 8, "heads": 2, "layers": 1}
    for wrong, error in ((0, ValueError), ("a", TypeError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"^{name} must be .* not {wrong!r}"):
            nn.GPT(**sizes | {name: wrong})


# --- documents of every length --------------------------------------------------------------------


def padded(document, size):
    return document + [PADDING] * (size - len(document))


def test_padding_changes_neither_nll_nor_gradients():
    model = small()
    results = []
    for document in (
        DOCUMENT[:4],
        padded(DOCUMENT[:4], 7),
        list(map(Value, padded(DOCUMENT[:4], 7))),
    ):
        model.zero_grad()
        nll = model.nll(document)
        nll.backward()
        results.append([nll.data, *(p.grad for p in model.parameters())])
    assert results[1] == results[0]
    assert results[2] == pytest.approx(results[0], rel=1e-12, abs=1e-15)


def test_one_program_serves_documents_of_every_length():
    model = small()

    @jit
    def learn(document):
        nll = model.nll(document)
        model.zero_grad()
        nll.backward()
        return nll

    for length in (2, 4, 6, 3, 5):
        replayed = learn(padded(DOCUMENT[:length], 7))
        grads = [p.grad for p in model.parameters()]
        model.zero_grad()
        nll = model.nll(DOCUMENT[:length])
        nll.backward()
        assert replayed.data == pytest.approx(nll.data, rel=1e-12)
        expected = [p.grad for p in model.parameters()]
        assert grads == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert len(learn.programs) == 1
    assert learn.programs[0].replays == 3


@pytest.fixture(scope="module")
def recorded():
    """A model and its jitted nll, which has recorded and replayed a padded document."""
    nn.seed(0)
    model = small()
    nll = jit(model.nll)
    for document in ([4, 0, 1, 4], [4, 0, 1, 4], [4, 1, 4]):  # eager, recorded, checked
        nll(padded(document, 7))
    assert nll.programs[0].replays == 1
    return model, nll


@pytest.mark.parametrize(
    "document",
    [[4, 0, PADDING, 1, 2, 4], [4, 0, 1, 5, 4], [4, 0, -2, 1, 4], [4], [], [PADDING, 4]],
)
def test_a_replay_rejects_the_documents_that_an_eager_call_rejects(recorded, document):
    model, nll = recorded
    (program,) = nll.programs
    replays, unsure = program.replays, program.unsure
    with pytest.raises((ValueError, IndexError)) as eager:
        model.nll(document)
    with pytest.raises(type(eager.value), match=re.escape(str(eager.value))):
        nll(padded(document, 7))
    assert nll.programs == [program]
    assert (program.replays, program.unsure) == (replays, unsure + 1)


def test_tokens_beyond_the_block_are_ignored():
    model = small()
    document = [4, 0, 1, 2, 3, 0, 1, 2, 2, 4]
    assert model.nll(document).data == model.nll(document[:7]).data


@pytest.mark.parametrize("document", [[], [4], [4, PADDING, PADDING]])
def test_nll_needs_something_to_predict(document):
    with pytest.raises(ValueError, match="2 tokens or more"):
        small().nll(document)


# --- training -------------------------------------------------------------------------------------


def test_a_gpt_memorizes_one_line():
    tokenizer = nn.Tokenizer("abracadabra")
    line = tokenizer.encode("abracadabra")
    model = nn.GPT(tokenizer.vocabulary, 12, 8, 2, 1)
    optimizer = nn.Adam(model, lr=0.02)

    @jit
    def step():
        loss = model.nll(line) / (len(line) - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step().data for _ in range(300)]
    assert losses[0] > 1.5
    assert losses[-1] < 0.01
    assert (
        tokenizer.decode(model.generate([tokenizer.bos], 0.0, end=tokenizer.bos)) == "abracadabra"
    )


# --- generation -----------------------------------------------------------------------------------


def uncached(model, prompt, temperature, top_k, rng, end):
    """The tokens that generate() returns, from a full forward pass for each one."""
    tokens = list(prompt)
    while True:
        token = sample_token(model(tokens)[-1], temperature, top_k, None, rng)
        if token == end:
            break
        tokens.append(token)
        if len(tokens) > model.block_size:
            break
    return tokens[len(prompt) :]


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, 3), (0.0, None), (2.0, 1)])
def test_cached_generation_equals_uncached_generation(temperature, top_k):
    model = small()
    for seed in range(8):
        prompt = [4, 0][: 1 + seed % 2]
        cached = model.generate(prompt, temperature, top_k, None, random.Random(seed), end=4)
        assert cached == uncached(model, prompt, temperature, top_k, random.Random(seed), 4)


def test_generation_ends_at_the_end_token_or_when_the_block_is_full():
    model = small()
    texts = [model.generate([4], 1.0, generator=random.Random(seed), end=4) for seed in range(30)]
    assert all(4 not in text for text in texts)
    assert max(map(len, texts)) == 6
    assert min(map(len, texts)) == 0
    assert all(len(model.generate([4, 1], 1.0)) == 5 for _ in range(5))  # no end: fills the block


def test_generation_is_reproducible_by_seed():
    model = small()

    def text(seed):
        nn.seed(seed)
        return [model.generate([4], 1.0) for _ in range(3)]

    assert text(1) == text(1) != text(2)
    assert model.generate([4], generator=random.Random(3)) == model.generate(
        [4], generator=random.Random(3)
    )


def test_generation_does_not_change_the_model():
    model = small()
    before = model.state_dict()
    model.generate([4])
    assert model.state_dict() == before
    assert all(p.grad == 0.0 for p in model.parameters())


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (1.5, 3)])
def test_tokens_are_drawn_with_the_probabilities_of_softmax(temperature, top_k):
    model, n = small(), 4000
    logits = model([4, 1])[-1]
    z = np.array([v.data for v in logits]) / temperature
    p = np.exp(z - z.max())
    if top_k is not None:
        p[np.argsort(z)[:-top_k]] = 0.0
    p /= p.sum()
    generator = random.Random(7)
    counts = Counter(sample_token(logits, temperature, top_k, None, generator) for _ in range(n))
    assert set(counts) == set(np.flatnonzero(p))
    chi_squared = sum((counts[i] - n * p[i]) ** 2 / (n * p[i]) for i in counts)
    # The 0.999 quantiles for 4 and 2 degrees of freedom.
    assert chi_squared < (18.47 if top_k is None else 13.82)


# Five tokens of probabilities 0.4, 0.3, 0.15, 0.1 and 0.05, out of order.
NUCLEUS = [Value(math.log(p)) for p in (0.15, 0.4, 0.05, 0.3, 0.1)]


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "odds"),
    [
        (1.0, None, 0.3, {1: 1.0}),
        (1.0, None, 0.5, {1: 4 / 7, 3: 3 / 7}),
        (1.0, None, 0.8, {1: 8 / 17, 3: 6 / 17, 0: 3 / 17}),
        (1.0, None, 1.0, {1: 0.4, 3: 0.3, 0: 0.15, 4: 0.1, 2: 0.05}),
        (1.0, None, 1e-300, {1: 1.0}),
        # top_k applies first: of the three tokens left, the first two have 8/17 + 6/17 = 0.82.
        (1.0, 3, 0.8, {1: 4 / 7, 3: 3 / 7}),
        (1.0, 1, 0.8, {1: 1.0}),
        # So does the temperature: 0.5 squares the odds, to 16 : 9 : 2.25 : 1 : 0.25 of 28.5.
        (0.5, None, 0.8, {1: 16 / 25, 3: 9 / 25}),
        (0.0, None, 0.8, {1: 1.0}),
    ],
)
def test_tokens_are_drawn_from_the_nucleus(temperature, top_k, top_p, odds):
    generator, n = random.Random(7), 1000
    counts = Counter(sample_token(NUCLEUS, temperature, top_k, top_p, generator) for _ in range(n))
    assert set(counts) == set(odds)
    for token, p in odds.items():
        assert counts[token] / n == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n) + 1e-12)


def test_top_p_of_1_draws_the_same_tokens_as_no_top_p():
    model = small()
    texts = [
        [model.generate([4], 1.0, None, top_p, random.Random(seed)) for seed in range(6)]
        for top_p in (None, 1.0, 1)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_temperature_0_takes_the_first_of_the_most_likely_tokens():
    logits = [Value(x) for x in (0.5, 2.0, 2.0, -1.0)]
    assert {sample_token(logits, 0.0) for _ in range(10)} == {1}
    assert {sample_token(logits, 1e-3, 2) for _ in range(50)} == {1, 2}
    assert {sample_token(logits, 1e-300, 1) for _ in range(10)} == {1}  # no overflow


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([4], -0.5), "temperature must be 0 or more, not -0.5"),
        (([4], math.nan), "temperature must be finite, not nan"),
        (([4], 1.0, 0), "top_k must be 1 or more, not 0"),
        (([4], 1.0, None, 0.0), "top_p must be above 0 and at most 1, not 0.0"),
        (([4], 1.0, None, 1.5), "top_p must be above 0 and at most 1, not 1.5"),
        (([4], 1.0, None, math.nan), "top_p must be finite, not nan"),
        (([4], 0.0, None, -1), "top_p must be above 0 and at most 1, not -1"),
        (([],), "one token or more"),
        (([4] * 7,), "a block size of 6 got 7 tokens"),
    ],
)
def test_invalid_arguments_of_generate_are_value_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        small().generate(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": "a"}, "temperature must be a number, not 'a'"),
        ({"temperature": True}, "temperature must be a number, not True"),
        ({"temperature": None}, "temperature must be a number, not None"),
        ({"top_k": 2.5}, "top_k must be a whole number, not 2.5"),
        ({"top_k": True}, "top_k must be a whole number, not True"),
        ({"top_k": "3"}, "top_k must be a whole number, not '3'"),
        ({"top_p": "0.9"}, "top_p must be a number, not '0.9'"),
        ({"top_p": True}, "top_p must be a number, not True"),
        ({"generator": 3}, "generator must be a random.Random, .* not 3"),
    ],
)
def test_arguments_of_generate_of_the_wrong_type_are_type_errors(arguments, message):
    with pytest.raises(TypeError, match=message):
        small().generate([4], **arguments)
    with pytest.raises(TypeError, match=message):
        nn.text.sample(small(), nn.Tokenizer("abcd"), **arguments)


def test_an_end_that_is_not_a_token_is_rejected():
    with pytest.raises(TypeError, match=r"end must be a token, such as tokenizer\.bos, not '\\n'"):
        small().generate([4], end="\n")


@pytest.mark.parametrize("wrong", [3, None, "ab", Value(1.0), np.array(1), {0}, np.ones((2, 2))])
def test_anything_but_a_list_of_tokens_is_rejected(wrong):
    model = small()
    for call in (model, model.nll, model.generate, lambda tokens: nn.text.padded(tokens, 4)):
        with pytest.raises(TypeError, match=r"takes a list of tokens, such as \[0, 2\]"):
            call(wrong)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0.5, math.nan, 1.0], "logit 1 of 3 is nan"),
        ([0.5, 1.0, math.inf], "logit 2 of 3 is inf"),
        ([-math.inf, -math.inf], "all 2 logits are -inf"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_give_no_probabilities_are_rejected(numbers, message, temperature):
    with pytest.raises(FloatingPointError, match=f"sample_token: {message}"):
        sample_token([Value(x) for x in numbers], temperature)


def test_a_model_of_nan_generates_nothing():
    model = small()
    for parameter in model.parameters():
        parameter.data = math.nan
    with pytest.raises(FloatingPointError, match="logit 0 of 5 is nan"):
        model.generate([4])


def test_a_token_with_a_logit_of_minus_infinity_is_never_drawn():
    logits = [Value(x) for x in (0.0, -math.inf, 0.0)]
    assert {sample_token(logits) for _ in range(50)} == {0, 2}


# --- the tokenizer --------------------------------------------------------------------------------


@pytest.mark.parametrize("characters", [["emma", "ava"], {"emma", "ava"}])
def test_a_tokenizer_by_hand(characters):
    tokenizer = nn.Tokenizer(characters)
    assert tokenizer.characters == "aemv"
    assert repr(tokenizer) == "Tokenizer('aemv')"
    assert (tokenizer.bos, tokenizer.vocabulary) == (4, 5)
    assert tokenizer.encode("eva") == [4, 1, 3, 0, 4]
    assert tokenizer.decode([4, 1, 3, 0, 4]) == "eva"
    assert tokenizer.encode("") == [4, 4]


def test_unusual_characters_are_encoded_like_any_other():
    text = "a\u202eb\x00\t\u2028é\U0001f600\ufeff"
    tokenizer = nn.Tokenizer(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocabulary == len(text) + 1


def test_unknown_characters_and_tokens_are_rejected():
    tokenizer = nn.Tokenizer("ab")
    with pytest.raises(
        ValueError, match=r"character 3 of line 7, 'ß' \(U\+00DF\).*2 .*known ones: 'ab'"
    ):
        tokenizer.encode("abß", "line 7")
    with pytest.raises(ValueError, match=r"3 is not a token: tokens are 0 \.\. 2"):
        tokenizer.decode([3])
    for wrong in ("a", 1.0, None):
        with pytest.raises(TypeError, match=f"a token is a whole number, not {wrong!r}"):
            tokenizer.decode([0, wrong])
    with pytest.raises(ValueError, match="one character or more"):
        nn.Tokenizer("")


@pytest.mark.parametrize("wrong", [3, None, b"ab", np.array(1), [1, "a"]])
def test_non_strings_and_non_lists_are_rejected(wrong):
    for call in (nn.Tokenizer, nn.Tokenizer("ab").encode):
        with pytest.raises(TypeError, match=re.escape(f", not {wrong!r}")):
            call(wrong)
    with pytest.raises(TypeError, match=r"decode takes a list of tokens, such as \[0, 1\], not 3"):
        nn.Tokenizer("ab").decode(3)
