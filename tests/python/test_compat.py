# SPDX-License-Identifier: Apache-2.0
"""pyinfer.compat.onnxruntime: what holds of ONNX Runtime holds of it; what cannot be honoured is said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as real
import pytest
from onnx import TensorProto, helper, numpy_helper

from pyinfer.compat import onnxruntime as compat

real.set_default_logger_severity(4)
FLOAT, STRING, I64 = TensorProto.FLOAT, TensorProto.STRING, TensorProto.INT64
X = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
CPU = ["CPUExecutionProvider"]


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Any = (), **fields: Any) -> bytes:
    graph = helper.make_graph(nodes, "graph's name", inputs, outputs, list(weights), doc_string="graph's text")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="maker", **fields)
    helper.set_model_props(proto, {"character": "a\nb"})
    return bytes(proto.SerializeToString())


def port(name: str, kind: int, shape: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


ADD = model(
    [helper.make_node("Add", ["x", "w"], ["y"]), helper.make_node("Neg", ["y"], ["z"])],
    [port("x", FLOAT, ["batch", None, 3])],
    [port("y", FLOAT, ["batch", None, 3]), port("z", FLOAT, ["batch", None, 3])],
    [numpy_helper.from_array(np.float32([1, 2, 3]), "w")],
    domain="some.domain", doc_string="model's text", model_version=7,
)  # fmt: skip
SPLIT = model(
    [helper.make_node("SplitToSequence", ["x"], ["y"], keepdims=0)],
    [port("x", FLOAT, ["n", 2])], [helper.make_tensor_sequence_value_info("y", FLOAT, None)],
)  # fmt: skip
JOIN = model(
    [helper.make_node("SequenceAt", ["x", "i"], ["y"])],
    [helper.make_tensor_sequence_value_info("x", FLOAT, None), port("i", I64, [])], [port("y", FLOAT, None)],
)  # fmt: skip
TEXT = model([helper.make_node("Identity", ["x"], ["y"])], [port("x", STRING, ["n"])], [port("y", STRING, ["n"])])
MAYBE = model(
    [helper.make_node("OptionalHasElement", ["x"], ["y"])],
    [helper.make_value_info("x", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, None)))],
    [port("y", TensorProto.BOOL, [])],
)  # fmt: skip
ZIP = model(
    [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"])],
    [port("x", FLOAT, [2, 2])],
    [helper.make_value_info("y", helper.make_sequence_type_proto(
        helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))))],
)  # fmt: skip
STEP = model(  # a state that goes around
    [helper.make_node("ReduceSum", ["s"], ["t"], keepdims=1), helper.make_node("Add", ["s", "t"], ["next"])],
    [port("s", FLOAT, [4])], [port("next", FLOAT, [4])],
)  # fmt: skip


@pytest.fixture(params=[compat, real], ids=["pyinfer", "onnxruntime"])
def ort(request: pytest.FixtureRequest) -> Any:
    return request.param


def errors(ort: Any) -> Any:
    return ort.capi.onnxruntime_pybind11_state


# ---- both engines ----


def test_ports_and_metadata(ort: Any) -> None:
    s = ort.InferenceSession(ADD, providers=CPU)
    assert [str(n) for n in s.get_inputs()] == ["NodeArg(name='x', type='tensor(float)', shape=['batch', None, 3])"]
    assert [(n.name, n.type, n.shape) for n in s.get_outputs()] == [
        (name, "tensor(float)", ["batch", None, 3]) for name in ("y", "z")
    ]
    meta = s.get_modelmeta()
    assert meta.custom_metadata_map == {"character": "a\nb"} and meta.version == 7
    assert (meta.producer_name, meta.graph_name, meta.graph_description) == ("maker", "graph's name", "graph's text")
    assert (meta.domain, meta.description) == ("some.domain", "model's text")
    assert s.get_providers() == CPU and s.get_provider_options() == {CPU[0]: {}}
    assert s.get_overridable_initializers() == []


@pytest.mark.parametrize("source", [ADD, SPLIT, JOIN, TEXT, MAYBE, ZIP])
def test_types(ort: Any, source: bytes) -> None:
    mine, theirs = (e.InferenceSession(source, providers=CPU) for e in (compat, real))
    for a, b in zip(
        [*mine.get_inputs(), *mine.get_outputs()], [*theirs.get_inputs(), *theirs.get_outputs()], strict=True
    ):
        assert (a.name, a.type, a.shape) == (b.name, b.type, b.shape)


def test_maps(ort: Any) -> None:
    s = ort.InferenceSession(ZIP, providers=CPU)
    x = np.float32([[0.25, 0.75], [1, 0]])
    maps = [{"no": 0.25, "yes": 0.75}, {"no": 1, "yes": 0}]
    assert s.run(None, {"x": x}) == [maps]


def test_every_element_type() -> None:
    for kind in (k for k in TensorProto.DataType.values() if k not in (0, 14, 15)):
        source = model([helper.make_node("Identity", ["x"], ["y"])], [port("x", kind, [2])], [port("y", kind, [2])])
        try:
            theirs = real.InferenceSession(source, providers=CPU).get_inputs()[0].type
            mine = compat.InferenceSession(source).get_inputs()[0].type
        except Exception:  # too new for one of the two
            continue
        assert mine == theirs
        assert compat._nodes.ELEMENTS[compat._nodes.element_name(compat.InferenceSession(source)._inputs[0].dtype)][0] == kind


def test_from_a_file(ort: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(ADD)
    for source in (path, str(path)):
        s = ort.InferenceSession(source, providers=[("CPUExecutionProvider", {"a": 1})])
        np.testing.assert_array_equal(s.run(["z"], {"x": X})[0], -(X + np.float32([1, 2, 3])))
        assert s.get_modelmeta().graph_name == "graph's name"


@pytest.mark.parametrize(
    "value",
    [X, X[::-1, :, ::-1], X.tolist(), X[:, :1], X[:0], np.asfortranarray(X)],
    ids=["plain", "reversed", "lists", "other-shape", "empty", "fortran"],
)
def test_run(ort: Any, value: Any) -> None:
    s = ort.InferenceSession(ADD, providers=CPU)
    want = np.asarray(value, np.float32) + np.float32([1, 2, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for names, expected in (
            (None, [want, -want]), ([], [want, -want]), (["z"], [-want]), (["z", "y", "z"], [-want, want, -want]),
        ):  # fmt: skip
            got = s.run(names, {"x": value})
            assert isinstance(got, list) and len(got) == len(expected)
            for a, b in zip(got, expected, strict=True):
                assert a.dtype == np.float32 and a.flags.writeable and not np.shares_memory(a, X)
                np.testing.assert_array_equal(a, b)


def test_run_other_kinds(ort: Any) -> None:
    rows = ort.InferenceSession(SPLIT, providers=CPU).run(None, {"x": X[0, :, :2]})[0]
    assert isinstance(rows, list) and [r.tolist() for r in rows] == X[0, :, :2].tolist()
    got = ort.InferenceSession(JOIN, providers=CPU).run(None, {"x": [X, X[0]], "i": np.array(1)})[0]
    np.testing.assert_array_equal(got, X[0])
    for text in (np.array(["a", "bc"]), np.array(["a", "bc"], object), ["a", "bc"]):
        (got,) = ort.InferenceSession(TEXT, providers=CPU).run(None, {"x": text})
        assert got.dtype == object and got.tolist() == ["a", "bc"]
    maybe = ort.InferenceSession(MAYBE, providers=CPU)
    assert [maybe.run(None, f)[0].item() for f in ({"x": None}, {}, {"x": X})] == [False, False, True]


def test_refused_feeds(ort: Any) -> None:
    s, invalid = ort.InferenceSession(ADD, providers=CPU), errors(ort).InvalidArgument
    for feed, error in (
        ({}, ValueError), ({"x": X, "q": X}, invalid), ({"x": X.astype("f8")}, invalid), ({"x": X.astype("i4")}, invalid),
        ({"x": X[0]}, invalid), ({"x": X[..., :2]}, invalid), ({"x": 3.0}, RuntimeError), ({"x": np.float32(3)}, RuntimeError),
    ):  # fmt: skip
        with pytest.raises(error) as caught:
            s.run(None, feed)
        assert caught.type is error
    with pytest.raises(invalid):
        s.run(["q"], {"x": X})
    assert s.run(["y"], {"x": X})[0].shape == X.shape


def test_refused_models(ort: Any, tmp_path: Path) -> None:
    e = errors(ort)
    with pytest.raises(e.NoSuchFile):
        ort.InferenceSession(str(tmp_path / "none.onnx"), providers=CPU)
    (tmp_path / "bad.onnx").write_bytes(b"garbage")
    for source in (b"garbage", tmp_path / "bad.onnx"):
        with pytest.raises(e.InvalidProtobuf):
            ort.InferenceSession(source, providers=CPU)
    relu = helper.make_node("Relu", ["x"], ["y"], none=1)
    with pytest.raises(e.InvalidGraph):
        ort.InferenceSession(model([relu], [port("x", FLOAT, [1])], [port("y", FLOAT, [1])]), providers=CPU)
    for wrong in (bytearray(ADD), 3, None):
        with pytest.raises(TypeError):
            ort.InferenceSession(wrong)
    for name in ("Fail", "RuntimeException", "NotImplemented", "NoModel", "EPFail", "EngineError", "ModelLoaded", "NotFound"):
        assert getattr(e, name).__mro__[1] is Exception


def test_session_options(ort: Any) -> None:
    o = ort.SessionOptions()
    names = compat.SessionOptions._defaults
    assert {n: str(getattr(o, n)) for n in names} == {n: str(v) for n, v in names.items()}
    o.intra_op_num_threads = np.int64(1)
    o.inter_op_num_threads = 1
    o.log_severity_level = 3
    o.enable_cpu_mem_arena = False
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    o.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert o.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    for call, error in (
        (lambda: o.get_session_config_entry("none"), RuntimeError),
        (lambda: o.add_session_config_entry("session.x", 1), TypeError),
        (lambda: setattr(o, "intra_op_num_threads", 1.5), TypeError),
        (lambda: setattr(o, "graph_optimization_level", 99), TypeError),
        (lambda: setattr(o, "no_such_option", 1), AttributeError),
    ):
        with pytest.raises(error):
            call()
    s = ort.InferenceSession(ADD, o, CPU)
    kept = s.get_session_options()
    assert kept is not o and kept.intra_op_num_threads == 1 and not kept.enable_cpu_mem_arena
    assert s.run(["y"], {"x": X})[0].shape == X.shape
    assert [int(v) for v in ort.GraphOptimizationLevel.__members__.values()] == [0, 1, 2, 3, 99]
    assert ort.ExecutionMode.ORT_PARALLEL.name == "ORT_PARALLEL"


def test_free_dimensions(ort: Any) -> None:
    o = ort.SessionOptions()
    o.add_free_dimension_override_by_name("batch", 2)
    s = ort.InferenceSession(ADD, o, CPU)
    assert [n.shape for n in (*s.get_inputs(), *s.get_outputs())] == [[2, None, 3]] * 3
    assert s.run(["y"], {"x": X})[0].shape == X.shape
    with pytest.raises(errors(ort).InvalidArgument):
        s.run(["y"], {"x": X[:1]})


def test_run_options(ort: Any) -> None:
    s, o = ort.InferenceSession(ADD, providers=CPU), ort.RunOptions()
    o.logid, o.log_severity_level = "run", 2
    o.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    assert o.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"
    assert s.run(["y"], {"x": X}, o)[0].shape == X.shape
    o.terminate = True
    with pytest.raises(errors(ort).Fail):
        s.run(None, {"x": X}, o)
    with pytest.raises(RuntimeError):
        o.get_run_config_entry("none")


def test_values(ort: Any) -> None:
    x = X.copy()
    v = ort.OrtValue.ortvalue_from_numpy(x, "cpu", 0)
    assert (v.shape(), v.data_type(), v.element_type(), v.device_name()) == ([2, 4, 3], "tensor(float)", 1, "cpu")
    assert (v.has_value(), v.is_tensor(), v.is_sparse_tensor(), v.is_tensor_sequence()) == (True, True, False, False)
    assert v.tensor_size_in_bytes() == 96 and v.data_ptr() == x.ctypes.data and np.shares_memory(v.numpy(), x)
    v.update_inplace(np.ones_like(x))
    assert x.sum() == 24 and np.asarray(v).sum() == 24 and np.from_dlpack(v).sum() == 24
    with pytest.raises(RuntimeError):
        v.update_inplace(np.ones(3, np.float32))
    with pytest.raises(TypeError):
        v.update_inplace([1.0])
    for kind in (np.float32, 1):
        made = ort.OrtValue.ortvalue_from_shape_and_type([2, 3], kind)
        assert made.numpy().shape == (2, 3) and made.data_type() == "tensor(float)"
    assert ort.OrtValue.ortvalue_from_numpy(X[:, ::2]).numpy().tolist() == X[:, ::2].tolist()
    bits = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.zeros(3, np.uint16), TensorProto.BFLOAT16)
    assert (bits.data_type(), bits.element_type(), bits.shape()) == ("tensor(bfloat16)", 16, [3])
    assert ort.OrtValue.from_dlpack(np.ones(3)).numpy().tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError):
        ort.OrtValue.ortvalue_from_numpy(x, "cuda", 0)
    assert ort.OrtDevice.make("cpu", 0).device_type() == 0


def test_run_with_values(ort: Any) -> None:
    s, v = ort.InferenceSession(ADD, providers=CPU), ort.OrtValue.ortvalue_from_numpy(X)
    (z,) = s.run_with_ort_values(["z"], {"x": v})
    np.testing.assert_array_equal(z.numpy(), -(X + np.float32([1, 2, 3])))
    np.testing.assert_array_equal(s.run(["z"], {"x": v})[0], z.numpy())
    (rows,) = ort.InferenceSession(SPLIT, providers=CPU).run_with_ort_values(
        None, {"x": ort.OrtValue.ortvalue_from_numpy(X[0, :, :2].copy())}
    )
    assert rows.is_tensor_sequence() and not rows.is_tensor() and rows.data_type() == "seq(tensor(float))"
    with pytest.raises(RuntimeError):
        rows.numpy()


def test_binding(ort: Any) -> None:
    s = ort.InferenceSession(ADD, providers=CPU)
    want = X + np.float32([1, 2, 3])
    b = s.io_binding()
    x, y = X.copy(), np.zeros_like(X)
    with pytest.raises(RuntimeError):
        s.run_with_iobinding(b)
    b.bind_cpu_input("x", x)
    b.bind_output("z")
    b.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    b.synchronize_inputs()
    s.run_with_iobinding(b)
    b.synchronize_outputs()
    np.testing.assert_array_equal(y, want)
    assert [v.numpy().sum() for v in b.get_outputs()] == [-want.sum(), want.sum()]  # in the order of binding
    first = b.copy_outputs_to_cpu()
    x += 1
    s.run_with_iobinding(b)
    np.testing.assert_array_equal(y, want + 1)
    np.testing.assert_array_equal(first[0], -want)

    b.clear_binding_outputs()
    out = ort.OrtValue.ortvalue_from_shape_and_type(X.shape, np.float32)
    b.bind_ortvalue_output("y", out)
    b.bind_input("x", "cpu", 0, np.float32, X.shape, X.ctypes.data)
    s.run_with_iobinding(b)
    np.testing.assert_array_equal(out.numpy(), want)
    b.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(X[:1]))
    with pytest.raises(RuntimeError):  # the output has another shape
        s.run_with_iobinding(b)
    b.clear_binding_inputs()
    with pytest.raises(RuntimeError):
        s.run_with_iobinding(b)
    with pytest.raises(RuntimeError):
        b.bind_cpu_input("q", X)
    with pytest.raises(ValueError):
        ort.InferenceSession(ADD, providers=CPU).run_with_iobinding(b)
    with pytest.raises(ValueError):
        b.bind_output("y", buffer_ptr=y.ctypes.data)


def test_profile(ort: Any, tmp_path: Path) -> None:
    o = ort.SessionOptions()
    o.enable_profiling, o.profile_file_prefix = True, str(tmp_path / "trace")
    s = ort.InferenceSession(ADD, o, CPU)
    for _ in range(2):
        s.run(None, {"x": X})
    path = s.end_profiling()
    assert path.startswith(str(tmp_path / "trace_")) and path.endswith(".json") and s.end_profiling() == ""
    events = json.loads(Path(path).read_text())
    assert [e["name"] for e in events].count("model_run") == 2
    assert {e["args"]["op_name"] for e in events if e["cat"] == "Node"} == {"Add", "Neg"}
    assert all(e["ph"] == "X" and e["dur"] >= 0 for e in events)
    assert s.get_profiling_start_time_ns() > 0
    s = ort.InferenceSession(ADD, providers=CPU)
    assert s.end_profiling() == "" and s.get_profiling_start_time_ns() == 0


def test_async(ort: Any) -> None:
    s = ort.InferenceSession(ADD, providers=CPU)
    for value, failed in ((X, False), (X.astype("f8"), True)):
        got: list[Any] = []
        done = threading.Event()

        def back(results: Any, data: Any, error: str, got: list[Any] = got, done: Any = done) -> None:
            got.extend([results, data, error])
            done.set()

        s.run_async(["z"], {"x": value}, back, "mine")
        assert done.wait(60)
        assert got[1] == "mine" and bool(got[2]) == failed and len(got[0]) == (not failed)
    with pytest.raises(ValueError):
        s.run_async(None, {}, back, None)


def test_threads(ort: Any) -> None:
    s = ort.InferenceSession(ADD, providers=CPU)
    wrong = []

    def work(i: int) -> None:
        x = np.full((1 + i % 3, 2, 3), i, np.float32)
        for _ in range(50):
            if not np.array_equal(s.run(["y"], {"x": x})[0], x + np.float32([1, 2, 3])):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_module_calls(ort: Any) -> None:
    assert ort.get_device() == "CPU" and CPU[0] in ort.get_available_providers()
    assert ort.__version__ == ort.get_version_string() and ort.get_build_info()
    ort.set_default_logger_severity(4)
    ort.set_default_logger_verbosity(0)
    with pytest.raises(RuntimeError):
        ort.set_default_logger_severity(9)
    ort.disable_telemetry_events()
    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    assert info.name == "Cpu"


def test_a_class_of_ones_own(ort: Any) -> None:
    class Mine(ort.InferenceSession):  # type: ignore[misc, name-defined]
        def __init__(self, source: Any, **kwargs: Any) -> None:
            super().__init__(source, **kwargs)

        def __call__(self, x: Any) -> Any:
            return self.run(None, {self.get_inputs()[0].name: x})[0]

    assert Mine(ADD, providers=CPU, enable_fallback=1)(X).shape == X.shape


# ---- pyinfer's own ----


def test_names_are_onnx_runtimes() -> None:
    ours = {"CompatWarning", "capi", "install", "uninstall"}
    assert not [n for n in compat.__all__ if n not in ours and not hasattr(real, n)]
    assert not [n for n in errors(compat).__all__ if not hasattr(errors(real), n)]
    for name in ("InferenceSession", "SessionOptions", "RunOptions", "OrtValue", "IOBinding", "NodeArg", "ModelMetadata"):
        theirs = {n for n in dir(getattr(real, name)) if not n.startswith("_")}
        mine = {n for n in dir(getattr(compat, name)) if not n.startswith("_")} - {"count", "index"}
        assert mine <= theirs, name
    with pytest.raises(AttributeError, match=r"docs/onnxruntime\.md"):
        _ = compat.LoraAdapter


def test_the_page_has_every_call() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "onnxruntime.md").read_text()
    named = set(re.findall(r"`([\w.]+)`", page))
    missing = []
    for name in set(compat.__all__) - {"__version__", "capi"}:
        thing = getattr(compat, name)
        members = [n for n in dir(thing) if not n.startswith("_")] if isinstance(thing, type) else []
        if isinstance(thing, type) and issubclass(thing, (int, tuple, Exception)):
            members = []  # their own members are in the text
        members += getattr(thing, "_defaults", {})
        missing += [n for n in (name, *members) if n not in named]
    missing += [n for n in errors(compat).__all__ if isinstance(getattr(errors(compat), n), type)
                and issubclass(getattr(errors(compat), n), Exception) and n not in named]  # fmt: skip
    assert not missing


def test_said_by_a_warning(tmp_path: Path) -> None:
    o = compat.SessionOptions()
    with pytest.warns(compat.CompatWarning, match=r"session\.set_denormal_as_zero"):
        o.add_session_config_entry("session.set_denormal_as_zero", "1")
    with pytest.warns(compat.CompatWarning, match="CUDAExecutionProvider"):
        o.add_provider("CUDAExecutionProvider", {})
    assert o.has_providers()
    o.execution_mode = compat.ExecutionMode.ORT_PARALLEL
    with pytest.warns(compat.CompatWarning, match="execution_mode") as seen:
        compat.InferenceSession(ADD, o)
    assert [w.filename for w in seen] == [__file__]
    with pytest.warns(compat.CompatWarning, match="CUDAExecutionProvider") as seen:
        s = compat.InferenceSession(ADD, providers=[("CUDAExecutionProvider", {"device_id": 0}), *CPU])
    assert [w.filename for w in seen] == [__file__] and s.get_providers() == CPU
    with pytest.warns(compat.CompatWarning, match="Tensorrt"):
        s.set_providers(["TensorrtExecutionProvider"])
    with pytest.warns(compat.CompatWarning):
        compat.set_seed(1)
    o = compat.SessionOptions()
    o.optimized_model_filepath = str(tmp_path / "fast.onnx")
    with pytest.warns(compat.CompatWarning, match=r"fast\.onnx"):
        s = compat.InferenceSession(ADD, o)
    again = compat.InferenceSession(tmp_path / "fast.onnx")
    np.testing.assert_array_equal(again.run(None, {"x": X})[1], s.run(None, {"x": X})[1])
    assert again.get_modelmeta().graph_name == ""


def test_refused() -> None:
    o, e = compat.SessionOptions(), errors(compat)
    for call in (
        lambda: o.register_custom_ops_library("ops.so"),
        lambda: o.add_initializer("w", None),
        lambda: o.add_external_initializers([], []),
        lambda: o.add_external_initializers_from_files_in_memory([], [], []),
        lambda: o.add_free_dimension_override_by_denotation("DATA_BATCH", 1),
        lambda: o.add_session_config_entry("session.load_model_format", "ORT"),
        lambda: compat.RunOptions().add_active_adapter(None),
        lambda: compat.InferenceSession(model([helper.make_node("Foo", ["x"], ["y"])], [port("x", 1, [1])], [port("y", 1, [1])])),
    ):  # fmt: skip
        with pytest.raises(e.NotImplemented):
            call()
    for wrong in ([3], [("CPUExecutionProvider",)]):
        with pytest.raises(ValueError):
            compat.InferenceSession(ADD, providers=wrong)
    with pytest.raises(ValueError):
        compat.InferenceSession(ADD, providers=CPU, provider_options=[{}, {}])
    with pytest.raises(TypeError):
        compat.InferenceSession(ADD, real.SessionOptions())  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        compat.InferenceSession(ADD).io_binding().bind_output("y", "cuda")
    o.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    assert compat.InferenceSession(ADD, o, CPU)
    with pytest.warns(compat.CompatWarning), pytest.raises(e.Fail):
        compat.InferenceSession(ADD, o, ["CUDAExecutionProvider"])


def test_copies_between_values() -> None:
    """ONNX Runtime has them for GPUs only."""
    one, other, third = (compat.OrtValue.ortvalue_from_shape_and_type([2, 4, 3], np.float32) for _ in range(3))
    one.update_inplace(X)
    other.update_inplace(one)
    compat.copy_tensors([one], [third])
    assert [np.array_equal(v.numpy(), X) for v in (one, other, third)] == [True] * 3


def test_big_endian() -> None:
    """ONNX Runtime reads the bytes as they lie, and is wrong."""
    got = compat.InferenceSession(ADD).run(["y"], {"x": X.astype(">f4")})[0]
    np.testing.assert_array_equal(got, X + np.float32([1, 2, 3]))


def test_options_reach_the_engine() -> None:
    o = compat.SessionOptions()
    o.intra_op_num_threads = 1
    assert compat.InferenceSession(ADD, o)._model.threads == 1
    o.graph_optimization_level = compat.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert o._load_options() == {"threads": 1, "level": 1}
    o.use_per_session_threads = False
    compat.set_global_thread_pool_sizes(3, 1)
    assert o._load_options() == {"threads": 3, "level": 1}
    compat.set_global_thread_pool_sizes(0, 0)


def test_external_data_of_bytes(tmp_path: Path) -> None:
    proto = onnx.load_from_string(ADD)
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    o = compat.SessionOptions()
    o.add_session_config_entry("session.model_external_initializers_file_folder_path", str(tmp_path))
    s = compat.InferenceSession((tmp_path / "m.onnx").read_bytes(), o)
    np.testing.assert_array_equal(s.run(["y"], {"x": X})[0], X + np.float32([1, 2, 3]))


def test_an_output_bound_to_an_inputs_memory() -> None:
    """The run must not read what it has written."""
    s = compat.InferenceSession(STEP)
    state = compat.OrtValue.ortvalue_from_numpy(np.float32([1, 2, 3, 4]))
    b = s.io_binding()
    b.bind_ortvalue_input("s", state)
    b.bind_ortvalue_output("next", state)
    want = state.numpy().copy()
    for _ in range(3):
        s.run_with_iobinding(b)
        want = want + want.sum()
        np.testing.assert_array_equal(state.numpy(), want)
    assert b.get_outputs()[0].data_ptr() == state.data_ptr()
    b.bind_ortvalue_output("next", compat.OrtValue.ortvalue_from_numpy(state.numpy()[:2]))
    with pytest.raises(RuntimeError):
        s.run_with_iobinding(b)


def test_install() -> None:
    before = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "onnxruntime"}
    with compat.install():
        with compat.install():
            import onnxruntime
            from onnxruntime import InferenceSession
            from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

            assert onnxruntime is compat and InferenceSession is compat.InferenceSession
            assert InvalidArgument is errors(compat).InvalidArgument
            with pytest.raises(ImportError):
                import onnxruntime.quantization  # noqa: F401
        assert sys.modules["onnxruntime"] is compat
    assert {n: m for n, m in sys.modules.items() if n.split(".")[0] == "onnxruntime"} == before
    with pytest.raises(RuntimeError):
        compat.uninstall()


def test_import_does_not_load_onnx_runtime(tmp_path: Path) -> None:
    code = "import sys; from pyinfer.compat import onnxruntime; print([m for m in sys.modules if m.startswith(('onnx', 'torch'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"
