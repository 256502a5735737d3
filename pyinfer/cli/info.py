# SPDX-License-Identifier: Apache-2.0
"""Prints the inputs, outputs and metadata of a model, and how many operators of each kind are left
after loading has folded and fused what it could."""

from __future__ import annotations

import argparse

from ._shared import LOADING, Parser, load, print_json

EXAMPLES = """\
  pyinfer info model.onnx
  pyinfer info model.onnx --json | jq .inputs
  pyinfer info model.onnx --level 0            the operators as they are in the file
"""


def arguments(parser: Parser) -> None:
    parser.add_model()
    parser.add(*LOADING, "--json")


def run(args: argparse.Namespace) -> int:
    model = load(args)
    nodes: dict[str, int] = {}
    for line in model.graph_text().splitlines():
        op = line.partition(" = ")[2].split("(")[0].split(" ")[0]
        nodes[op] = nodes.get(op, 0) + 1
    ports = {"inputs": model.inputs, "outputs": model.outputs}
    if args.json:
        as_rows = {k: [p._asdict() for p in v] for k, v in ports.items()}
        return print_json({**as_rows, "metadata": model.metadata, "nodes": nodes})
    for kind, rows in ports.items():
        print(kind)
        for port in rows:
            print(f"  {port}")
    print("metadata")
    for key, value in model.metadata.items():
        if value:
            print(f"  {key}: {value if len(value) < 100 else value[:97] + '...'}")
    print(f"operators after loading: {sum(nodes.values())}")
    for op, count in sorted(nodes.items(), key=lambda row: -row[1]):
        print(f"  {count:5} {op}")
    return 0
