# %% [markdown]
# <!-- SPDX-License-Identifier: Apache-2.0 -->
# # Where does the time go?
#
# "The model is slow" is no finding. This notebook takes a run apart: which step costs what, how
# much of that the machine could not do faster, what threads bring, and what a batch brings.
#
# Needed: `pip install ".[notebooks]"` in the folder of pyinfer.
#
# Times differ from machine to machine, and from run to run. So no cell below asserts a time: it
# prints the times, and asserts what must hold on every machine. *Look at your numbers.*

# %%
import statistics
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import pyinfer

# %% [markdown]
# ## A model to measure
#
# Four convolutions, two on a large picture with few channels, two on a small one with many, then
# an average and a product. The weights are random: for the time, it does not matter what they are.

# %%
rng = np.random.default_rng(0)
nodes, weights = [], []


def weight(name, *shape):
    scale = np.sqrt(2 / np.prod(shape[1:]))  # keeps the numbers about as large from layer to layer
    values = (rng.standard_normal(shape) * scale).astype(np.float32)
    weights.append(numpy_helper.from_array(values, name))
    return name


def convolution(name, x, channels_in, channels_out, stride=1):
    w = weight(f"{name}_w", channels_out, channels_in, 3, 3)
    settings = {"pads": [1, 1, 1, 1], "strides": [stride, stride]}
    nodes.append(helper.make_node("Conv", [x, w], [f"{name}_c"], name=name, **settings))
    nodes.append(helper.make_node("Relu", [f"{name}_c"], [name], name=f"{name}_relu"))
    return name


y = convolution("first", "x", 3, 32)
y = convolution("second", y, 32, 32)
y = convolution("third", y, 32, 128, stride=4)
y = convolution("fourth", y, 128, 128)
nodes.append(helper.make_node("GlobalAveragePool", [y], ["mean"], name="mean"))
nodes.append(helper.make_node("Flatten", ["mean"], ["flat"], name="flat"))
nodes.append(
    helper.make_node("Gemm", ["flat", weight("w", 10, 128)], ["scores"], name="scores", transB=1)
)


def port(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


graph = helper.make_graph(
    nodes, "four", [port("x", "batch", 3, 96, 96)], [port("scores", "batch", 10)], weights
)
proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(proto)
x = rng.standard_normal((1, 3, 96, 96)).astype(np.float32)

# %% [markdown]
# ## How to measure
#
# Three rules:
#
# 1. *The first run does not count.* It plans: it looks at the shapes, chooses code, packs weights.
# 2. *Many runs, and their median.* A mean is spoilt by the one run in which something else had the
#    core; the median does not care.
# 3. *Compare only what was measured side by side.* The clock of a core changes.


# %%
def median_ms(*functions, rounds=15):
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


start = time.perf_counter()
one = pyinfer.load(proto, threads=1)
one(x)
first = (time.perf_counter() - start) * 1e3
(later,) = median_ms(lambda: one(x))
print(f"load and first run {first:.2f} ms, a later run {later:.2f} ms")
assert first > 0 and later > 0

# %% [markdown]
# The same rule as a tiny experiment: one slow run among ten moves the mean, not the median.

# %%
runs = [1.0] * 9 + [50.0]
print(f"mean {statistics.mean(runs):.1f}, median {statistics.median(runs):.1f}")
assert statistics.mean(runs) > 5 and statistics.median(runs) == 1

# %% [markdown]
# ## The profile
#
# One row a step: milliseconds, the share of the total, and what was got for it.

# %%
profile = one.profile(x, repeat=15)
print(profile)
assert profile.threads == 1

# %% [markdown]
# The rows are data too. The most expensive ones first:

# %%
slowest = sorted(profile.steps, key=lambda step: -step.ms)
for step in slowest[:3]:
    print(f"{step.ms:7.3f} ms  {100 * step.ms / profile.ms:3.0f} %  {step.op} {step.name}")
assert slowest[0].ms >= slowest[-1].ms

# %% [markdown]
# ## Amdahl's law
#
# How much faster would the model be if a step cost nothing? Its share says so, and no effort can
# do better: a step of 10 % makes the model 1.11 times as fast at best. So begin with the first
# row.


# %%
def best_speedup(share):
    return 1 / (1 - share)


assert round(best_speedup(0.10), 2) == 1.11 and best_speedup(0.5) == 2
for step in slowest[:3]:
    print(f"without {step.name}: {best_speedup(step.ms / profile.ms):.2f} times as fast")

# %% [markdown]
# ## How many operations?
#
# A 3 x 3 convolution multiplies and adds, for each pixel of the output and each output channel, 9
# numbers of each input channel. A multiplication and an addition count as two operations:

# %%
height = width = 96
operations = 2 * height * width * 32 * 32 * 9
(second,) = (step for step in profile.steps if step.name == "second" and step.flops)
print(f"by hand {operations / 1e6:.0f} million, profile {second.flops / 1e6:.0f} million")
assert 1 <= second.flops / operations < 1.02  # the profile counts what was fused into it as well

# %% [markdown]
# Operations divided by time is the *rate*. GFLOP/s are thousands of millions a second.

# %%
rate = second.flops / (second.ms / 1e3) / 1e9
print(f"{rate:.1f} GFLOP/s")
assert np.isclose(rate, second.gflops)

# %% [markdown]
# ## The peak
#
# What could the machine do? pyinfer measures it once: multiplications and additions on numbers
# that are in registers already, nothing else. `share` is a step's rate divided by that peak.
#
# - A share near 1: this step is as fast as its operations allow. To be faster it must *do less*.
# - A small share: the step waits, mostly for memory. Its GB/s say how much it moves.
# - A share *above* 1: it does less already. The operations are those of the textbook; Winograd's
#   algorithm (see `how_an_inference_engine_works`) gets the same result with fewer.

# %%
print(f"peak on one thread: {profile.peak_gflops:.0f} GFLOP/s")
for step in profile.steps:
    if step.share:
        print(f"{100 * step.share:6.1f} % of peak  {step.op} [{step.impl}] {step.name}")
    assert np.isclose(step.share, step.gflops / profile.peak_gflops)

# %% [markdown]
# Is it Winograd that explains a share above 1? `exact=True` forbids it. Compare the two columns.
# The answers differ in the last digits only.

# %%
exact = pyinfer.load(proto, threads=1, exact=True)
assert "[winograd]" not in exact.explain(x)
assert np.allclose(exact(x), one(x), rtol=1e-3, atol=1e-4)

others = {step.name: step for step in exact.profile(x, repeat=15).steps if step.share}
for a in profile.steps:
    if a.share:
        b = others[a.name]
        print(f"{100 * a.share:6.1f} % {a.impl:10}{100 * b.share:6.1f} % {b.impl:10}{a.name}")

# %% [markdown]
# ## Why some steps cannot reach the peak
#
# *Arithmetic intensity* is operations divided by bytes. A core that can do 100 operations in the
# time in which memory brings 1 byte needs steps of 100 operations a byte to be busy. The product
# at the end has weights that are read once and used once: 2 operations for 4 bytes. A convolution
# uses each weight for every pixel.

# %%
intensity = {s.name: s.flops / s.bytes for s in profile.steps if s.flops and s.bytes}
for name, value in sorted(intensity.items(), key=lambda row: -row[1]):
    print(f"{value:8.1f} operations a byte  {name}")
assert intensity["second"] > 20 * intensity["scores"]

# %% [markdown]
# ## A chart
#
# The times as bars, in letters:

# %%
names = [f"{step.name} {step.op.removeprefix('pyinfer.')}" for step in profile.steps]
times = [step.ms for step in profile.steps]
for name, ms in zip(names, times, strict=True):
    print(f"{name[:20]:20} {ms:7.3f} {'#' * round(40 * ms / max(times))}")

# %% [markdown]
# `plot` draws more. Left: the bars, by operator and by step. Right: the *roofline*. Each step is a
# dot; the further right, the more operations a byte; the higher, the more GFLOP/s. The slanted
# line is what memory can bring, the level one the peak: a roof of two parts. Which steps are under
# the slanted part, so that only fewer bytes would help them? Dots above the roof do less than the
# textbook (Winograd), or find their bytes in a cache.

# %%
profile.plot()

# %% [markdown]
# ## Threads
#
# Two cores halve the time at best (more than that is luck: noise, or a second core's cache). What
# is lost: someone must hand out the work, and all wait for the slowest. On a machine on which
# others work, two threads may even be slower than one.

# %%
two = pyinfer.load(proto, threads=2)
ms_one, ms_two = median_ms(lambda: one(x), lambda: two(x))
print(f"one thread {ms_one:.2f} ms, two {ms_two:.2f} ms: {ms_one / ms_two:.2f} times as fast")
assert np.allclose(one(x), two(x), rtol=1e-3, atol=1e-4)

# %% [markdown]
# ## Batches
#
# Latency is the time until one answer is there; throughput is answers a second. A batch brings
# more throughput where weights are read once for all pictures of it, and it costs latency: all
# wait for all. See how the time for each picture changes.

# %%
batches = [np.tile(x, (n, 1, 1, 1)) for n in (1, 2, 4, 8)]
times = median_ms(*(lambda b=b: one(b) for b in batches), rounds=7)
for batch, ms in zip(batches, times, strict=True):
    print(f"batch {len(batch)}: latency {ms:6.2f} ms, {ms / len(batch):.2f} ms for each picture")
assert np.allclose(one(batches[-1])[5], one(x)[0], rtol=1e-3, atol=1e-4)

# %% [markdown]
# ## What to do about it
#
# | what you see | what may help |
# |---|---|
# | one step is most of it, far from the peak | `explain`: why was faster code refused? |
# | all steps are near the peak | fewer operations: a smaller model, smaller pictures |
# | many tiny steps | a batch; fewer threads |
# | the first run is slow, later ones are fine | `save` a plan, or `load(..., cache=True)` |
# | something odd, and no idea what | `pyinfer.doctor(model)` looks at the machine and the model |
# | is another engine faster? | `pyinfer bench model.onnx --vs onnxruntime`, in a terminal |
# | you do not believe the choice of code | `load(..., tune=True)` measures it |
#
# The last row, tried out: the answers stay the same.

# %%
tuned = pyinfer.load(proto, threads=1, tune=1)
assert np.allclose(tuned(x), one(x), rtol=1e-3, atol=1e-4)
print(tuned.explain(x))

# %% [markdown]
# ## Exercises
#
# 1. How many operations has the step `fourth`? Compute it by hand, then look it up.
# 2. Which batch size would you take for a web page where one user waits? Which for a million
#    pictures over night?
# 3. A step takes 30 % of the time at 90 % of peak, another 20 % at 5 % of peak. Where do you
#    begin?
#
# ## Solutions

# %%
# 1: pictures of 96 / 4 = 24 pixels a side, 128 channels in and out.
by_hand = 2 * 24 * 24 * 128 * 128 * 9
(fourth,) = (step for step in profile.steps if step.name == "fourth" and step.flops)
assert 1 <= fourth.flops / by_hand < 1.02

# 2: batch 1, for the latency; the batch with the fewest milliseconds for each picture.

# 3: at the second. At the peak, the first would go from 30 to 27, the second from 20 to 1.
assert round(0.9 * 30) == 27 and 0.05 * 20 == 1
