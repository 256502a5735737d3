# SPDX-License-Identifier: Apache-2.0
"""PyTorch modules in one line, called as they were."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyinfer
from pyinfer import torch_backend, torch_export

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(torch.relu(self.norm(self.conv(x)))).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.fixture(scope="module")
def model(net: Net) -> Any:
    return pyinfer.from_torch(net, torch.ones(2, 3, 8, 8), ({0: "batch"},), threads=1)


def expected(net: torch.nn.Module, *x: Any) -> Any:
    net.eval()
    with torch.no_grad():
        return net(*x)


def test_what_people_write(net: Net) -> None:
    """Arrays as examples, the sizes of the only argument without a tuple; a class instead of a module."""
    x = np.ones((2, 3, 8, 8), np.float32)
    m = pyinfer.from_torch(net, x, {0: "batch"}, threads=1)
    torch.testing.assert_close(torch.from_numpy(m(x[:1])), expected(net, torch.from_numpy(x[:1])))
    with pytest.raises(TypeError, match=r"Net is a class: give a module of it, such as Net\(\)"):
        pyinfer.from_torch(Net, x)
    with pytest.raises(TypeError, match="the model comes first"):
        pyinfer.compare(net, m, x)


def test_tensors_and_arrays(net: Net, model: Any) -> None:
    x = torch.rand(5, 3, 8, 8)
    y = model(x)
    assert isinstance(y, torch.Tensor) and not y.requires_grad
    torch.testing.assert_close(y, expected(net, x))
    again = model(x.numpy())
    assert isinstance(again, np.ndarray)
    np.testing.assert_array_equal(again, y.numpy())
    with pytest.warns(pyinfer.InputWarning) as caught:
        model(x.permute(0, 1, 3, 2))
    assert caught[0].filename == __file__
    torch.testing.assert_close(model(x.permute(0, 1, 3, 2)), expected(net, x.permute(0, 1, 3, 2)))
    torch.testing.assert_close(model(x.requires_grad_()), y)
    torch.testing.assert_close(model(x=x), y)
    with pytest.raises(pyinfer.InputError, match="x"):
        model(x[0])
    with pytest.raises(pyinfer.InputError, match="2 arrays"):
        model(x, x)
    got = pyinfer.load(Path(model._folder, "model.onnx"))(x.requires_grad_())  # of any model
    np.testing.assert_array_equal(got, y.numpy())
    assert list(model.run(x, fetch=["relu"])) == ["linear", "relu"] and "test_from_torch.py" in model.explain(x)
    assert model.threads == 1


def test_it_is_exported_in_eval_mode_and_the_module_is_as_it_was() -> None:
    net = Net()
    net.drop.eval()
    x = torch.rand(2, 3, 8, 8)
    model = pyinfer.from_torch(net, (x,))
    assert net.training and net.conv.training and not net.drop.training
    torch.testing.assert_close(model(x), expected(net, x))


class Many(torch.nn.Module):
    def forward(self, x: torch.Tensor, n: int, parts: dict[str, Any], add: torch.Tensor | None = None) -> Any:
        s = x * n + parts["y"]
        return {"sum": s if add is None else s + add, "rest": (parts["z"][0] * 2, None)}


def test_arguments_within_others() -> None:
    x, y, z = (torch.full((2, 3), v) for v in (1.0, 2.0, 3.0))
    model = pyinfer.from_torch(Many(), (x, 3, {"y": y, "z": [z]}))
    got = model(x, 3, {"y": y, "z": [z]})
    assert isinstance(got[0], torch.Tensor)
    assert got[0].tolist() == [[5.0] * 3] * 2 and got[1].tolist() == [[6.0] * 3] * 2
    assert model(x.numpy(), 3, {"y": y.numpy(), "z": [z.numpy()]})[0].tolist() == [[5.0] * 3] * 2
    assert model(x, y, z)[0].tolist() == [[5.0] * 3] * 2
    with pytest.raises(pyinfer.InputError, match="argument 1 was 3 .* got 4"):
        model(x, 4, {"y": y, "z": [z]})
    with pytest.raises(pyinfer.InputError, match="arrays are given"):
        model(x, 3, {"y": y})


def test_other_types() -> None:
    class Types(torch.nn.Module):
        def forward(self, i: torch.Tensor, b: torch.Tensor, h: torch.Tensor) -> Any:
            return i + 1, ~b, h * 2

    args = torch.tensor([1, 2]), torch.tensor([True, False]), torch.ones(2, dtype=torch.bfloat16)
    got = pyinfer.from_torch(Types(), args)(*args)
    assert [g.dtype for g in got] == [torch.int64, torch.bool, torch.bfloat16]
    assert [g.tolist() for g in got] == [[2, 3], [False, True], [2, 2]]


def test_errors_name_the_line() -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.sum() > 0:
                return x
            return -x

    class Eig(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return torch.linalg.eig(x)

    with pytest.raises(pyinfer.UnsupportedError, match=r"cannot export Branch .*test_from_torch.py:\d+: if x.sum") as info:
        pyinfer.from_torch(Branch(), torch.ones(3))
    assert len(str(info.value).splitlines()) == 1
    with pytest.raises(pyinfer.UnsupportedError, match=r"no ONNX form of aten.linalg_eig.*torch.linalg.eig\(x\)"):
        pyinfer.from_torch(Eig(), torch.ones(3, 3))
    with pytest.raises(TypeError, match="Module.*got function"):
        pyinfer.from_torch(lambda x: x, torch.ones(3))
    with pytest.raises(TypeError, match="no option 'tread'"):
        pyinfer.from_torch(Net(), torch.ones(1, 3, 8, 8), tread=1)


def test_the_file_goes_with_the_model(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beside the model, read late: the first run is after the export's end."""
    monkeypatch.setattr(torch_export, "LARGE", 0)
    x = torch.rand(1, 3, 8, 8)
    model = pyinfer.from_torch(net, x)
    folder = Path(model._folder)
    assert len(list(folder.iterdir())) == 2
    torch.testing.assert_close(model(x), expected(net, x))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(model)
    child = os.fork()
    if child == 0:
        del model
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.exists()
    assert "relu" in model.run(x, fetch=["relu"])
    del model
    gc.collect()
    assert not folder.exists()


def test_pickle(net: Net, model: Any) -> None:
    x = torch.rand(3, 3, 8, 8)
    twin = pickle.loads(pickle.dumps(model))
    assert twin._folder != model._folder and twin.threads == 1
    assert torch.equal(twin(x), model(x))


def test_importing_pyinfer_imports_no_torch() -> None:
    code = "import sys, pyinfer; dir(pyinfer); assert not {'torch', 'onnx'} & set(sys.modules); pyinfer.from_torch"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")  # not the source tree
    with pytest.raises(AttributeError, match="no attribute 'from_touch'"):
        pyinfer.from_touch  # noqa: B018


# ---- torch.compile ----


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compiles with the backend; gives the graphs that it made too."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch_backend, "_warned", set())
    graphs: list[Any] = []

    def remembering(module: Any, inputs: Any, **options: Any) -> Any:
        graphs.append(torch_backend.backend(module, inputs, **options))
        return graphs[-1]

    return lambda net, **more: (torch.compile(net, backend=remembering, **more), graphs)


def test_compile(compiled: Any) -> None:
    net, x = Net().eval(), torch.rand(2, 3, 8, 8)
    fast, graphs = compiled(net, options={"threads": 1})
    with torch.inference_mode():
        y = fast(x)
    assert isinstance(y, torch.Tensor)
    torch.testing.assert_close(y, expected(net, x))
    (graph,) = graphs
    assert graph.model.threads == 1 and len(graph.inputs) == 1 and not graph.stays
    with torch.no_grad():
        torch.testing.assert_close(fast(x.transpose(2, 3)), expected(net, x.transpose(2, 3)))
        made = graphs[-1].model
        fast(x)
        net.last.weight += 1  # frozen, but not for ever
        torch.testing.assert_close(fast(x), expected(net, x))
    assert made is not None


def test_compile_with_other_sizes(compiled: Any) -> None:
    net = Net().eval()
    fast, graphs = compiled(net, dynamic=True)
    with torch.no_grad():
        for n in (2, 5, 3):
            x = torch.rand(n, 3, 8, 8)
            torch.testing.assert_close(fast(x), expected(net, x))
    (graph,) = graphs
    assert graph.model.inputs[0].shape[0] != 2 and len(graph.module.graph.find_nodes(op="placeholder")) > 7


def test_results_of_all_kinds(compiled: Any) -> None:
    def function(x: torch.Tensor, n: int) -> Any:
        return {"sum": x.sum(), "size": x.shape[0], "same": x, "twice": (x * n, None), "int": x.to(torch.int32)}

    fast, graphs = compiled(function, dynamic=True)
    x = torch.arange(6.0).reshape(3, 2)
    got = fast(x, 2)
    assert got["sum"].item() == 15 and got["size"] == 3 and got["same"] is x
    assert torch.equal(got["twice"][0], x * 2) and got["twice"][1] is None and got["int"].dtype == torch.int32
    assert graphs[0].model is not None


def test_gradients_and_training_stay_in_pytorch(compiled: Any) -> None:
    net, x = Net(), torch.rand(2, 3, 8, 8)
    fast, graphs = compiled(net)
    net.eval()
    with pytest.warns(torch_backend.TorchWarning, match="needs gradients"):
        fast(x).sum().backward()
    assert net.last.weight.grad is not None and graphs[-1].model is None
    net.train()
    before = net.norm.running_mean.clone()
    with torch.no_grad(), pytest.warns(torch_backend.TorchWarning, match=r"training mode does: call eval\(\)"):
        fast(x)
    assert not torch.equal(before, net.norm.running_mean), "the module was not run"
    only = torch.nn.Dropout(0.5)
    with torch.no_grad(), pytest.warns(torch_backend.TorchWarning, match="random"):
        assert 100 < int((compiled(only)[0](torch.ones(1000)) == 0).sum()) < 900


def test_operators_with_a_dropout_that_is_off(compiled: Any) -> None:
    def function(x: torch.Tensor, p: float = 0.0) -> Any:
        return torch.nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=p)

    x = torch.rand(1, 2, 4, 8)
    fast, graphs = compiled(function)
    torch.testing.assert_close(fast(x), function(x))
    assert graphs[0].model is not None
    with pytest.warns(torch_backend.TorchWarning, match="random"):
        fast(x, 0.5)


def test_what_is_not_supported_stays_with_one_warning(compiled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inner: list[Any] = []
    monkeypatch.setattr(torch_backend, "open_program", lambda *a: inner.append(torch_export.open_program(*a)) or inner[-1])

    def function(x: torch.Tensor) -> Any:
        values = torch.special.bessel_j0(torch.relu(x * 2) + 1)
        return torch.softmax(values * 2, 0), x + 1

    fast, graphs = compiled(function)
    x = torch.rand(3, 3)
    with pytest.warns(torch_backend.TorchWarning, match="bessel_j0") as caught:
        for _ in range(3):
            torch.testing.assert_close(fast(x), function(x))
    assert len([w for w in caught if w.category is torch_backend.TorchWarning]) == 1 and graphs[0].stays
    assert [len(m.input_names) for m in inner] == [1, 2], "what is before and behind it are models"


def test_the_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    point = text.partition("[project.entry-points.torch_dynamo_backends]\n")[2].splitlines()[0].replace('"', "")
    info = tmp_path / "twin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[torch_dynamo_backends]\n{point}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = (p for p in metadata.entry_points(group="torch_dynamo_backends") if p.dist and p.dist.name == "twin")
    assert found.name == "pyinfer" and found.load() is torch_backend.backend
