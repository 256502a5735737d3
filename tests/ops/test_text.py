# SPDX-License-Identifier: Apache-2.0
"""String operators: against Python's str and re, and with patterns and bytes that mean harm."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import pyinfer
from tests.ops.node import model_of, run


def strings(*values: Any) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


# ---- RegexFullMatch ----


def matches(pattern: str, texts: list[Any]) -> list[bool]:
    return run("RegexFullMatch", [strings(*texts)], pattern=pattern)[0].tolist()


ATOMS = [
    "a",
    "b",
    "c",
    ".",
    "[ab]",
    "[^a]",
    r"\w",
    r"\W",
    r"\d",
    r"[\d-]",
    "é",
    "^",
    "$",
    r"\b",
    r"\B",
    "()",
    "[a-cx]",
]
PATTERNS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(
            inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}"])
        ).map(lambda p: f"(?:{p[0]}){p[1]}"),
        inner.map("({})".format),
        inner.map("(?i:{})".format),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, st.lists(st.text(alphabet="abcAx1-é\n ", max_size=7), min_size=1, max_size=6))
def test_regex_is_as_in_python(pattern: str, texts: list[str]) -> None:
    # RE2's $ is the end of the text only, in Python a line's end may follow; Python's \B had a fault with ""
    python = re.compile(pattern.replace("$", r"\Z").replace(r"\B", r"(?!\b)"), re.ASCII)
    texts = [t for t in texts if "(?i" not in pattern or t.isascii()]
    assert matches(pattern, texts) == [python.fullmatch(t) is not None for t in texts]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"(?i)straße", ["STRAßE", "StrAẞe"], ["STRASSE"]),
        (r"(?i)[k]ä", ["KÄ", "\u212aä"], ["k"]),
        (r"\x41\x{1F600}\t\101", ["A\U0001f600\tA"], ["A"]),
        (r"[[:alpha:]_]+[[:^digit:]]", ["ab_!"], ["ab1", "é!"]),
        (r"\Qa.b\E+", ["a.b", "a.bb"], ["axb"]),
        (r"(?P<x>a)(?<y>b)|(?:c)", ["ab", "c"], ["a"]),
        (r"(?s).(?-s).", ["\na"], ["a\n"]),
        (r"(?m)a$\n^b", ["a\nb"], ["ab"]),
        (r"\Aa\z", ["a"], ["a\n"]),
        (r"a{,2}", ["a{,2}"], ["aa"]),
        (r"[]a]+", ["]a"], ["b"]),
        (r"[^\x00-\x{10FFFF}]", [], ["a", ""]),
        (r"a|", ["a", ""], ["b"]),
        (r"(a*)*(a|b*)+", ["", "aab"], ["c"]),
        ("a\0b", ["a\0b"], ["a"]),
        (r"(?U)a+?b*", ["aab"], ["c"]),
    ],
)
def test_regex_syntax(pattern: str, yes: list[str], no: list[str]) -> None:
    assert matches(pattern, [*yes, *no]) == [True] * len(yes) + [False] * len(no)


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("(a", "not closed"), ("a)", "not opened"), ("[a", "not closed"), ("*a", "nothing to repeat"),
        ("a**", "without a group"), ("a{1001}", "1000"), ("a{3,2}", "ends before"), (r"\1", "back references"),
        ("(?=a)", "ahead"), ("(?<!a)", "behind"), (r"\p{Lu}", "Unicode"), (r"\C", "not supported"), ("a\\", "backslash"),
        ("[b-a]", "ends before"), ("(?x)a", "group"), ("[[:foo:]]", "no such class"), (r"\x{110000}", "code"),
        ("(" * 2000 + ")" * 2000, "nests"), ("((a{1000}){1000}){1000}", "instructions"), ("(?P<>a)", "name"),
        ("[" + "".join(f"\\x{{{i:x}}}" for i in range(0, 12000, 2)) + "]" + "a" * 60000, "bytes"),
    ],
)  # fmt: skip
def test_regex_refusals(pattern: str, what: str) -> None:
    with pytest.raises(pyinfer.PyinferError, match=what):
        matches(pattern, ["a"])


def test_regex_takes_no_exponential_time() -> None:
    text = "a" * 5000 + "!"
    assert matches("(a+)+", [text]) == [False]
    assert matches("(a|a)*b", [text]) == [False]
    assert matches("(?:a?){900}a{900}", ["a" * 900, "a" * 899]) == [True, False]
    assert matches("(" * 900 + "a" + ")*" * 900, ["aaa"]) == [True]


def test_regex_and_bytes_that_are_no_text() -> None:
    bad = [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"ok"]
    assert matches("(?s).*", bad) == [False, False, False, False, True]
    assert matches("[^a]*", bad) == [False, False, False, False, True]


def test_regex_of_nothing() -> None:
    x = np.empty((0, 3), dtype=object)
    assert run("RegexFullMatch", [x], pattern="a")[0].shape == (0, 3)
    assert run("RegexFullMatch", [np.array("a", dtype=object)], pattern="a")[0].shape == ()


# ---- StringConcat, StringSplit ----


@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((), (2,)), ((2, 1), (1, 4)), ((0, 2), (2,))])
def test_concat(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    words = ["", "a", "ß", "longer than that", "\0"]
    rng = np.random.default_rng(0)
    a, b = (np.array(rng.choice(words, size=s), dtype=object) for s in shapes)
    y = run("StringConcat", [a, b])[0]
    want = np.asarray(a + b, dtype=object)
    assert y.shape == want.shape
    assert y.tolist() == want.tolist()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(alphabet="ab ,\t\u3000\u00a0é", max_size=9), max_size=4),
    st.sampled_from([None, "", ",", "ab", "  ", "é"]),
    st.sampled_from([None, 0, 1, 2]),
)
def test_split_is_as_in_python(texts: list[str], delimiter: str | None, most: int | None) -> None:
    attrs: dict[str, Any] = {}
    if delimiter is not None:
        attrs["delimiter"] = delimiter
    if most is not None:
        attrs["maxsplit"] = most
    y, counts = run("StringSplit", [strings(*texts)], outputs=2, **attrs)
    want = [t.split(delimiter or None, -1 if most is None else most) for t in texts]
    width = max(map(len, want), default=0)
    assert y.shape == (len(texts), width)
    assert y.tolist() == [w + [""] * (width - len(w)) for w in want]
    assert counts.tolist() == [len(w) for w in want]


# ---- StringNormalizer ----


def test_case_of_all_characters() -> None:
    single = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    if unicodedata.unidata_version != "14.0.0":  # another Python has other characters
        single = [chr(c) for c in range(1, 0x500)]
    for action, change in (("UPPER", str.upper), ("LOWER", str.lower)):
        texts = [t for t in single if len(change(t)) == 1]
        got = run("StringNormalizer", [strings(*texts)], case_change_action=action)[0]
        assert got.tolist() == [change(t) for t in texts]
    assert (
        run("StringNormalizer", [strings("ßİ", b"\xffa")], case_change_action="UPPER")[0][0] == "ßİ"
    )


@pytest.mark.parametrize(
    ("attrs", "want"),
    [
        ({}, ["Μon", "tue", "", "TUE"]),
        ({"stopwords": ["TUE"], "is_case_sensitive": 1}, ["Μon", "tue", ""]),
        ({"stopwords": ["TUE"]}, ["Μon", ""]),
        ({"stopwords": ["tue", "μON"], "case_change_action": "UPPER"}, [""]),
        ({"stopwords": ["tue", "", "μon"]}, [""]),
    ],
)
def test_stop_words(attrs: dict[str, Any], want: list[str]) -> None:
    x = strings("Μon", "tue", "", "TUE")  # the M is Greek
    y = run("StringNormalizer", [x], **attrs)[0]
    assert y.tolist() == want
    assert run("StringNormalizer", [x[None]], **attrs)[0].tolist() == [want]


def test_normalizer_refuses() -> None:
    with pytest.raises(pyinfer.PyinferError, match=r"\[C\] or \[1, C\]"):
        run("StringNormalizer", [strings("a", "b").reshape(2, 1)])
    with pytest.raises(pyinfer.PyinferError, match="case_change_action"):
        run("StringNormalizer", [strings("a")], case_change_action="TITLE")


# ---- TfIdfVectorizer ----


def tfidf(**more: Any) -> dict[str, Any]:
    return {
        "mode": "TF", "min_gram_length": 1, "max_gram_length": 3, "max_skip_count": 0,
        "ngram_counts": [0, 3, 9], "ngram_indexes": [0, 1, 2, 3, 5, 4, 6],
        "pool_int64s": [2, 3, 5, 2, 3, 3, 5, 5, 5, 2, 3, 5], **more,
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["TF", "IDF", "TFIDF"]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 4),
    st.lists(st.sampled_from([2, 3, 5, 7]), min_size=1, max_size=12),
)
def test_tfidf_is_as_in_the_reference(
    mode: str, grams: tuple[int, int], skip: int, x: list[int]
) -> None:
    least, most = sorted(grams)
    attrs = tfidf(mode=mode, min_gram_length=least, max_gram_length=most, max_skip_count=skip,
                  weights=[0.5, 1, 2, 3, 4, 5, 6])  # fmt: skip
    rows = np.array([x, x[::-1]], dtype=np.int64)
    want = ReferenceEvaluator(model_of("TfIdfVectorizer", [rows], **attrs)).run(None, {"x0": rows})[
        0
    ]
    np.testing.assert_array_equal(run("TfIdfVectorizer", [rows], **attrs)[0], want)
    words = np.array(rows, dtype=str).astype(object)
    attrs["pool_strings"] = [str(v) for v in attrs.pop("pool_int64s")]
    np.testing.assert_array_equal(run("TfIdfVectorizer", [words], **attrs)[0], want)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"ngram_counts": [0, 3, 99]}, "ngram_counts"), ({"ngram_counts": [0, 4, 9]}, "ngram_counts"),
        ({"ngram_counts": [-1]}, "ngram_counts"), ({"ngram_indexes": [0, 1]}, "ngram_indexes"),
        ({"ngram_indexes": [-1] * 7}, "ngram_indexes"), ({"ngram_indexes": [1 << 40] * 7}, "ngram_indexes"),
        ({"mode": "X"}, "mode"), ({"mode": "IDF", "weights": [1.0]}, "weights"), ({"max_skip_count": -1}, "skip"),
        ({"min_gram_length": 0}, "n-grams"), ({"pool_strings": ["a"]}, "pool"),
    ],
)  # fmt: skip
def test_tfidf_refuses(more: dict[str, Any], what: str) -> None:
    with pytest.raises(pyinfer.PyinferError, match=what):
        run("TfIdfVectorizer", [np.array([2, 3], np.int64)], **tfidf(**more))


def test_tfidf_with_great_skips_and_no_tokens() -> None:
    attrs = tfidf(max_skip_count=(1 << 62))
    assert run("TfIdfVectorizer", [np.array([2, 9, 9, 3], np.int32)], **attrs)[0].tolist() == [
        1,
        1,
        0,
        1,
        0,
        0,
        0,
    ]
    assert (
        run("TfIdfVectorizer", [np.empty((2, 0), np.int64)], **attrs)[0].tolist() == [[0] * 7] * 2
    )


# ---- what else takes strings ----


@pytest.mark.parametrize("kind", ["U", "S", "O", "T"])
def test_arrays_of_strings(kind: str) -> None:
    if kind == "T" and not hasattr(np.dtypes, "StringDType"):
        kind = "O"
    x = np.array([["a", "b"], ["", "cc"]], dtype=np.dtypes.StringDType() if kind == "T" else kind)
    node = helper.make_node("Transpose", ["x"], ["y"])
    ports = [helper.make_tensor_value_info(n, TensorProto.STRING, [2, 2]) for n in "xy"]
    graph = helper.make_graph([node], "one", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    assert pyinfer.load(model.SerializeToString()).run({"x": x})["y"].tolist() == [
        ["a", ""],
        ["b", "cc"],
    ]
