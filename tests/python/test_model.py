# SPDX-License-Identifier: Apache-2.0
"""The Python interface: sources, calls, names, casts, errors, and what a model tells of itself."""

import io
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import pyinfer
from support import tiny

X = np.float32([[1, 2, 3], [0, 0, 1]])
Y = np.float32([[14.5, -13.75], [3.5, -2.75]])


@pytest.fixture
def model() -> pyinfer.Model:
    return pyinfer.load(tiny.linear())


def test_sources(tmp_path: Path) -> None:
    data = tiny.linear()
    path = tmp_path / "größe 模型.onnx"
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), onnx.load(path)):
        np.testing.assert_allclose(pyinfer.load(source)(X), Y)
    with path.open("rb") as file:
        np.testing.assert_allclose(pyinfer.load(file)(X), Y)
    with pytest.raises(TypeError, match="not int"):
        pyinfer.load(3)


def test_calls(model: pyinfer.Model) -> None:
    np.testing.assert_allclose(model(X), Y)
    np.testing.assert_allclose(model(x=X), Y)
    np.testing.assert_allclose(model.run({"x": X})["y"], Y)
    for rows in (0, 1, 7, 1000):
        assert model(np.ones((rows, 3), np.float32)).shape == (rows, 2)
    out = np.empty((2, 2), np.float32)
    assert model.run({"x": X}, out={"y": out})["y"] is out
    np.testing.assert_allclose(out, Y)


def test_results_are_the_callers(model: pyinfer.Model) -> None:
    first = model(X)
    kept = first.copy()
    model(X * 2)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_allclose(model(X), Y)
    assert first.flags.owndata or first.base is not None
    assert first.flags.writeable


def test_several_outputs() -> None:
    both = pyinfer.load(tiny.two())
    a, b = np.int64([5, 7]), np.int64([1, 2])
    result = both(a, b)
    assert result.s.tolist() == [6, 9] and result.d.tolist() == [4, 5]
    assert list(both.run({"b": b, "a": a})) == ["s", "d"]
    assert list(both.run({"a": a, "b": b}, outputs=["d"])) == ["d"]
    assert both(b=b, a=a)[1].tolist() == [4, 5]


def test_names(model: pyinfer.Model) -> None:
    with pytest.raises(pyinfer.InputError, match="input 'x' is missing"):
        model.run({})
    with pytest.raises(pyinfer.InputError, match="no input 'z'"):
        model.run({"x": X, "z": X})
    with pytest.raises(pyinfer.InputError, match="no output 'q'"):
        model.run({"x": X}, outputs=["q"])
    for wrong in ((), (X, X)):
        with pytest.raises((pyinfer.InputError, TypeError)):
            model(*wrong)


def test_other_arrays_are_cast_with_one_warning(model: pyinfer.Model) -> None:
    with pytest.warns(pyinfer.InputWarning):
        np.testing.assert_allclose(model.run({"x": X.astype(np.float64)})["y"], Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(model.run({"x": X.astype(np.float64)})["y"], Y)
        np.testing.assert_allclose(model.run({"x": X.astype(X.dtype.newbyteorder())})["y"], Y)
        np.testing.assert_allclose(model.run({"x": np.asfortranarray(X)})["y"], Y)
        np.testing.assert_allclose(model.run({"x": X[::-1]})["y"], Y[::-1])
        np.testing.assert_allclose(model.run({"x": X.tolist()})["y"], Y)
        unaligned = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 3)
        np.testing.assert_allclose(model.run({"x": unaligned})["y"], Y)


def test_strict_refuses_casts() -> None:
    strict = pyinfer.load(tiny.linear(), strict=True)
    np.testing.assert_allclose(strict(X), Y)
    with pytest.raises(pyinfer.InputError, match="float32"):
        strict(X.astype(np.float64))


@pytest.mark.parametrize(
    "bad",
    [
        np.ones((2, 4), np.float32),
        np.ones(3, np.float32),
        np.ones((2, 3, 1), np.float32),
        np.float32(3),
        np.ones((2, 3), np.complex64),
        np.array([["a", "b", "c"]]),
        np.array([[None, object(), 3]]),
    ],
)
def test_wrong_arrays(model: pyinfer.Model, bad: np.ndarray) -> None:
    with pytest.raises((pyinfer.InputError, TypeError)) as info:
        model(bad)
    assert len(str(info.value).splitlines()) == 1
    np.testing.assert_allclose(model(X), Y)


def test_float_never_becomes_integer() -> None:
    both = pyinfer.load(tiny.two())
    with pytest.raises((pyinfer.InputError, TypeError)):
        both(np.float32([1.5]), np.int64([1]))
    with pytest.warns(pyinfer.InputWarning):
        assert both.run({"a": np.int32([5]), "b": np.uint8([1])})["s"].tolist() == [6]


def test_errors_have_classes(tmp_path: Path) -> None:
    for error, parent in (
        (pyinfer.ModelError, ValueError),
        (pyinfer.UnsupportedError, NotImplementedError),
        (pyinfer.InputError, ValueError),
        (pyinfer.LimitError, MemoryError),
        (pyinfer.FileError, OSError),
    ):
        assert issubclass(error, pyinfer.PyinferError) and issubclass(error, parent)
    with pytest.raises(pyinfer.FileError, match="nothing.onnx"):
        pyinfer.load(tmp_path / "nothing.onnx")
    for junk in (b"", b"junk", tiny.linear()[:-7], b"\xff" * 1000):
        with pytest.raises(pyinfer.ModelError):
            pyinfer.load(junk)
    graph = helper.make_graph(
        [helper.make_node("Nonsense", ["x"], ["y"], domain="my.domain")],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)])
    with pytest.raises(pyinfer.UnsupportedError, match="Nonsense"):
        pyinfer.load(proto)


def test_options() -> None:
    assert pyinfer.load(tiny.linear(), threads=1).threads == 1
    with pytest.raises(TypeError, match="no option 'treads'.*threads"):
        pyinfer.load(tiny.linear(), treads=1)
    with pytest.raises(pyinfer.InputError):
        pyinfer.load(tiny.linear(), threads=-5)
    for level in (0, 1, 2):
        np.testing.assert_allclose(pyinfer.load(tiny.linear(), level=level, onednn=False)(X), Y)
    with pytest.raises(pyinfer.LimitError):
        pyinfer.load(tiny.linear(), memory_limit=1000)(X)


def test_it_tells(model: pyinfer.Model, tmp_path: Path) -> None:
    (port,) = model.inputs
    assert (port.name, port.shape, port.dtype) == ("x", ("n", 3), "float32")
    assert model.outputs[0].name == "y"
    assert "x" in repr(model) and "<table" in model._repr_html_()
    assert model.metadata["opset"] == "17"
    model(X)
    assert 0 < model.memory.used <= model.memory.peak
    text = model.explain(X)
    assert "MatMul" in text or "Gemm" in text
    assert "y" in model.graph_text()
    assert "MatMul" in str(model.profile(X)) or "Gemm" in str(model.profile(X))
    assert {"version", "cpu", "onednn", "openmp", "threads"} <= set(pyinfer.config())
    assert pyinfer.config()["version"].startswith(pyinfer.__version__)


def test_pickle_and_close(model: pyinfer.Model) -> None:
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(twin(X), Y)
    with pyinfer.load(tiny.linear()) as inside:
        np.testing.assert_allclose(inside(X), Y)
    assert inside.closed
    inside.close()
    with pytest.raises((pyinfer.PyinferError, ValueError)):
        inside(X)
    assert "closed" in repr(inside)


def test_many_threads_get_the_same_bits(model: pyinfer.Model) -> None:
    inputs = [np.random.default_rng(i).standard_normal((i % 5 + 1, 3)).astype(np.float32) for i in range(32)]
    expected = [model(x).tobytes() for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(100) if model(inputs[i]).tobytes() != expected[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closing_while_others_run() -> None:
    for _ in range(20):
        model = pyinfer.load(tiny.linear())
        expected = model(X).tobytes()
        bad: list[bytes] = []

        def work(model: pyinfer.Model = model, expected: bytes = expected, bad: list[bytes] = bad) -> None:
            while True:
                try:
                    result = model(X).tobytes()
                except (pyinfer.PyinferError, ValueError):
                    return
                if result != expected:
                    bad.append(result)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        model.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not bad


def test_many_shapes_do_not_pile_up(model: pyinfer.Model) -> None:
    for rows in range(1, 200):
        model(np.ones((rows, 3), np.float32))
    before = model.memory.used
    for rows in range(1, 2000):
        model(np.ones((rows % 200 + 1, 3), np.float32))
    assert model.memory.used < before + 1_000_000
