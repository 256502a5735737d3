# %% [markdown]
# <!-- SPDX-License-Identifier: Apache-2.0 -->
# # From PyTorch to pyinfer, and compare
#
# PyTorch is made for *training*: finding the numbers of a network. Once they are found, the network
# only has to be *run*. Here we train a small one, hand it over to pyinfer, and check with care that
# it is still the same network. Then we break it on purpose, to see what the check says.
#
# Needed, in the folder of pyinfer: `pip install ".[notebooks]" torch onnxscript scikit-learn`

# %%
import copy
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import pyinfer

torch.set_num_threads(1)  # the network is so small that sharing the work out would cost more
_ = torch.manual_seed(0)  # the same random numbers each time

# %% [markdown]
# ## Pictures
#
# scikit-learn brings 1797 handwritten digits, as pictures of 8 x 8 pixels. We keep about 400 of
# them back: the network is tested with pictures that it has never seen.

# %%
digits = load_digits()
pictures = torch.tensor(digits.images / 16, dtype=torch.float32)  # 0 is black, 1 is white
labels = torch.tensor(digits.target)
order = torch.randperm(len(labels))
train, test = order[:1400], order[1400:]
x, answers = pictures[test], labels[test]
assert x.shape == (397, 8, 8)

for row in x[0]:
    print("".join(2 * " ░▒▓█"[int(4 * v)] for v in row))
print("a", answers[0].item())

# %% [markdown]
# ## A network
#
# It is a very small *transformer*, built like those that write text. A picture is its eight rows of
# pixels. In `attend`, each row looks at the other rows and takes from them what it needs
# (*attention*). In the line after it, each row is worked on by itself. At the end, the mean of all
# rows decides on the digit.


# %%
class Reader(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.rows = nn.Linear(8, width)
        self.place = nn.Parameter(0.1 * torch.randn(8, width))  # which row is which
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.digit = nn.Linear(width, 10)

    def attend(self, x):
        batch, rows, width = x.shape
        parts = self.ask(x).view(batch, rows, 3, 4, width // 4)  # 4 heads: 4 ways to look
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(query, key, value)
        return self.mix(y.transpose(1, 2).reshape(batch, rows, width))

    def forward(self, pictures):
        x = self.rows(pictures) + self.place
        x = x + self.attend(self.norm1(x))
        x = x + self.narrow(F.gelu(self.wide(self.norm2(x))))
        return self.digit(x.mean(dim=1))


net = Reader()
print(sum(p.numel() for p in net.parameters()), "weights")

# %% [markdown]
# ## Training
#
# A few seconds are enough. What comes out are *scores*, ten for each picture; the highest is the
# answer. The *loss* says how far the scores are from what they should be.

# %%
optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
for epoch in range(12):
    for some in train[torch.randperm(len(train))].split(100):
        loss = F.cross_entropy(net(pictures[some]), labels[some])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"round {epoch}: loss {loss.item():.3f}")
net.eval()


def right(scores):
    """The share of right answers."""
    return (torch.as_tensor(scores).argmax(1) == answers).float().mean().item()


with torch.inference_mode():
    print(f"{right(net(x)):.1%} of new pictures are right")
    assert right(net(x)) > 0.85

# %% [markdown]
# ## Over to pyinfer
#
# One line. `from_torch` lets PyTorch run the network once, with the example that we give, and write
# down each operation (this is called *export*). pyinfer loads what was written. The example has 2
# pictures; `{0: "batch"}` says that the size at place 0 of its shape may be any other later.

# %%
model = pyinfer.from_torch(net, (x[:2],), ({0: "batch"},), threads=1)
print(*model.inputs, *model.outputs, sep="\n")
assert model.inputs[0].shape == ("batch", 8, 8)

# %% [markdown]
# The model is called as the network is. Who gives tensors gets tensors; who gives NumPy arrays gets
# arrays, and the program needs no PyTorch for that.

# %%
assert isinstance(model(x), torch.Tensor) and model(x).shape == (397, 10)
assert isinstance(model(x.numpy()), np.ndarray)
assert model(x[:1]).shape == (1, 10), "any number of pictures"
print(f"{right(model(x)):.1%} of new pictures are right")

# %% [markdown]
# ## Is it the same network?
#
# The same share of right answers is a weak proof: a damaged network may get as many right.
# `compare` runs both on the same pictures and holds the numbers against each other.

# %%
found = pyinfer.compare(model, net, x)
print(found)
assert found.ok and found.first is None

# %% [markdown]
# *error* is the largest difference of any number. *relative* is that error as a share of the
# largest number there is: an error of 0.001 is nothing beside 1000, and much beside 0.002.
#
# Why is the error not 0? A computer rounds after each addition, so a sum depends on its order, and
# pyinfer adds in another order than PyTorch. Try it with three numbers of 32 bits:

# %%
a, b, c = np.float32(1e8), np.float32(-1e8), np.float32(0.1)
print((a + b) + c, "and", a + (b + c))
assert (a + b) + c != a + (b + c)

# %% [markdown]
# In a test of your own, one line is enough. `tolerance` says which relative error is allowed.

# %%
assert pyinfer.compare(model, net, x, tolerance=1e-4)

# %% [markdown]
# ## What does a mismatch look like?
#
# We change one single weight, of more than 12,000, in a copy of the network. This happens in real
# life: a file is an old one, a layer was forgotten, an option has another default.

# %%
broken = copy.deepcopy(net)
with torch.no_grad():
    broken.wide.weight[3, 5] += 1

found = pyinfer.compare(model, broken, x)
print(found)
assert not found.ok

# %% [markdown]
# How to read this:
#
# - The first line is the verdict about the *outputs*.
# - The outputs are all that most tools can show. pyinfer then looks at the *values* on the way
#   there, in their order. The first that differs is where the fault begins; what stands behind it
#   is wrong only because it was fed with it.
# - `!` marks what differs. *made by* is the step of pyinfer that computed the value. One step may
#   do several things at once, here `self.wide` and the `gelu` behind it; the value is named after
#   the last of them.
# - *from* is the line of PyTorch: in a program `net.py:22`, here a long number that Jupyter gives
#   the cell, and the line in that cell. We changed `self.wide`: is it that line?

# %%
print(found.first.name, "from", found.first.source)
print("error", found.first.error, "in", found.first.shape)
assert found.first.kind == "value" and "self.wide" in found.first.source

# %% [markdown]
# And the share of right answers? It might not have told us.

# %%
with torch.inference_mode():
    print(f"sound {right(net(x)):.1%}, broken {right(broken(x)):.1%}")

# %% [markdown]
# ## A mismatch that is none
#
# Networks are often stored with fewer bits for each weight, to save memory. `bfloat16` keeps 16 of
# 32 bits, which leaves two to three decimal digits. Such a network *must* differ, from the first
# step on, and a little everywhere:

# %%
rounded = copy.deepcopy(net).bfloat16().float()
found = pyinfer.compare(model, rounded, x)
print(found)
assert not found.ok and "self.rows" in found.first.source

# %% [markdown]
# A fault is a sudden jump at one place; rounding is a small difference that is there from the
# beginning. Whether it matters is not for a tool to say, it depends on the task. Here the answers
# decide:

# %%
with torch.inference_mode():
    print(f"exact {right(net(x)):.1%}, rounded {right(rounded(x)):.1%}")
assert pyinfer.compare(model, rounded, x, tolerance=0.03)

# %% [markdown]
# ## A second witness
#
# If pyinfer and PyTorch disagree, who is right? Another engine may say it, if it is installed
# (`pip install onnxruntime onnx`).

# %%
try:
    print(pyinfer.compare(model, "onnxruntime", x))
except ImportError as error:
    print(error)

# %% [markdown]
# ## Looking inside
#
# `fetch` gives values from the middle beside the outputs. `*` stands for any letters. Attention
# ends in a *softmax*: numbers that add up to 1, which say how much each row looks at each other
# one. There are four such tables, one for each head.

# %%
inside = model.run(x[:1], fetch=["*Softmax*", "gelu"])
print({name: value.shape for name, value in inside.items()})
looks = next(value for value in inside.values() if value.shape == (1, 4, 8, 8))
assert np.allclose(looks.sum(axis=-1), 1, atol=1e-5)

for row, picture in zip(looks[0].mean(axis=0), x[0], strict=True):
    pixels = "".join(2 * " ░▒▓█"[int(4 * v)] for v in picture)
    print(pixels, " looks at rows", " ".join(f"{100 * v:3.0f} %" for v in row))

# %% [markdown]
# ## Numbers that are none
#
# Divide 0 by 0 and you get *NaN*, "not a number"; too large a number becomes infinite. Both spread:
# soon all is NaN, and the outputs do not tell where it began. `check_numbers=True` stops at the
# first step that makes one.

# %%
huge = copy.deepcopy(net)
with torch.no_grad():
    huge.narrow.weight *= 1e38
careful = pyinfer.from_torch(huge, (x[:2],), ({0: "batch"},), check_numbers=True)
try:
    careful(x)
except pyinfer.NumberError as error:
    print(error)
    assert "self.narrow" in str(error)
else:
    raise AssertionError("there was no error")

# %% [markdown]
# ## Without leaving PyTorch
#
# If the rest of a program is PyTorch, `torch.compile` replaces only the network inside. At the
# first call the network is exported; later calls go to pyinfer. `inference_mode` promises that
# nothing is trained, as pyinfer cannot do that. With this promise missing, or with an operation
# that cannot be exported, the work stays in PyTorch, and a warning says why.

# %%
fast = torch.compile(net, backend="pyinfer", options={"threads": 1})
with torch.inference_mode():
    assert torch.allclose(fast(x), net(x), rtol=1e-3, atol=1e-3)

# %% [markdown]
# ## To a file
#
# An *ONNX file* holds the network for any engine, on any computer, without our Python code. A
# *plan* holds it as pyinfer has prepared it for *this* computer: it starts faster. (What PyTorch
# prints on red ground is about packages that are not installed; it does no harm.)

# %%
temporary = tempfile.TemporaryDirectory()  # goes when the notebook ends
folder = Path(temporary.name)
torch.onnx.export(
    net, (x[:2],), folder / "reader.onnx", dynamo=True, verbose=False,
    dynamic_shapes=({0: "batch"},), input_names=["pictures"], output_names=["scores"],
)  # fmt: skip
from_file = pyinfer.load(folder / "reader.onnx", threads=1)
print(*from_file.inputs, *from_file.outputs, sep="\n")

from_file.save(folder / "reader.plan", x[:1].numpy())
from_plan = pyinfer.load(folder / "reader.plan", threads=1)
for path in sorted(folder.iterdir()):
    print(f"{path.name}: {path.stat().st_size} bytes")

# %% [markdown]
# PyTorch writes the weights into a second file, `reader.onnx.data`: keep the two together, or
# export with `external_data=False`. In the plan is all.
#
# Are both still what we trained? The second line compares two models; PyTorch has no part in it.

# %%
assert pyinfer.compare(from_file, net, x)
assert pyinfer.compare(from_plan, model, x)

# %% [markdown]
# ## Which is faster?
#
# To be fair to both: the same threads, the same input, PyTorch in inference mode, a first run that
# does not count, both in turns, and the median (`where_does_the_time_go` says why). One picture
# first, as for a user who waits, then all 397 at once.


# %%
def median_ms(*functions, rounds=25):
    """The median time of each function, in milliseconds; they take turns."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, row in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            row.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(row) for row in times]


assert torch.get_num_threads() == model.threads == 1
for batch in (x[:1], x):
    array = batch.numpy()
    with torch.inference_mode():
        calls = (lambda: net(batch), lambda: fast(batch), lambda: model(array))  # noqa: B023
        times = median_ms(*calls)
    names = ("PyTorch", "torch.compile with pyinfer", "pyinfer")
    for name, ms in zip(names, times, strict=True):
        print(f"{len(batch):3} pictures  {ms:8.3f} ms  {name}")

# %% [markdown]
# Look at your numbers, not at a promise. With one picture, most of PyTorch's time goes into calling
# some thirty operations, one by one, and little into arithmetic. `torch.compile` makes one call of
# them, but checks each time that nothing has changed. With many pictures the arithmetic counts,
# which is the same for all, and they come closer together. So "ten times faster" says nothing as
# long as the batch is not told.
#
# What we did *not* measure: PyTorch's own compiler (`torch.compile(net)`), which needs a C++
# compiler. Add it to `calls` if you have one.
#
# To try this network by hand, with a pen: `pyinfer.demo.show(model, module=net)` opens a window
# (README.md, "A window for the classroom").
#
# ## Exercises
#
# 1. Break another weight, in `ask`, or add 0.1 to `place`. Guess first which line `compare` will
#    name.
# 2. How small can a change be that `compare` still finds? Add 0.1, 0.01, 0.001 ... to one weight,
#    and draw the error over the change.
# 3. Take `dynamic_shapes` away: `pyinfer.from_torch(net, (x[:2],))`. What does the model say to 3
#    pictures?
# 4. Put `nn.Dropout(0.5)` (it sets random numbers to 0, in training only) behind `gelu`, train
#    anew, and compare with the network in training mode, `net.train()`. Who is right?
# 5. Which bits may be thrown away? Round the weights to 4, 3, 2 decimal digits, and plot the share
#    of right answers.
#
# ## Hints
#
# 1. A step that was fused is named after its last line; `found.rows` has all values, in order.
# 2. `found.first` is `None` if nothing was found; `found.outputs[0].error` is there all the same.
#    `tolerance=0` finds everything, rounding too: that is the floor of your curve.
# 3. It is an `InputError`, and its text says which size was expected.
# 4. Look at the last lines of `print(found)`: `compare` says in which mode it ran the network.
# 5. `p.data = torch.round(p.data, decimals=3)` for each `p` of `rounded.parameters()`.
