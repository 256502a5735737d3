# %% [markdown]
# <!-- SPDX-License-Identifier: Apache-2.0 -->
# # How an inference engine works
#
# A lecture in seven steps. We take a small network, write an engine for it in forty lines of
# NumPy, and then look, idea by idea, at what a fast engine does differently:
#
#     file --> graph --> passes --> smaller graph --> plan (for these shapes) --> run, run, run
#
# Each idea is first derived with a few lines of NumPy, then found again in pyinfer. Exercises and
# their solutions are at the end.
#
# Needed: `pip install ".[notebooks]"` in the folder of pyinfer.

# %%
import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

import pyinfer

rng = np.random.default_rng(0)

# %% [markdown]
# ## The network
#
# What many networks for pictures are made of: convolution, batch normalisation, Relu, and a
# *residual*, an addition that goes around some layers. The dropout in it is a leftover of
# training. The weights are random: the engine does not care.

# %%
C = 32  # channels
weights = {
    "w1": rng.standard_normal((C, 3, 3, 3)) * 0.2,
    "w2": rng.standard_normal((C, C, 3, 3)) * 0.06,
    "w3": rng.standard_normal((10, C)) * 0.2,
    "b3": rng.standard_normal(10),
}
for i in "12":
    weights |= {
        f"scale{i}": rng.uniform(0.5, 1.5, C),
        f"shift{i}": rng.standard_normal(C),
        f"mean{i}": rng.standard_normal(C),
        f"variance{i}": rng.uniform(0.5, 1.5, C),
    }
weights = {name: value.astype(np.float32) for name, value in weights.items()}


def normalise(x, y, i):
    names = [x, f"scale{i}", f"shift{i}", f"mean{i}", f"variance{i}"]
    return helper.make_node("BatchNormalization", names, [y])


nodes = [
    helper.make_node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
    normalise("c1", "n1", 1),
    helper.make_node("Relu", ["n1"], ["r1"]),
    helper.make_node("Dropout", ["r1"], ["d1"]),
    helper.make_node("Conv", ["d1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
    normalise("c2", "n2", 2),
    helper.make_node("Add", ["n2", "r1"], ["a2"]),
    helper.make_node("Relu", ["a2"], ["r2"]),
    helper.make_node("GlobalAveragePool", ["r2"], ["g"]),
    helper.make_node("Flatten", ["g"], ["f"]),
    helper.make_node("Gemm", ["f", "w3", "b3"], ["scores"], transB=1),
    helper.make_node("Softmax", ["scores"], ["y"]),
]


def port(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model_of(nodes, inputs, outputs, weights):
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "lecture", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


proto = model_of(nodes, [port("x", "batch", 3, 32, 32)], [port("y", "batch", 10)], weights)
x = rng.standard_normal((1, 3, 32, 32)).astype(np.float32)

# %% [markdown]
# ## 1. The graph
#
# A model is a *graph*. Its nodes are operations, and they are joined by *values*: arrays that one
# node makes and others read. A value made by no node is an input or a constant (a weight). This is
# the whole file, as pyinfer reads it; `level=0` asks it to change nothing. Find the value that two
# nodes read.

# %%
plain = pyinfer.load(proto, level=0, threads=1)
print(plain.graph_text())
assert len(plain.graph_text().splitlines()) >= len(nodes) - 1

# %% [markdown]
# As a picture. The residual is the line that goes around some blocks.

# %%
plain.graph(x, passes=False)

# %% [markdown]
# The nodes are in such an order that each comes after those whose values it reads. Then running a
# graph is a loop with a dictionary:


# %%
def run(graph, operators, feeds):
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer} | feeds
    for node in graph.node:
        settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        arguments = [values[name] for name in node.input]
        values[node.output[0]] = operators[node.op_type](*arguments, **settings)
    return values


# %% [markdown]
# Now the operators. Most are one line. (`column` gives a vector of one number a channel the shape
# in which it fits beside a picture.)


# %%
def column(v):
    return v[:, None, None]


def batch_normalisation(x, scale, shift, mean, variance):
    return (x - column(mean)) / np.sqrt(column(variance) + 1e-5) * column(scale) + column(shift)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


operators = {
    "BatchNormalization": batch_normalisation,
    "Relu": lambda x: np.maximum(x, 0),
    "Dropout": lambda x: x,
    "Add": np.add,
    "GlobalAveragePool": lambda x: x.mean(axis=(2, 3), keepdims=True),
    "Flatten": lambda x: x.reshape(len(x), -1),
    "Gemm": lambda x, w, b, transB: x @ w.T + b,
    "Softmax": softmax,
}

# %% [markdown]
# ## 2. A convolution is a matrix product
#
# The convolution is the only hard one. Its definition: each pixel of the output is a sum over a
# window of 3 x 3 pixels of all input channels, times a weight.


# %%
def convolution_by_definition(x, w, pads):
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    batch, _, height, width = x.shape
    y = np.zeros((batch, len(w), height - 2, width - 2), np.float32)
    for row in range(height - 2):
        for col in range(width - 2):
            window = x[:, None, :, row : row + 3, col : col + 3]
            y[:, :, row, col] = (window * w).sum(axis=(2, 3, 4))
    return y


# %% [markdown]
# Matrix products are what computers do best. *im2col* makes one out of it: write the window of
# each pixel as a row of a matrix, the weights of each output channel as a column of another.
#
#     [pixels, 9 channels_in]  @  [9 channels_in, channels_out]  =  [pixels, channels_out]


# %%
def convolution(x, w, pads):
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = sliding_window_view(x, (3, 3), axis=(2, 3))  # [batch, c, height, width, 3, 3]
    batch, channels, height, width = windows.shape[:4]
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * 9)
    y = rows @ w.reshape(len(w), -1).T
    return y.reshape(batch, height, width, -1).transpose(0, 3, 1, 2)


want = convolution_by_definition(x, weights["w1"], None)
assert np.allclose(convolution(x, weights["w1"], None), want, atol=1e-5)

# %% [markdown]
# That is an inference engine. It says the same as pyinfer:

# %%
operators["Conv"] = convolution
values = run(proto.graph, operators, {"x": x})
assert np.allclose(values["y"], plain(x), atol=1e-5)
print(values["y"].round(3))

# %% [markdown]
# And on the way there, too: `fetch` asks pyinfer for values from inside the graph, by name.

# %%
inside = plain.run({"x": x}, fetch=["n1", "r1", "c2", "a2", "g"])
for name in ("n1", "r1", "c2", "a2", "g"):
    assert np.allclose(inside[name], values[name], atol=1e-4), name

# %% [markdown]
# The price of im2col: each pixel is in nine windows, so the matrix is nine times the picture. Fast
# engines therefore never write it down; they take the windows out of the picture when they need
# them.

# %%
padded = np.pad(values["d1"], [(0, 0), (0, 0), (1, 1), (1, 1)])
windows = sliding_window_view(padded, (3, 3), axis=(2, 3))
assert windows.size == 9 * values["d1"].size
assert np.shares_memory(windows, padded)  # NumPy does not write it down either, until reshape

# %% [markdown]
# ## 3. Passes: the cheapest operation is none
#
# A *pass* looks for a pattern in the graph and puts something cheaper in its place. The result
# stays the same. Dropout does nothing in inference, so whoever reads its output may read its
# input.
#
# More interesting: batch normalisation. With $s = scale / \sqrt{variance + \epsilon}$ it is
# $s (c - mean) + shift$, and $c = W x$ came from a convolution. Put together:
#
# $$ s (W x - mean) + shift = (s W) x + (shift - s \cdot mean) $$
#
# That is a convolution with other weights and a bias. They can be computed once, when the model is
# loaded.

# %%
s = weights["scale1"] / np.sqrt(weights["variance1"] + 1e-5)
folded_w = weights["w1"] * s[:, None, None, None]
folded_b = weights["shift1"] - s * weights["mean1"]
folded = convolution(x, folded_w, None) + column(folded_b)
assert np.allclose(folded, values["n1"], atol=1e-4)

# %% [markdown]
# pyinfer does the same. Without `level=0` the graph has lost its batch normalisations and the
# dropout; each convolution has got a third input, the bias.

# %%
fast = pyinfer.load(proto, threads=1)
print(fast.graph_text())
for gone in ("BatchNormalization", "Dropout"):
    assert gone not in fast.graph_text()
assert np.allclose(fast(x), plain(x), atol=1e-5)

# %% [markdown]
# ## 4. Fusion: memory is far away
#
# A core adds numbers faster than memory brings them. `relu(c + b + r)` as three operations reads
# and writes a whole picture three times; as one loop it reads `c` and `r` once, and writes once.
# Count the bytes for a picture of 32 channels, 32 x 32 pixels of 4 bytes:

# %%
picture = C * 32 * 32 * 4
apart = (picture + picture) + (2 * picture + picture) + (picture + picture)
fused = 2 * picture + picture
print(f"apart {apart} bytes, as one loop {fused}")
assert apart / fused == 7 / 3

# %% [markdown]
# Better still: the loop that *makes* `c` has each number in a register at the end. If it adds bias
# and residual there and takes the maximum with 0, `c` never goes to memory at all. Such a tail of
# a convolution is called its *epilogue*.
#
# When does pyinfer do this? Not in the graph above, where the Relu still stands. It needs to know
# the shapes (may the residual be added just so, or must it be broadcast?), and those are known
# when the first input comes. Then the passes run again, and what they left is the *plan*.
# `explain` prints it.

# %%
print(fast.explain(x))

# %% [markdown]
# The same as a picture. The line of the residual is gone: both of its ends are in one block now,
# that of five nodes. (With the pointer on a block, it names them.)

# %%
fast.graph(x)

# %% [markdown]
# Twelve nodes have become five or six steps. Relu and Add are gone: the second convolution has
# *four* inputs now, the last is the residual.

# %%
before, after = plain.profile(x, repeat=3), fast.profile(x, repeat=3)
assert len(after.steps) <= 7 < 10 <= len(before.steps)
assert {"Relu", "Add"} <= {step.op for step in before.steps}
assert not {"Relu", "Add"} & {step.op for step in after.steps}

# %% [markdown]
# The profile knows how many bytes each step has to move at least. Fusion saves more than half.

# %%
moved_before = sum(step.bytes for step in before.steps)
moved_after = sum(step.bytes for step in after.steps)
print(f"before {moved_before / 1e6:.2f} MB, after {moved_after / 1e6:.2f} MB")
assert moved_after < moved_before / 2

# %% [markdown]
# ## 5. Layout: what lies beside what
#
# An array has many indices, memory has one. In ONNX a picture is `[batch, channels, height,
# width]`: in memory, the neighbour of a number is the next *pixel* of the same channel.
# *Channels-last* is `[batch, height, width, channels]`: the neighbour is the same pixel in the
# next channel. A convolution sums over channels, so there it finds what it needs in one piece.
# `strides` say how many bytes it is to the next number along each index:

# %%
first = np.zeros((1, 32, 8, 8), np.float32)
last = np.ascontiguousarray(first.transpose(0, 2, 3, 1))
print("channels first:", first.strides, " channels last:", last.strides)
assert first.strides[1] == 8 * 8 * 4  # to the next channel: over a whole plane
assert last.strides[3] == 4  # to the next channel: the next number

# %% [markdown]
# Look at the shapes in `explain` above: `[1, 32, 32, 32]` says little, as all are 32 by chance.
# The input says more: a transpose from `[1, 3, 32, 32]` to `[1, 32, 32, 3]` stands before the
# first convolution. There is one at the border only, not around each convolution.

# %%
assert "f32[1, 32, 32, 3]" in fast.explain(x)
assert "f32[1, 32, 32, 3]" not in plain.explain(x)
assert sum(step.op == "Transpose" for step in after.steps) <= 1

# %% [markdown]
# ## 6. Winograd: fewer multiplications
#
# Slide a filter `g` of 3 numbers over `d`. Two neighbouring results need four inputs:
#
#     y0 = d0 g0 + d1 g1 + d2 g2
#     y1 = d1 g0 + d2 g1 + d3 g2          six multiplications
#
# Winograd (1980) needs four. With
#
#     m1 = (d0 - d2) g0                   m2 = (d1 + d2) (g0 + g1 + g2) / 2
#     m4 = (d1 - d3) g2                   m3 = (d2 - d1) (g0 - g1 + g2) / 2
#
# it is `y0 = m1 + m2 + m3` and `y1 = m2 - m3 - m4`. Multiply it out by hand once, or let NumPy
# check. The brackets of `g` do not count: weights are known beforehand. This is called F(2, 3).

# %%
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # for the filter
D = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # for the data
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])  # back

d, g = rng.standard_normal(4), rng.standard_normal(3)
m = (G @ g) * (D @ d)
assert len(m) == 4  # the multiplications
assert np.allclose(A @ m, [d[0:3] @ g, d[1:4] @ g])

# %% [markdown]
# In two dimensions the same is done along rows and along columns: 16 multiplications for 2 x 2
# results, where the definition takes 36. That is 2.25 times fewer.

# %%
d, g = rng.standard_normal((4, 4)), rng.standard_normal((3, 3))
m = (G @ g @ G.T) * (D @ d @ D.T)
y = A @ m @ A.T
assert np.allclose(y, (sliding_window_view(d, (3, 3)) * g).sum(axis=(2, 3)))
assert 4 * 9 / m.size == 2.25

# %% [markdown]
# And for many channels? The sum over channels may be taken *before* going back, because `A` is
# linear. So there are 16 independent matrix products, one for each place in `m`, and the
# transforms are cheap beside them if there are many channels. That is why the plan has it in the
# second convolution at most: the first has three channels in.


# %%
def winograd(x, w):
    """[c, 34, 34] (padded) and [k, c, 3, 3] give [k, 32, 32]."""
    tiles = sliding_window_view(x, (4, 4), axis=(1, 2))[:, ::2, ::2]  # [c, 16, 16, 4, 4]
    u = np.einsum("ai,kcij,bj->abkc", G, w, G)
    v = np.einsum("ai,cyxij,bj->abcyx", D, tiles, D)
    m = np.einsum("abkc,abcyx->abkyx", u, v)  # the 16 products
    y = np.einsum("pa,abkyx,qb->kypxq", A, m, A)
    return y.reshape(len(w), 32, 32)


got = winograd(np.pad(values["d1"][0], [(0, 0), (1, 1), (1, 1)]), weights["w2"])
assert np.allclose(got, values["c2"][0], atol=1e-4)

# %% [markdown]
# The sums are taken in another order and of other numbers, so the last digits differ; `exact=True`
# forbids such things. The plan of this model with and without:

# %%
exact = pyinfer.load(proto, threads=1, exact=True)
for name, model in (("default", fast), ("exact", exact)):
    print(name, [f"{step.op} [{step.impl}]" for step in model.profile(x, repeat=1).steps])
assert "[winograd]" not in exact.explain(x)
assert np.allclose(exact(x), fast(x), atol=1e-5)

# %% [markdown]
# ## 7. Memory: one arena, by lifetimes
#
# Each value could have memory of its own. But a value *lives* only from the step that makes it to
# the last step that reads it, and afterwards its place is free. So the plan takes one block, the
# *arena*, and gives each value a place in it, such that values that live at the same time do not
# overlap.
#
# A good rule: the largest first, each at the lowest place that is free during its life.


# %%
def place(values):
    """values: {name: (bytes, first step, last step)}; gives {name: start} and the arena's size."""
    starts = {}
    for name, (size, born, dies) in sorted(values.items(), key=lambda row: -row[1][0]):
        taken = sorted(
            (starts[other], starts[other] + values[other][0])
            for other in starts
            if values[other][1] <= dies and born <= values[other][2]
        )
        start = 0
        for low, high in taken:
            if start + size <= low:
                break
            start = max(start, high)
        starts[name] = start
    return starts, max(starts[name] + values[name][0] for name in values)


# %% [markdown]
# Our network, fused by nobody: when is each value born, and when does it die?

# %%
lives = {}
for step, node in enumerate(proto.graph.node):
    lives[node.output[0]] = [values[node.output[0]].nbytes, step, step]
    for name in node.input:
        if name in lives:
            lives[name][2] = step
print({name: tuple(life) for name, life in lives.items()})
assert lives["r1"][2] == 6  # the residual keeps it alive

starts, arena = place(lives)
total = sum(size for size, _, _ in lives.values())
print(f"each its own: {total} bytes, arena: {arena}")
assert arena <= 3 * picture < total / 2

# %% [markdown]
# Is the placement right? No two values that live at the same time may overlap. And no arena can be
# smaller than what lives in the worst step:

# %%
for a, (size_a, born_a, dies_a) in lives.items():
    for b, (size_b, born_b, dies_b) in lives.items():
        if a < b and born_a <= dies_b and born_b <= dies_a:
            assert starts[a] + size_a <= starts[b] or starts[b] + size_b <= starts[a]

worst = max(sum(n for n, b, d in lives.values() if b <= step <= d) for step in range(len(nodes)))
assert worst <= arena
print(f"lower bound {worst}, arena {arena}")

# %% [markdown]
# pyinfer does this too. So a chain of 40 layers takes as much memory as one of 4. (Here the arena
# is easy to predict, as poolings need nothing besides. Convolutions also want room for what they
# rearrange, and that is in the arena too.)


# %%
def chain(length):
    names = ["x", *(f"v{i}" for i in range(1, length)), "y"]
    pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    steps = [
        helper.make_node("MaxPool", [a], [b], **pool)
        for a, b in zip(names[:-1], names[1:], strict=True)
    ]
    shape = (1, 8, 64, 64)
    return pyinfer.load(model_of(steps, [port("x", *shape)], [port("y", *shape)], {}), threads=1)


short, long = (chain(length).profile(repeat=1) for length in (4, 40))
print(f"4 layers: {short.arena_bytes} bytes, 40 layers: {long.arena_bytes} bytes")
assert len(long.steps) >= 40 and long.arena_bytes == short.arena_bytes < 3 * (8 * 64 * 64 * 4)

# %% [markdown]
# `memory` tells where the values of a run will be. The lower bound is that of the worst step, as
# above.

# %%
plan = fast.memory(x)
print(plan)
assert plan.lower_bound <= plan.arena

# %% [markdown]
# ## And then: run
#
# All the thinking happened before. What is left is a list of steps with pointers into the arena,
# and a loop that calls them: nothing is allocated, nothing is looked up. For other shapes another
# plan is made, and kept: then the memory that the model holds grows once, not each time.

# %%
fast(x)
held = fast.memory.used
fast(np.tile(x, (8, 1, 1, 1)))  # new shapes: a new plan
more = fast.memory.used
for _ in range(5):
    fast(x)
    fast(np.tile(x, (8, 1, 1, 1)))
print(f"after one shape {held} bytes, after two {more}, after many runs {fast.memory.used}")
assert held < more and fast.memory.used == more
assert "f32[8, 32, 32, 32]" in fast.explain(np.tile(x, (8, 1, 1, 1)))

# %% [markdown]
# To see such a plan as a picture, with what each step holds: `pyinfer demo model.onnx` opens a
# window; its tab "Network" colours the steps by their time.
#
# Where to read on: `csrc/README.md` is the map of pyinfer's sources, `csrc/passes/pipeline.inc`
# the list of all passes, `csrc/plan/plan_memory.c` the placement.
#
# ## Exercises
#
# 1. **A pass.** A network multiplies the output of a convolution with the constant 0.5. Fold it.
# 2. **When fusion is forbidden.** Make `n1` (what the first Relu reads) an output of the model
#    too. What must change in the plan, and why?
# 3. **Larger Winograd.** F(4, 3) makes four results with six multiplications in one dimension. How
#    many times fewer multiplications than the definition is that in two dimensions? What speaks
#    against F(20, 3)?
# 4. **Order.** Two branches start at a small `x`: each makes a large value (`p`, `q`, 100 bytes),
#    then shrinks it (`P`, `Q`, 1 byte); at the end `P + Q`. Which order of the five steps needs
#    the least memory, which the most?
# 5. **In place.** Why can a Relu write into the memory of its input, and a convolution not? When
#    can even a Relu not?
#
# ## Solutions

# %%
# 1: 0.5 (W x + b) = (0.5 W) x + 0.5 b
bias = rng.standard_normal(C).astype(np.float32)
plainly = 0.5 * (convolution(x, weights["w1"], None) + column(bias))
assert np.allclose(
    convolution(x, 0.5 * weights["w1"], None) + column(0.5 * bias), plainly, atol=1e-5
)

# %%
# 2: n1 has two readers now, the Relu and the world outside. If the Relu became part of the
#    convolution, n1 would never be in memory. So the Relu stays a step of its own.
outputs = [port("y", "batch", 10), port("n1", "batch", C, 32, 32)]
watched = pyinfer.load(
    model_of(nodes, [port("x", "batch", 3, 32, 32)], outputs, weights), threads=1
)
print(watched.explain(x))
assert "Relu" in watched.explain(x)
assert np.allclose(watched(x).n1, values["n1"], atol=1e-4)

# %%
# 3: 4 * 3 = 12 by definition, 6 here: 2 times fewer, 2 * 2 = 4 times in two dimensions.
assert (4 * 3 / 6) ** 2 == 4


#    Against F(20, 3): the transforms need powers of 22 different numbers. Large and small powers
#    meet in one sum, and 32-bit floats lose the small ones. The transforms cost more and more, too.
def transforms(points):
    """Toom and Cook: evaluate at points (and infinity), multiply, interpolate."""
    n = len(points) + 1
    evaluate = np.vander(points, n, increasing=True)
    return np.vstack([evaluate, np.eye(n)[-1]]).astype(np.float32)


small = np.linalg.cond(transforms([0, 1, -1, 2, -2]))
large = np.linalg.cond(transforms(np.linspace(-4, 4, 21)))
print(f"an error grows at most {small:.0f}-fold with 5 points, {large:.0e}-fold with 21")
assert small < 1000 and large > 1e8


# %%
# 4: finish one branch before the other begins.
def most(order):
    reads = {"p": "x", "q": "x", "P": "p", "Q": "q", "y": "PQ"}
    size = {"x": 1, "p": 100, "q": 100, "P": 1, "Q": 1, "y": 1}
    alive, highest = {"x"}, 0
    for i, step in enumerate(order):
        alive.add(step)
        highest = max(highest, sum(size[v] for v in alive))
        alive = {v for v in alive if v == "y" or any(v in reads[later] for later in order[i + 1 :])}
    return highest


print(most("pPqQy"), most("pqPQy"))
assert most("pPqQy") < 110 and most("pqPQy") > 200

# %%
# 5: number i of a Relu's output needs number i of the input only; when it is written, nobody needs
#    that one any more. A convolution's neighbours still do. A Relu cannot either if another step
#    reads its input later, or if it is the caller's array:
before_run = x.copy()
fast(x)
assert np.array_equal(x, before_run)
