# SPDX-License-Identifier: Apache-2.0
"""The machine: its CPU, threads, OpenMP, oneDNN, limits of its control group, other packages."""

from __future__ import annotations

import glob
import os
import sys
from functools import cache
from typing import Any

from .. import _core, config
from .._openmp import LIBRARY
from .._units import bytes_text, count_text
from .report import Report

PACKAGES = ("numpy", "onnx", "onnxruntime", "openvino", "torch")
VARIABLES = ("OMP_", "GOMP_", "KMP_", "PYINFER_", "ONEDNN_", "DNNL_", "MKL_NUM_THREADS")

# Features as the engine names them, the flags of /proc/cpuinfo, and what they give.
FEATURES = (
    ("avx2", ("avx2", "fma", "f16c"), "all fast kernels: without it there is plain C only"),
    ("avx512", ("avx512f", "avx512vl", "avx512dq"), "float32 vectors of twice the width"),
    ("avx512_vnni", ("avx512_vnni",), "8-bit products at some three times the speed"),
)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


@cache
def cpu_info() -> dict[str, str]:
    """The entries of the first CPU in /proc/cpuinfo."""
    first = _read("/proc/cpuinfo").split("\n\n")[0]
    rows = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in rows}


def cores() -> int:
    """Physical cores among the CPUs that this process may use; 0: not known."""
    found = set()
    for cpu in os.sched_getaffinity(0):
        at = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        found.add(_read(at).strip())
    return 0 if "" in found else len(found)


def memory_limit(root: str = "") -> int | None:
    """Bytes that the control group of this process may use, the least of it and all above; None: as
    many as there are. root: where /proc and /sys are, for tests."""
    limits = []
    for line in _read(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, group = (line.split(":", 2) + ["", ""])[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        base = f"{root}/sys/fs/cgroup{'/memory' if controllers else ''}"
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        parts = [p for p in group.split("/") if p]
        for n in range(len(parts) + 1):
            text = _read("/".join([base, *parts[:n], name])).strip()
            if text.isdecimal() and int(text) < 1 << 60:  # v1 has a huge number for none
                limits.append(int(text))
    return min(limits, default=None)


def available_memory() -> int | None:
    """Bytes that the system says can be had now."""
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def versions() -> dict[str, str]:
    """Of packages that matter beside this one, those that are installed; none is imported."""
    from importlib import metadata

    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def other_openmp(folders: list[str]) -> dict[str, str]:
    """OpenMP libraries that packages beneath these folders bring along under a name of their own,
    by package: each is one more in a process that imports it."""
    found = {}
    for folder in folders:
        for part in ("*.libs", "*/lib", "*/.libs"):
            for path in sorted(glob.glob(f"{glob.escape(folder)}/{part}/lib*omp*.so*")):
                name = os.path.basename(path)
                if name.startswith(("libgomp", "libomp", "libiomp")) and name != LIBRARY:
                    package = os.path.relpath(path, folder).split(os.sep)[0]
                    found[package.removesuffix(".libs")] = path
    return found


def _cpu(report: Report, used: str) -> None:
    info = cpu_info()
    flags = set(info.get("flags", "").split())
    name = info.get("model name", "a CPU without a name")
    have, _, limit = used.partition(" (limited to ")
    missing = [row for row in FEATURES if row[0] not in have.split()]
    report.facts["machine"]["cpu"] = {
        "name": name,
        "features": have.split(),
        "missing": [row[0] for row in missing],
        "limited_to": limit.rstrip(")"),
    }
    lacks = tuple(f"no {feature}: it gives {gives}" for feature, _, gives in missing)
    if "avx2" not in have.split():
        advice = "in a virtual machine, hand the host's CPU through; else take another computer"
        if "avx2" in flags:
            advice = "the CPU has AVX2, but not FMA and F16C with it: see the virtual machine's CPU"
        report.add("machine", "slow", f"{name} without AVX2", advice, lacks)
    else:
        report.add("machine", "ok", f"{name}: {have}", "", lacks)
    if limit:
        report.add(
            "machine",
            "slow",
            f"PYINFER_ISA={limit.rstrip(')')} keeps the engine from what the CPU can do",
            "unset PYINFER_ISA",
        )


def _threads(report: Report, said: str) -> None:
    number, allowed = int(said.split()[0]), len(os.sched_getaffinity(0))
    physical, load = cores(), os.getloadavg()[0]
    report.facts["machine"]["threads"] = {
        "threads": number,
        "why": said.partition("(")[2].rstrip(")"),
        "cpus": os.cpu_count(),
        "allowed_cpus": allowed,
        "cores": physical,
        "load": load,
    }
    report.add(
        "machine",
        "ok",
        f"{count_text(number, 'thread')} a run ({said.partition('(')[2].rstrip(')')}"
        f"; {count_text(allowed, 'CPU')} of {os.cpu_count()} may be used)",
    )
    if 0 < physical < number:
        report.add(
            "machine",
            "note",
            f"{number} threads share {count_text(physical, 'core')}",
            f"compare with `pyinfer bench MODEL --threads {physical}`: one a core is often as fast",
        )
    if load > allowed:
        report.add(
            "machine",
            "note",
            f"other work keeps this machine busy: load {load:.1f} on {count_text(allowed, 'CPU')}",
            "measured times say little now, and a run waits for the slowest of its threads; on a "
            "machine that is always busy use fewer threads, or OMP_WAIT_POLICY=passive",
        )
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    if governor == "powersave" and "intel_pstate" not in _read(
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver"
    ):
        report.add(
            "machine",
            "slow",
            "the CPU is set to its lowest frequency (governor powersave)",
            "cpupower frequency-set -g performance",
        )


def _openmp(report: Report, copies: list[str]) -> None:
    env = {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)}
    report.facts["machine"].update(openmp=copies, environment=env)
    if len(copies) > 1:
        report.add(
            "machine",
            "slow",
            f"{len(copies)} OpenMP libraries are in this process, each with "
            "threads of its own that wait for work on the same CPUs",
            "import pyinfer first; install packages that share one (all from one channel); or set "
            "OMP_WAIT_POLICY=passive before Python starts",
            tuple(copies),
        )
    else:
        others = other_openmp(sys.path)
        report.facts["machine"]["other_openmp"] = others
        details = tuple(f"{name} would bring another: {path}" for name, path in others.items())
        report.add("machine", "ok", f"OpenMP: {copies[0] if copies else 'none'}", "", details)
    policy, spin = env.get("OMP_WAIT_POLICY", ""), env.get("GOMP_SPINCOUNT", "")
    if policy.lower() == "active" or spin.lower() in ("infinite", "infinity"):
        report.add(
            "machine",
            "note",
            "threads never sleep: OMP_WAIT_POLICY or GOMP_SPINCOUNT says so",
            "unset it, unless this machine does nothing else",
        )
    elif policy or spin:
        said = [f"{k}={env[k]}" for k in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if k in env]
        report.add("machine", "ok", f"threads wait as {' and '.join(said)} says")
    else:
        report.add(
            "machine",
            "ok",
            "threads spin for less than a millisecond, then sleep "
            "(OMP_WAIT_POLICY and GOMP_SPINCOUNT are not set)",
        )
    if env.get("OMP_NUM_THREADS") and "PYINFER_THREADS" not in env:
        report.add(
            "machine",
            "note",
            f"OMP_NUM_THREADS={env['OMP_NUM_THREADS']} is set, which this engine does not read",
            "set PYINFER_THREADS, or load(..., threads=N)",
        )
    pinned = [k for k in ("OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY") if env.get(k)]
    if pinned:
        report.add(
            "machine",
            "note",
            f"{', '.join(pinned)} ties threads to CPUs",
            "unset it where several processes or models share the machine",
        )


def _onednn(report: Report, said: str) -> None:
    there = said.startswith("oneDNN ")
    report.facts["machine"]["onednn"] = said
    if there:
        report.add("machine", "ok", said)
    elif os.environ.get("PYINFER_ONEDNN") in ("off", "0"):
        report.add("machine", "slow", "PYINFER_ONEDNN turns oneDNN off", "unset PYINFER_ONEDNN")
    else:
        report.add(
            "machine",
            "slow",
            f"oneDNN is not used: {said}",
            "install pyinfer with it (the "
            "default), or set PYINFER_ONEDNN to the path of a libdnnl.so.3",
        )


def _memory(report: Report) -> None:
    limit, free = memory_limit(), available_memory()
    report.facts["machine"].update(memory_limit=limit, memory_available=free)
    said = f"{bytes_text(free)} of memory can be had" if free is not None else "memory: not known"
    if limit is not None:
        said += f"; the control group allows {bytes_text(limit)}"
    report.add("machine", "ok", said)


def examine(report: Report) -> None:
    """Adds what there is to say about this machine and process."""
    found = config()
    report.facts["machine"]["version"] = _core.version
    _cpu(report, found["cpu"])
    _threads(report, found["threads"])
    _openmp(report, [p for p in found["openmp"].split(", ") if p])
    _onednn(report, found["onednn"])
    _memory(report)
    packages: dict[str, Any] = versions()
    report.facts["machine"]["packages"] = packages
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    report.add("machine", "ok", f"pyinfer {_core.version}, {listed}")
