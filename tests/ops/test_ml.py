# SPDX-License-Identifier: Apache-2.0
"""The domain ai.onnx.ml: against scikit-learn and ONNX's own evaluator, and with trees that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn import datasets, ensemble, linear_model, preprocessing, svm, tree

import pyinfer
from tests.ops.node import dtype_of

ML = "ai.onnx.ml"


def model_of(
    op: str, inputs: list[np.ndarray], *, version: int = 3, outputs: int = 1, **attrs: Any
) -> bytes:
    names = [f"x{i}" for i in range(len(inputs))]
    ports = [
        helper.make_tensor_value_info(n, dtype_of(x), [None] * x.ndim)
        for n, x in zip(names, inputs, strict=True)
    ]
    results = [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)]
    node = helper.make_node(
        op,
        names,
        [r.name for r in results],
        domain=ML,
        **{k: v for k, v in attrs.items() if v != []},
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(ML, version)]
    graph = helper.make_graph([node], "one", ports, results)
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def run(op: str, inputs: list[np.ndarray], **more: Any) -> list[np.ndarray]:
    inputs = [np.asarray(x) for x in inputs]
    feeds = {f"x{i}": x for i, x in enumerate(inputs)}
    return list(pyinfer.load(model_of(op, inputs, **more), threads=2).run(feeds).values())


def reference(op: str, inputs: list[np.ndarray], **more: Any) -> list[np.ndarray]:
    evaluator = ReferenceEvaluator(onnx.load_from_string(model_of(op, inputs, **more)))
    return evaluator.run(None, {f"x{i}": x for i, x in enumerate(inputs)})


def strings(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


IRIS, KIND = datasets.load_iris(return_X_y=True)
IRIS = IRIS.astype(np.float32)
TWO = KIND < 2
NAMES = ["setosa", "versicolor", "virginica"]

# ---- trees ----


def tree_attrs(trees: list[Any], values: Any, kind: str) -> dict[str, Any]:
    """scikit-learn's trees as attributes; values(tree, node) lists (target, weight) of a leaf."""
    a: dict[str, list[Any]] = {
        f"nodes_{n}": []
        for n in (
            "treeids",
            "nodeids",
            "featureids",
            "modes",
            "values",
            "truenodeids",
            "falsenodeids",
        )
    }
    votes: dict[str, list[Any]] = {
        f"{kind}_{n}": [] for n in ("treeids", "nodeids", "ids", "weights")
    }
    for k, t in enumerate(trees):
        for i in range(t.node_count):
            leaf = t.children_left[i] < 0
            threshold = np.float32(t.threshold[i])
            if threshold > t.threshold[i]:  # scikit-learn compares floats with doubles
                threshold = np.nextafter(threshold, np.float32(-np.inf))
            a["nodes_treeids"].append(k)
            a["nodes_nodeids"].append(i)
            a["nodes_featureids"].append(0 if leaf else int(t.feature[i]))
            a["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
            a["nodes_values"].append(0.0 if leaf else float(threshold))
            a["nodes_truenodeids"].append(0 if leaf else int(t.children_left[i]))
            a["nodes_falsenodeids"].append(0 if leaf else int(t.children_right[i]))
            for target, weight in values(t, i) if leaf else []:
                votes[f"{kind}_treeids"].append(k)
                votes[f"{kind}_nodeids"].append(i)
                votes[f"{kind}_ids"].append(target)
                votes[f"{kind}_weights"].append(float(weight))
    return {**a, **votes}


def forest_attrs(forest: Any) -> dict[str, Any]:
    n = len(forest.estimators_)
    return tree_attrs(
        [e.tree_ for e in forest.estimators_],
        lambda t, i: [(c, p / t.value[i][0].sum() / n) for c, p in enumerate(t.value[i][0])],
        "class",
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", [False, True])
def test_random_forest(dtype: Any, text: bool) -> None:
    forest = ensemble.RandomForestClassifier(50, random_state=0).fit(IRIS, KIND)
    x = (
        np.vstack([IRIS, np.random.default_rng(0).normal(4, 3, (100, 4))])
        .astype(np.float32)
        .astype(dtype)
    )
    labels = {"classlabels_strings": NAMES} if text else {"classlabels_int64s": [0, 1, 2]}
    label, p = run("TreeEnsembleClassifier", [x], outputs=2, **forest_attrs(forest), **labels)
    want = forest.predict_proba(x)
    np.testing.assert_allclose(p, want, atol=1e-6)
    sure = np.sort(want, axis=1)[:, -1] - np.sort(want, axis=1)[:, -2] > 1e-6
    expected = np.array(NAMES, dtype=object)[want.argmax(1)] if text else want.argmax(1)
    assert label.dtype == (object if text else np.int64)
    assert label[sure].tolist() == expected[sure].tolist()


def test_forest_of_many_rows_and_shapes() -> None:
    forest = ensemble.RandomForestClassifier(30, random_state=1).fit(IRIS, KIND)
    x = np.random.default_rng(0).normal(4, 3, (5000, 4)).astype(np.float32)
    data = model_of(
        "TreeEnsembleClassifier",
        [x],
        outputs=2,
        **forest_attrs(forest),
        classlabels_int64s=[0, 1, 2],
    )
    model = pyinfer.load(data, threads=2)
    for n in (1, 7, 8, 9, 127, 128, 129, 5000, 0):
        p = model.run({"x0": x[:n]})["y1"]
        assert p.shape == (n, 3)
        np.testing.assert_allclose(p, forest.predict_proba(x)[:n], atol=1e-6)
    x[::3, 1] = np.nan  # rows that are walked together end where they end alone
    alone = [model.run({"x0": row[None]})["y1"][0] for row in x[:40]]
    np.testing.assert_array_equal(model.run({"x0": x[:40]})["y1"], alone)


@pytest.mark.parametrize("base", [0, 1, 2])
def test_gradient_boosting_of_two_classes(base: int) -> None:
    x, y = IRIS[:, 2:].copy(), KIND == 2
    boost = ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0).fit(x, y)
    attrs = tree_attrs(
        [e.tree_ for e in boost.estimators_[:, 0]],
        lambda t, i: [(0, boost.learning_rate * t.value[i][0][0])],
        "class",
    )
    prior = np.log(y.mean() / (1 - y.mean()))
    if base:
        attrs["base_values"] = [prior] if base == 1 else [0.0, prior]
    label, p = run(
        "TreeEnsembleClassifier",
        [x],
        outputs=2,
        post_transform="LOGISTIC",
        classlabels_int64s=[3, 7],
        **attrs,
    )
    score = boost.decision_function(x) - (0 if base else prior)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-score)), atol=1e-5)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert label.tolist() == np.where(score > 0, 7, 3).tolist()


@pytest.mark.parametrize("sum_of", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_regressors(sum_of: str) -> None:
    x, y = datasets.load_diabetes(return_X_y=True)
    x = x.astype(np.float32)
    forest = ensemble.RandomForestRegressor(20, random_state=0, max_depth=6).fit(
        x, np.stack([y, -y], axis=1)
    )
    trees = [e.tree_ for e in forest.estimators_]
    attrs = tree_attrs(trees, lambda t, i: [(k, t.value[i][k][0]) for k in (0, 1)], "target")
    each = np.stack([e.predict(x) for e in forest.estimators_])
    want = {"SUM": each.sum(0), "AVERAGE": each.mean(0), "MIN": each.min(0), "MAX": each.max(0)}[
        sum_of
    ]
    (got,) = run(
        "TreeEnsembleRegressor",
        [x],
        n_targets=2,
        aggregate_function=sum_of,
        base_values=[0.5, 7.0],
        **attrs,
    )
    np.testing.assert_allclose(got, want + [0.5, 7.0], rtol=1e-5, atol=1e-3)


def test_doubles_are_compared_as_doubles() -> None:
    split = 1 + 2.0**-40
    attrs: dict[str, Any] = dict(
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LT", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0],
        nodes_values_as_tensor=numpy_helper.from_array(np.array([split, 0, 0])),
        target_weights_as_tensor=numpy_helper.from_array(np.array([1.0, 2.0])), n_targets=1,
    )  # fmt: skip
    x = np.array([[1.0], [split], [1 + 2.0**-39]])
    assert run("TreeEnsembleRegressor", [x], **attrs)[0].ravel().tolist() == [1, 2, 2]


MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([*MODES, None]), st.booleans(), st.booleans())
def test_random_trees(seed: int, mode: str | None, missing: bool, nan: bool) -> None:
    rng = np.random.default_rng(seed)
    attrs: dict[str, Any] = {
        f"nodes_{n}": []
        for n in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
                  "missing_value_tracks_true")
    }  # fmt: skip
    for n in ("treeids", "nodeids", "ids", "weights"):
        attrs[f"target_{n}"] = []
    for k in range(rng.integers(1, 4)):
        inner = int(
            rng.integers(0, 6)
        )  # nodes are made in order, each takes an open place at random
        total, ids = 2 * inner + 1, rng.permutation(2 * inner + 1)
        ids[ids == ids[0]], children, open_places = ids[0], {}, [0]
        for i in range(inner):
            at = open_places.pop(rng.integers(len(open_places)))
            children[at] = (2 * i + 1, 2 * i + 2)
            open_places += children[at]
        for i in range(total):
            branch = i in children
            left, right = (int(ids[c]) for c in children.get(i, (0, 0)))
            attrs["nodes_treeids"].append(10 - k)
            attrs["nodes_nodeids"].append(int(ids[i]))
            attrs["nodes_featureids"].append(int(rng.integers(3)))
            attrs["nodes_modes"].append((mode or str(rng.choice(MODES))) if branch else "LEAF")
            attrs["nodes_values"].append(float(rng.integers(3)))
            attrs["nodes_truenodeids"].append(left)
            attrs["nodes_falsenodeids"].append(right)
            attrs["nodes_missing_value_tracks_true"].append(int(missing and rng.integers(2)))
            for target in [] if branch else range(rng.integers(1, 3)):
                attrs["target_treeids"].append(10 - k)
                attrs["target_nodeids"].append(int(ids[i]))
                attrs["target_ids"].append(target)
                attrs["target_weights"].append(float(rng.normal()))
    x = rng.integers(0, 3, (40, 3)).astype(np.float32)
    if nan:
        x[rng.random(x.shape) < 0.2] = np.nan
    (want,) = reference("TreeEnsembleRegressor", [x], n_targets=2, **attrs)
    (got,) = run("TreeEnsembleRegressor", [x], n_targets=2, **attrs)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def one_tree(**more: Any) -> dict[str, Any]:
    return {
        "nodes_treeids": [0] * 5, "nodes_nodeids": [0, 1, 2, 3, 4], "nodes_featureids": [0, 1, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"], "nodes_values": [1.0, 2, 0, 0, 0],
        "nodes_truenodeids": [1, 3, 0, 0, 0], "nodes_falsenodeids": [2, 4, 0, 0, 0],
        "target_treeids": [0] * 3, "target_nodeids": [2, 3, 4], "target_ids": [0] * 3, "target_weights": [1.0, 2, 3],
        **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"nodes_truenodeids": [0, 3, 0, 0, 0]}, "no tree"), ({"nodes_truenodeids": [1, 0, 0, 0, 0]}, "no tree"),
        ({"nodes_falsenodeids": [2, 0, 0, 0, 0]}, "no tree"), ({"nodes_truenodeids": [9, 3, 0, 0, 0]}, "no node 9"),
        ({"nodes_falsenodeids": [-1, 4, 0, 0, 0]}, "no node -1"), ({"nodes_featureids": [2, 1, 0, 0, 0]}, "feature 2"),
        ({"nodes_featureids": [-1, 1, 0, 0, 0]}, "feature -1"), ({"nodes_featureids": [1 << 33, 1, 0, 0, 0]}, "feature"),
        ({"nodes_featureids": [0]}, "1 entries, expected 5"), ({"nodes_values": [0.0]}, "nodes_values"),
        ({"nodes_modes": ["LEAF"]}, "nodes_modes"), ({"nodes_modes": ["X"] * 5}, "nodes_modes has 'X'"),
        ({"nodes_modes": ["BRANCH_MEMBER"] * 5}, "nodes_modes"), ({"nodes_nodeids": [0, 1, 1, 3, 4]}, "two nodes 1"),
        ({"target_ids": [1, 0, 0]}, "target 1 of 1"), ({"target_ids": [-1, 0, 0]}, "target -1"),
        ({"target_nodeids": [2, 3, 9]}, "no node 9"), ({"target_weights": [1.0]}, "weights"),
        ({"n_targets": 0}, "n_targets"), ({"n_targets": 1 << 60}, "n_targets|too large|elements|bytes"),
        ({"aggregate_function": "X"}, "aggregate_function"), ({"post_transform": "X"}, "post_transform"),
        ({"base_values": [1.0, 2.0]}, "base values"), ({"nodes_missing_value_tracks_true": [1]}, "1 entries"),
    ],
)  # fmt: skip
def test_broken_trees(more: dict[str, Any], what: str) -> None:
    x = np.zeros((3, 2), np.float32)
    with pytest.raises(pyinfer.PyinferError, match=what):
        run("TreeEnsembleRegressor", [x], **one_tree(**more))


@pytest.mark.parametrize("text", [False, True])
def test_the_label_is_that_of_the_scores_as_given(text: bool) -> None:
    # four trees of one leaf each: as doubles, class 1 has 2**-30 more
    attrs = dict(
        nodes_treeids=[0, 1, 2, 3], nodes_nodeids=[0] * 4, nodes_featureids=[0] * 4, nodes_modes=["LEAF"] * 4,
        nodes_values=[0.0] * 4, nodes_truenodeids=[0] * 4, nodes_falsenodeids=[0] * 4, class_treeids=[0, 1, 2, 3],
        class_nodeids=[0] * 4, class_ids=[0, 1, 1, 2], class_weights=[0.5, 0.5, 2.0**-30, 0.25],
    )  # fmt: skip
    labels = {"classlabels_strings": NAMES} if text else {"classlabels_int64s": [7, 8, 9]}
    x = np.zeros((3, 2), np.float32)
    label, p = run("TreeEnsembleClassifier", [x], outputs=2, **attrs, **labels)
    assert p.tolist() == [[0.5, 0.5, 0.25]] * 3
    assert label.tolist() == [NAMES[0] if text else 7] * 3


def test_branches_that_meet() -> None:
    # LightGBM's sets of categories: x in {1, 3, 5} as a chain whose true branches are one node, which is no leaf
    attrs = dict(
        nodes_treeids=[0] * 7, nodes_nodeids=[0, 1, 2, 3, 4, 5, 6], nodes_featureids=[0, 0, 0, 1, 0, 0, 0],
        nodes_modes=["BRANCH_EQ"] * 3 + ["BRANCH_LEQ"] + ["LEAF"] * 3, nodes_values=[1.0, 3, 5, 0.5, 0, 0, 0],
        nodes_truenodeids=[3, 3, 3, 4, 0, 0, 0], nodes_falsenodeids=[1, 2, 6, 5, 0, 0, 0],
        nodes_missing_value_tracks_true=[0, 1, 0, 0, 0, 0, 0], target_treeids=[0] * 3, target_nodeids=[4, 5, 6],
        target_ids=[0] * 3, target_weights=[10.0, 20, 30],
    )  # fmt: skip
    x = np.array([[k, y] for k in (0, 1, 2, 3, 5, 6, np.nan) for y in (0, 1)], np.float32)
    want = [30, 30, 10, 20, 30, 30, 10, 20, 10, 20, 30, 30, 10, 20]
    assert run("TreeEnsembleRegressor", [x], **attrs)[0].ravel().tolist() == want


def test_chains_that_meet_in_each_link_stay_small() -> None:
    n = 40  # 2**40 ways to the leaf
    attrs = one_tree(
        nodes_treeids=[0] * (n + 1), nodes_nodeids=list(range(n + 1)), nodes_featureids=[0] * (n + 1),
        nodes_modes=["BRANCH_LEQ"] * n + ["LEAF"], nodes_values=[0.0] * (n + 1),
        nodes_truenodeids=[*range(1, n + 1), 0], nodes_falsenodeids=[*range(1, n + 1), 0],
        target_treeids=[0], target_nodeids=[n], target_ids=[0], target_weights=[5.0],
    )  # fmt: skip
    assert run("TreeEnsembleRegressor", [np.zeros((1, 2), np.float32)], **attrs)[0] == 5


def test_several_weights_of_a_leaf_for_the_only_target() -> None:
    # skl2onnx writes the number of a leaf once for each class; ONNX Runtime takes the first
    attrs = one_tree(
        target_treeids=[0] * 6, target_nodeids=[2, 2, 3, 3, 4, 4], target_ids=[0] * 6,
        target_weights=[1.0, 100, 2, 100, 3, 100],
    )  # fmt: skip
    x = np.array([[0, 0], [0, 9], [9, 0]], np.float32)
    assert run("TreeEnsembleRegressor", [x], **attrs)[0].ravel().tolist() == [2, 3, 1]


def test_more_than_a_million_nodes() -> None:
    n = (1 << 20) + 1  # trees of one leaf
    zeros, ids = np.zeros(n, int).tolist(), list(range(n))
    attrs = one_tree(
        nodes_treeids=ids, nodes_nodeids=zeros, nodes_featureids=zeros, nodes_modes=["LEAF"] * n,
        nodes_values=[0.0] * n, nodes_truenodeids=zeros, nodes_falsenodeids=zeros,
        target_treeids=ids[-2:], target_nodeids=[0, 0], target_ids=[0, 0], target_weights=[1.0, 2.0],
    )  # fmt: skip
    assert run("TreeEnsembleRegressor", [np.zeros((1, 2), np.float32)], **attrs)[0] == 3


def test_a_tree_that_is_a_list() -> None:
    n = 20000
    attrs = one_tree(
        nodes_treeids=[0] * (2 * n + 1), nodes_nodeids=list(range(2 * n + 1)), nodes_featureids=[0] * (2 * n + 1),
        nodes_modes=["BRANCH_LEQ"] * n + ["LEAF"] * (n + 1), nodes_values=[float(i) for i in range(n)] + [0.0] * (n + 1),
        nodes_truenodeids=list(range(n, 2 * n)) + [0] * (n + 1), nodes_falsenodeids=[*range(1, n), 2 * n] + [0] * (n + 1),
        target_treeids=[0] * (n + 1), target_nodeids=list(range(n, 2 * n + 1)), target_ids=[0] * (n + 1),
        target_weights=[float(i) for i in range(n + 1)],
    )  # fmt: skip
    x = np.array([[-5], [7], [n - 1.5], [1e9]], np.float32)
    assert run("TreeEnsembleRegressor", [x], **attrs)[0].ravel().tolist() == [0, 7, n - 1, n]


# ---- TreeEnsemble ----


def ensemble_attrs(dtype: Any = np.float32, **more: Any) -> dict[str, Any]:
    def tensor(*v: float, t: Any = dtype) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(v, t))

    return {
        "n_targets": 2, "tree_roots": [0, 2], "nodes_featureids": [0, 1, 0], "nodes_modes": tensor(0, 6, 3, t=np.uint8),
        "nodes_splits": tensor(1, 0, 2), "nodes_truenodeids": [1, 0, 3], "nodes_trueleafs": [0, 1, 1],
        "nodes_falsenodeids": [2, 1, 4], "nodes_falseleafs": [1, 1, 1], "leaf_targetids": [0, 1, 1, 0, 1],
        "leaf_weights": tensor(1, 2, 3, 4, 5), "membership_values": tensor(7, 3, 5, np.nan), **more,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("sum_of", [0, 1, 2, 3])
def test_tree_ensemble(dtype: Any, sum_of: int) -> None:
    x = np.random.default_rng(0).integers(0, 8, (200, 2)).astype(dtype)
    (got,) = run("TreeEnsemble", [x], version=5, aggregate_function=sum_of, **ensemble_attrs(dtype))
    (want,) = reference(
        "TreeEnsemble", [x], version=5, aggregate_function=sum_of, **ensemble_attrs(dtype)
    )
    given_votes = np.abs(want) < 1e4  # a target without a vote is the largest number there, 0 here
    assert got.dtype == dtype
    np.testing.assert_allclose(got, np.where(given_votes, want, 0), rtol=1e-3)


@pytest.mark.parametrize(
    "more",
    [
        {"tree_roots": [0, 3]}, {"tree_roots": [-1]}, {"nodes_truenodeids": [1, 5, 3]},
        {"nodes_truenodeids": [3, 0, 3]}, {"nodes_truenodeids": [0, 0, 3]}, {"leaf_targetids": [0, 1, 1, 0, 2]},
        {"leaf_targetids": [0]}, {"nodes_trueleafs": [0]}, {"post_transform": 9}, {"aggregate_function": -1},
        {"membership_values": numpy_helper.from_array(np.array([1, np.nan, 2, np.nan], np.float32))},
        {"nodes_modes": numpy_helper.from_array(np.array([0, 7, 3], np.uint8))},
        {"nodes_modes": numpy_helper.from_array(np.array([0, 6, 3], np.int32))},
        {"leaf_weights": helper.make_tensor("s", TensorProto.STRING, [5], [b"a"] * 5)},
    ],
)  # fmt: skip
def test_broken_ensembles(more: dict[str, Any]) -> None:
    with pytest.raises(pyinfer.PyinferError):
        run("TreeEnsemble", [np.zeros((2, 2), np.float32)], version=5, **ensemble_attrs(**more))


# ---- linear models ----


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_linear_classifier(post: str, dtype: Any) -> None:
    model = linear_model.LogisticRegression(max_iter=1000).fit(IRIS, KIND)
    x = IRIS.astype(dtype)
    attrs = dict(
        coefficients=model.coef_.ravel().tolist(),
        intercepts=model.intercept_.tolist(),
        post_transform=post,
    )
    label, score = run("LinearClassifier", [x], outputs=2, classlabels_strings=NAMES, **attrs)
    raw = x @ model.coef_.T + model.intercept_
    if post == "PROBIT":
        want = reference("LinearClassifier", [x], outputs=2, classlabels_ints=[0, 1, 2], **attrs)[1]
        np.testing.assert_array_equal(np.isnan(score), np.isnan(want))
        return
    if post.startswith("SOFTMAX"):
        want = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    else:
        want = 1 / (1 + np.exp(-raw)) if post == "LOGISTIC" else raw
    np.testing.assert_allclose(score, want, rtol=1e-4, atol=1e-5)
    assert label.tolist() == [NAMES[i] for i in want.argmax(1)]


def test_linear_classifier_of_two_classes() -> None:
    model = linear_model.LogisticRegression().fit(IRIS[TWO], KIND[TWO])
    attrs = dict(
        coefficients=model.coef_.ravel().tolist(),
        intercepts=model.intercept_.tolist(),
        post_transform="LOGISTIC",
    )
    label, score = run("LinearClassifier", [IRIS[TWO]], outputs=2, classlabels_ints=[5, 6], **attrs)
    np.testing.assert_allclose(score, model.predict_proba(IRIS[TWO]), atol=1e-5)
    assert label.tolist() == (model.predict(IRIS[TWO]) + 5).tolist()


@pytest.mark.parametrize("targets", [1, 3])
def test_linear_regressor(targets: int) -> None:
    x, y = datasets.load_diabetes(return_X_y=True)
    model = linear_model.LinearRegression().fit(
        x, np.stack([y] * targets, 1) * np.arange(1, targets + 1)
    )
    attrs = dict(
        coefficients=model.coef_.ravel().tolist(),
        intercepts=model.intercept_.tolist(),
        targets=targets,
    )
    (got,) = run("LinearRegressor", [x], **attrs)
    np.testing.assert_allclose(got, model.predict(x), rtol=1e-4)
    assert run("LinearRegressor", [x[0]], **attrs)[0].shape == (1, targets)


@pytest.mark.parametrize(
    "attrs",
    [dict(coefficients=[1.0] * 5), dict(coefficients=[1.0] * 8, intercepts=[1.0]), dict(coefficients=[]),
     dict(coefficients=[1.0] * 12, classlabels_ints=[1, 2]), dict(coefficients=[1.0] * 8, post_transform="X")],
)  # fmt: skip
def test_broken_linear_models(attrs: dict[str, Any]) -> None:
    with pytest.raises(pyinfer.PyinferError):
        run("LinearClassifier", [IRIS], outputs=2, **attrs)
    with pytest.raises(pyinfer.PyinferError):
        run("LinearRegressor", [IRIS], **{k: v for k, v in attrs.items() if "label" not in k})


# ---- support vectors ----


def svm_attrs(model: Any) -> dict[str, Any]:
    gamma = getattr(model, "_gamma", 0.0)
    return dict(
        kernel_type=model.kernel.upper(), kernel_params=[float(gamma), float(model.coef0), float(model.degree)],
        coefficients=model._dual_coef_.ravel().tolist(), support_vectors=model.support_vectors_.ravel().tolist(),
        rho=model._intercept_.tolist(),
    )  # fmt: skip


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "sigmoid"])
@pytest.mark.parametrize("classes", [2, 3])
def test_svc(kernel: str, classes: int) -> None:
    x, y = IRIS[KIND < classes], KIND[KIND < classes]
    model = svm.SVC(kernel=kernel, coef0=0.5, decision_function_shape="ovo").fit(x, y)
    attrs = dict(svm_attrs(model), vectors_per_class=model.n_support_.tolist())
    label, score = run(
        "SVMClassifier", [x], outputs=2, classlabels_ints=list(range(classes)), **attrs
    )
    assert label.tolist() == model.predict(x).tolist()
    want = model.decision_function(x)
    want = (
        np.stack([-want, want], 1) * -1 if classes == 2 else want
    )  # scikit-learn turns the sign of two classes
    np.testing.assert_allclose(score, want, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore")  # scikit-learn is about to drop them
@pytest.mark.parametrize("classes", [2, 3])
def test_svc_with_probabilities(classes: int) -> None:
    """ONNX's own evaluator couples three classes by another formula than libsvm."""
    x, y = np.ascontiguousarray(IRIS[KIND < classes, :2]), KIND[KIND < classes]
    model = svm.SVC(probability=True, random_state=0).fit(x, y)
    attrs = dict(svm_attrs(model), vectors_per_class=model.n_support_.tolist(), prob_a=model.probA_.tolist(),
                 prob_b=model.probB_.tolist(), classlabels_ints=list(range(classes)))  # fmt: skip
    label, p = run("SVMClassifier", [x], outputs=2, **attrs)
    assert label.tolist() == model.predict(x).tolist()
    np.testing.assert_allclose(p, model.predict_proba(x), atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [svm.SVR(), svm.SVR(kernel="poly"), svm.SVR(kernel="poly", degree=0), svm.OneClassSVM(nu=0.2)],
)
def test_svm_regressors(model: Any) -> None:
    one = isinstance(model, svm.OneClassSVM)
    model.fit(IRIS, KIND.astype(float))
    attrs = dict(svm_attrs(model), n_supports=len(model.support_vectors_), one_class=int(one))
    (got,) = run("SVMRegressor", [IRIS], **attrs)
    score = model.decision_function(IRIS) if one else model.predict(IRIS)
    sure = np.abs(score) > 1e-3
    np.testing.assert_allclose(
        got[sure, 0], (np.sign(score) if one else score)[sure], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    "more",
    [dict(rho=[]), dict(coefficients=[1.0]), dict(support_vectors=[1.0]), dict(vectors_per_class=[1, 1]),
     dict(vectors_per_class=[1 << 62, 1 << 62, 1]), dict(vectors_per_class=[-1, 2, 3]), dict(kernel_type="X"),
     dict(kernel_params=[1.0]), dict(prob_a=[1.0] * 3), dict(classlabels_ints=[])],
)  # fmt: skip
def test_broken_svms(more: dict[str, Any]) -> None:
    model = svm.SVC().fit(IRIS, KIND)
    attrs = dict(
        svm_attrs(model), vectors_per_class=model.n_support_.tolist(), classlabels_ints=[0, 1, 2]
    )
    with pytest.raises(pyinfer.PyinferError):
        run("SVMClassifier", [IRIS], outputs=2, **{**attrs, **more})


# ---- features ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_scaler_and_normalizer(dtype: Any) -> None:
    x = (IRIS * 3).astype(dtype)
    scaler = preprocessing.StandardScaler().fit(x)
    (got,) = run("Scaler", [x], offset=scaler.mean_.tolist(), scale=(1 / scaler.scale_).tolist())
    np.testing.assert_allclose(got, scaler.transform(x), rtol=1e-4, atol=1e-5)
    assert got.dtype == np.float32
    for norm in ("max", "l1", "l2"):
        (got,) = run("Normalizer", [x], norm=norm.upper())
        np.testing.assert_allclose(
            got, preprocessing.normalize(x.astype(np.float64), norm), rtol=1e-5
        )
    assert run("Normalizer", [np.zeros((2, 3), dtype)], norm="L2")[0].tolist() == [[0] * 3] * 2
    assert run("Normalizer", [np.zeros((0, 3), dtype)], norm="L2")[0].shape == (0, 3)


def test_imputer() -> None:
    x = np.array([[1, np.nan], [np.nan, 4]], np.float32)
    (got,) = run("Imputer", [x], imputed_value_floats=[7.0, 8.0], replaced_value_float=float("nan"))
    assert got.tolist() == [[1, 8], [7, 4]]
    big = (1 << 60) + 1
    (got,) = run(
        "Imputer",
        [np.array([[1, big], [big, 4]])],
        imputed_value_int64s=[big + 1],
        replaced_value_int64=big,
    )
    assert got.tolist() == [[1, big + 1], [big + 1, 4]]
    with pytest.raises(pyinfer.PyinferError, match="3 values for 2"):
        run("Imputer", [x], imputed_value_floats=[1.0, 2, 3])
    with pytest.raises(pyinfer.PyinferError, match="no imputed values"):
        run("Imputer", [x], imputed_value_int64s=[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_one_hot_is_as_in_the_reference(dtype: Any) -> None:
    x = np.array([[1, 2], [5, 3]], dtype)
    (got,) = run("OneHotEncoder", [x], cats_int64s=[3, 1, 2])
    np.testing.assert_array_equal(
        got, reference("OneHotEncoder", [x], cats_int64s=[3, 1, 2], zeros=1)[0]
    )
    with pytest.raises(pyinfer.PyinferError, match="none of the 3 categories"):
        run("OneHotEncoder", [x], cats_int64s=[3, 1, 2], zeros=0)
    assert run("OneHotEncoder", [np.array([1.5, np.nan, 1e300])], cats_int64s=[1])[0].tolist() == [
        [0],
        [0],
        [0],
    ]


def test_one_hot_of_strings() -> None:
    x = strings("b", "a", "", "c")
    assert run("OneHotEncoder", [x], cats_strings=["a", "b"])[0].tolist() == [
        [0, 1],
        [1, 0],
        [0, 0],
        [0, 0],
    ]
    with pytest.raises(pyinfer.PyinferError, match="categories are i64"):
        run("OneHotEncoder", [x], cats_int64s=[1])


def test_label_encoders() -> None:
    words, numbers = strings("b", "zz", "a"), np.array([1, 9, 0])
    classes = {"version": 1, "classes_strings": ["a", "b"]}
    assert run("LabelEncoder", [words], **classes)[0].tolist() == [1, -1, 0]
    assert run("LabelEncoder", [numbers], **classes, default_string="?")[0].tolist() == [
        "b",
        "?",
        "a",
    ]
    cats = {"version": 1, "cats_strings": ["a", "b"], "cats_int64s": [0, 1]}
    assert run("CategoryMapper", [words], **cats, default_int64=7)[0].tolist() == [1, 7, 0]
    assert run("CategoryMapper", [numbers], **cats)[0].tolist() == ["b", "_Unused", "a"]
    x = np.array([0.5, np.nan, -0.0, 3], np.float32)
    keys = {"version": 2, "keys_floats": [0.0, float("nan"), 0.5], "values_int64s": [10, 20, 30]}
    assert run("LabelEncoder", [x], **keys)[0].tolist() == [30, 20, 10, -1]
    floats = {
        "version": 2,
        "keys_strings": ["a", "b", "b"],
        "values_floats": [1.0, 2.0, 3.0],
        "default_float": 9.0,
    }
    assert run("LabelEncoder", [words], **floats)[0].tolist() == [3, 9, 1]


@pytest.mark.parametrize("key", [np.float64, np.int32, np.int16, object])
@pytest.mark.parametrize("value", [np.float64, np.int32, np.int16, object])
def test_label_encoder_of_tensors(key: Any, value: Any) -> None:
    def array(t: Any, *v: int) -> np.ndarray:
        return np.array([str(i) for i in v] if t is object else v, dtype=t)

    attrs = {
        "keys_tensor": array(key, 3, 1),
        "values_tensor": array(value, 30, 10),
        "default_tensor": array(value, 5),
    }
    protos = {k: numpy_helper.from_array(v) for k, v in attrs.items()}
    (got,) = run("LabelEncoder", [array(key, 1, 2, 3)], version=4, **protos)
    assert got.tolist() == array(value, 10, 5, 30).tolist()
    assert got.dtype == (object if value is object else value)


@pytest.mark.parametrize(
    "attrs",
    [dict(keys_int64s=[1], values_int64s=[1, 2]), dict(keys_int64s=[1]), dict(keys_strings=["a"], values_int64s=[1]),
     dict(keys_int64s=[1], values_int64s=[1], values_strings=["a"]),
     dict(keys_int64s=[1], values_tensor=numpy_helper.from_array(np.array([1.5])),
          default_tensor=numpy_helper.from_array(np.array([1, 2])))],
)  # fmt: skip
def test_broken_label_encoders(attrs: dict[str, Any]) -> None:
    with pytest.raises(pyinfer.PyinferError):
        run("LabelEncoder", [np.array([1, 2])], version=4, **attrs)


@pytest.mark.parametrize(
    "x", [IRIS, IRIS[0], IRIS.astype(str).astype(object), IRIS.reshape(5, 30, 4)]
)
def test_extractor(x: np.ndarray) -> None:
    index = np.array([[3, 0, 3]])
    want = x[..., [3, 0, 3]].reshape(*x.shape[:-1], 3) if x.ndim > 1 else x[[3, 0, 3]][None]
    (got,) = run("ArrayFeatureExtractor", [x, index])
    assert got.tolist() == want.tolist()
    for bad in (-1, 4, 1 << 40):
        with pytest.raises(pyinfer.InputError, match="columns"):
            run("ArrayFeatureExtractor", [x, np.array([0, bad])])


def test_vectorizer_and_binarizer() -> None:
    a, b = np.array([[1, 2], [3, 4]], np.int64), np.array([5, 6], np.int64)
    assert run("FeatureVectorizer", [a, b], inputdimensions=[3, 1])[0].tolist() == [
        [1, 2, 0, 5],
        [3, 4, 0, 6],
    ]
    assert run("FeatureVectorizer", [a, b], inputdimensions=[1, 1])[0].tolist() == [[1, 5], [3, 6]]
    for bad in ([1], [-1, 1], [1 << 62, 1 << 62]):
        with pytest.raises(pyinfer.PyinferError):
            run("FeatureVectorizer", [a, b], inputdimensions=bad)
    assert run("Binarizer", [a], threshold=2.5)[0].tolist() == [[0, 0], [1, 1]]


# ---- a pipeline: strings and numbers in, classes out ----


def test_pipeline() -> None:
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "green", "blue"], 150)
    encoder = preprocessing.OneHotEncoder(sparse_output=False).fit(colour[:, None])
    scaler = preprocessing.StandardScaler().fit(IRIS)
    features = np.hstack([scaler.transform(IRIS), encoder.transform(colour[:, None])]).astype(
        np.float32
    )
    model = tree.DecisionTreeClassifier(random_state=0, max_depth=4).fit(features, KIND)
    attrs = tree_attrs([model.tree_], lambda t, i: list(enumerate(t.value[i][0])), "class")
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain=ML, offset=scaler.mean_.tolist(), scale=(1 / scaler.scale_).tolist()),
        helper.make_node("OneHotEncoder", ["c"], ["h"], domain=ML, cats_strings=encoder.categories_[0].tolist()),
        helper.make_node("Concat", ["s", "h"], ["f"], axis=1),
        helper.make_node("TreeEnsembleClassifier", ["f"], ["label", "p"], domain=ML, classlabels_strings=NAMES, **attrs),
    ]  # fmt: skip
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "pipeline",
        [info("x", TensorProto.FLOAT, ["n", 4]), info("c", TensorProto.STRING, ["n"])],
        [info("label", TensorProto.STRING, ["n"]), info("p", TensorProto.FLOAT, ["n", 3])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(ML, 3)]
    loaded = pyinfer.load(
        helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    )
    for n in (150, 7, 1):
        out = loaded.run({"x": IRIS[:n], "c": colour[:n]})
        np.testing.assert_allclose(out["p"], model.predict_proba(features)[:n], atol=1e-5)
        assert out["label"].tolist() == [NAMES[k] for k in model.predict(features[:n])]


# ---- ZipMap ----


def zipped(*, text: bool = False, declared: bool = True, columns: int = 3, **attrs: Any) -> bytes:
    """scikit-learn's end of a classifier: probabilities as maps from the labels."""
    key = TensorProto.STRING if text else TensorProto.INT64
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    maps = helper.make_value_info("maps", kind) if declared else onnx.ValueInfoProto(name="maps")
    labels = {"classlabels_strings": NAMES} if text else {"classlabels_int64s": [7, -3, 1 << 40]}
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("ZipMap", ["p"], ["maps"], domain=ML, **(attrs or labels)),
    ]
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", columns])]
    sums = helper.make_tensor_value_info("p", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "one", ports, [sums, maps])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(ML, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("text", [False, True])
def test_zip_map_gives_a_dictionary_for_each_row(text: bool, declared: bool) -> None:
    model = pyinfer.load(zipped(text=text, declared=declared))
    assert model.outputs[1].dtype == f"sequence(map({'str' if text else 'int64'}, float32))"
    for n in (4, 1, 0):
        x = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
        for p, maps in (tuple(model.run({"x": x}).values()), model(x)):
            assert [list(m) for m in maps] == [NAMES if text else [7, -3, 1 << 40]] * n
            assert [list(m.values()) for m in maps] == p.tolist()
            assert all(type(v) is float for m in maps for v in m.values())


def test_zip_map_into_an_array() -> None:
    x, y = np.eye(3, dtype=np.float32), np.empty((3, 3), np.float32)
    out = pyinfer.load(zipped()).run({"x": x}, out={"maps": y})
    assert out["maps"] is y
    assert (y == out["p"]).all()


def test_zip_map_of_a_wrong_number_of_labels() -> None:
    with pytest.raises(pyinfer.ModelError, match="X has 4 columns, there are 3 labels"):
        pyinfer.load(zipped(columns=4))(np.zeros((1, 4), np.float32))
    with pytest.raises(pyinfer.ModelError, match="X has 3 columns, there are 1 labels"):
        pyinfer.load(zipped(classlabels_int64s=[1]))(np.zeros((1, 3), np.float32))


def test_maps_of_another_operator_are_refused() -> None:
    model = onnx.load_from_string(zipped())
    model.graph.node[1].op_type, model.graph.node[1].domain = "Identity", ""
    del model.graph.node[1].attribute[:]
    with pytest.raises(pyinfer.UnsupportedError, match="output 'maps': it is a map in a sequence"):
        pyinfer.load(model.SerializeToString())
