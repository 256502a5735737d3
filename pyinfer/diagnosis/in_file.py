# SPDX-License-Identifier: Apache-2.0
"""The model as it is written: operators, opsets, external data, weights; loadable or not."""

from __future__ import annotations

import mmap
import os
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from .. import _core
from .._units import bytes_text, count_text
from .onnx_file import Damaged, Node, OnnxFile, Tensor, read
from .report import Report

PLAN = b"PYINFER\x1a"
CHUNK = 1 << 22  # elements that are looked at together
OLD = 11  # an opset below is called old

Bytes = Callable[[Tensor], Any]  # a weight's elements as they lie in a file, or None


def open_bytes(source: Any) -> Any:
    """A path's or bytes' content, mapped if it is a file; OSError."""
    if isinstance(source, bytes):
        return source
    with open(source, "rb") as file:
        return (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if os.fstat(file.fileno()).st_size
            else b""
        )


def _opsets(report: Report, file: OnnxFile) -> None:
    rows = [row for row in _core.ops() if not row[0]]
    newest, version = max(row[2] for row in rows), file.opsets.get("")
    others = "".join(f", {d} {v}" for d, v in file.opsets.items() if d)
    report.facts["model"].update(
        ir_version=file.ir_version, opsets=file.opsets, producer=file.producer
    )
    by = f", written by {file.producer}" if file.producer else ""
    said = f"opset {version}{others}, IR version {file.ir_version}{by}"
    if version is not None and version > newest:
        report.add(
            "model",
            "note",
            f"{said}: newer than all that this version knows ({newest})",
            "operators are read as they were then: compare the outputs (`pyinfer compare`)",
        )
    elif version is not None and version < OLD:
        report.add(
            "model",
            "note",
            f"{said}: old",
            "if something is missing or slow, export it again: "
            "what later opsets have as one operator is in pieces here",
        )
    else:
        report.add("model", "ok", said)


def _advice(node: Node, known: set[tuple[str, str]]) -> str:
    if (node.domain, node.op) in known:
        return "too old: onnx.version_converter.convert_version makes a newer opset of it"
    if node.domain == "com.microsoft":
        return "ONNX Runtime's optimiser or quantiser made it: take the model from before"
    if "aten" in node.domain:
        return "the exporter could not translate it: use torch.onnx.export(..., dynamo=True)"
    near = get_close_matches(node.op, [op for domain, op in known if domain == node.domain], 1, 0.8)
    return f"is it {near[0]}?" if near else ""


def unsupported(file: OnnxFile) -> dict[tuple[str, str], list[Node]]:
    """Nodes of operators that the engine does not have in their version, by operator."""
    since: dict[tuple[str, str], int] = {}
    for domain, name, version, *_ in _core.ops():
        key = (domain, name)
        since[key] = min(version, since.get(key, version))
    found: dict[tuple[str, str], list[Node]] = {}
    for node in file.nodes:
        key = (node.domain, node.op)
        fits = key in since and (node.version is None or node.version >= since[key])
        fits |= key == ("", "Constant")  # read, not run: of any version
        if not fits and key not in file.functions or node.domain == "pyinfer":
            found.setdefault(key, []).append(node)
    return found


def _operators(report: Report, file: OnnxFile, loads: bool) -> None:
    known = {(row[0], row[1]) for row in _core.ops() if row[0] != "pyinfer"}
    missing = {} if loads else unsupported(file)
    report.facts["model"]["nodes"] = dict(Counter(n.full_name for n in file.nodes).most_common())
    report.facts["model"]["unsupported"] = [nodes[0].full_name for nodes in missing.values()]
    for nodes in missing.values():
        first = nodes[0]
        version = "" if first.version is None else f" (opset {first.version})"
        places = [f"'{n.name}'" if n.name else "a node without a name" for n in nodes]
        details = [
            f"{place} from {n.source}" if n.source else place
            for place, n in zip(places, nodes, strict=True)
        ]
        advice = _advice(first, known) or (
            "write it with other operators where it comes from; `pyinfer ops` lists them"
        )
        report.add(
            "model",
            "problem",
            f"{first.full_name}{version} is not supported: {count_text(len(nodes), 'node')}",
            advice,
            tuple(details),
        )
    if not missing:
        kinds = count_text(len({(n.domain, n.op) for n in file.nodes}), "operator")
        number = count_text(len(file.nodes), "node")
        report.add("model", "ok", f"{number} of {kinds}, all of them known")


def _external(report: Report, file: OnnxFile, folder: str | None) -> dict[str, Any]:
    """Maps the files of external data; says which are missing or too short."""
    wanted: dict[str, list[Tensor]] = {}
    for tensor in [*file.weights, *file.constants]:
        if tensor.location:
            wanted.setdefault(tensor.location, []).append(tensor)
    maps: dict[str, Any] = {}
    missing, short = [], []
    for location, tensors in wanted.items():
        need = max(t.offset + t.nbytes for t in tensors)
        said = f"{location}: {bytes_text(need)}, {count_text(len(tensors), 'weight')}"
        try:
            if folder is None or location.startswith("/") or ".." in location.split("/"):
                raise OSError
            maps[location] = open_bytes(os.path.join(folder, location))
        except OSError:
            missing.append(said)
            continue
        if len(maps[location]) < need:
            short.append(f"{said}; it has {bytes_text(len(maps[location]))}")
    report.facts["model"]["external"] = sorted(wanted)
    report.facts["model"]["unreadable"] = [said.partition(": ")[0] for said in missing + short]
    if missing and folder is None:
        report.add(
            "model",
            "problem",
            "weights are in other files, and bytes have no folder",
            "load the model by its path",
            tuple(missing),
        )
    elif missing:
        report.add(
            "model",
            "problem",
            "files with weights are missing beside the model",
            "copy them into its folder",
            tuple(missing),
        )
    if short:
        report.add(
            "model",
            "problem",
            "files with weights are too short",
            "copy or download them again: cut off, or of another export",
            tuple(short),
        )
    if wanted and not missing and not short:
        names = count_text(len(wanted), "file")
        report.add("model", "ok", f"external data: {names}, all there")
    return maps


def _bits(tensor: Tensor, data: Any) -> Iterator[Any]:
    """The elements as unsigned numbers without their signs, in parts."""
    import numpy as np

    size = 4 if tensor.dtype == "float32" else 8
    count = min(len(data) - tensor.offset, tensor.nbytes) // size
    kind: Any = np.uint32 if size == 4 else np.uint64
    positive = kind((1 << 8 * size - 1) - 1)
    for at in range(0, count, CHUNK):
        n = min(CHUNK, count - at)
        yield np.frombuffer(data, kind, n, tensor.offset + at * size) & positive


def _values(report: Report, tensors: list[Tensor], data_of: Bytes) -> None:
    """Counts denormal numbers and NaN among the weights of floats."""
    import numpy as np

    odd: dict[str, list[str]] = {"denormal": [], "NaN": []}
    total = Counter[str]()
    for tensor in tensors:
        data = data_of(tensor) if tensor.dtype in ("float32", "float64") else None
        if data is None:
            continue
        mantissa = 23 if tensor.dtype == "float32" else 52
        infinite = (255 if mantissa == 23 else 2047) << mantissa
        counts = Counter[str]()
        for bits in _bits(tensor, data):
            one = bits.dtype.type(1)
            counts["denormal"] += int(np.count_nonzero(bits - one < (1 << mantissa) - 1))
            counts["NaN"] += int(np.count_nonzero(bits > infinite))
        for what, n in counts.items():
            if n:
                odd[what].append(f"{tensor.name}: {n:,} of {n_elements(tensor):,}")
        total += counts
    report.facts["model"].update(denormal_weights=total["denormal"], nan_weights=total["NaN"])
    if total["denormal"]:
        report.add(
            "model",
            "note",
            f"{count_text(total['denormal'], 'weight')} so small as to be denormal: "
            "this engine takes them for 0 in float32; others can be ten times slower by them",
            "set them to 0 before the export: w[w.abs() < 1.2e-38] = 0",
            tuple(odd["denormal"]),
        )
    if total["NaN"]:
        report.add(
            "model",
            "note",
            f"{count_text(total['NaN'], 'weight is', 'weights are')} NaN",
            "training diverged, or the file is damaged: look at the checkpoint",
            tuple(odd["NaN"]),
        )


def n_elements(tensor: Tensor) -> int:
    number = 1
    for d in tensor.dims:
        number *= d
    return number


def _weights(report: Report, file: OnnxFile, data_of: Bytes) -> None:
    tensors = [*file.weights, *file.constants]
    sizes = Counter[str]()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.nbytes
    report.facts["model"]["weights"] = {"bytes": sum(sizes.values()), "by_type": dict(sizes)}
    listed = ", ".join(f"{name} {bytes_text(n)}" for name, n in sizes.most_common())
    report.add("model", "ok", f"weights: {listed or 'none'}")
    unused = [t for t in file.weights if t.name not in file.used]
    total = sum(t.nbytes for t in unused)
    report.facts["model"]["unused_weights"] = [t.name for t in unused]
    if unused:
        details = [
            f"{t.name}: {bytes_text(t.nbytes)}" for t in sorted(unused, key=lambda t: -t.nbytes)
        ]
        report.add(
            "model",
            "note",
            f"{count_text(len(unused), 'weight is', 'weights are')} never used: "
            f"{bytes_text(total)} in the file",
            "they cost nothing in a run; onnxsim or a newer exporter leaves them out",
            tuple(details),
        )
    _values(report, tensors, data_of)


def examine(report: Report, source: Any, folder: str | None, loads: bool) -> None:
    """Adds what the file itself tells; nothing if it cannot be read: the engine then says why.
    source: a path or bytes, then folder: of external data. loads: the engine can load it."""
    try:
        data = open_bytes(source)
        if bytes(data[:8]) == PLAN:
            report.add("model", "ok", "a saved plan: what it was made from cannot be looked at")
            return
        file = read(data)
    except (OSError, Damaged):
        return
    if not file.ir_version:
        return
    _opsets(report, file)
    _operators(report, file, loads)
    folder = os.path.dirname(source) if isinstance(source, str) else folder
    maps = _external(report, file, folder)

    def data_of(tensor: Tensor) -> Any:
        if tensor.location:
            return maps.get(tensor.location)
        return None if tensor.data is None else memoryview(data)[slice(*tensor.data)]

    _weights(report, file, data_of)
