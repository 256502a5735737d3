# SPDX-License-Identifier: Apache-2.0
"""``pyinfer.doctor``: what is wrong, or will be slow, with this machine and with a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _core
from ..model import Model, _check_options, _load, _read_source
from . import in_file, in_run, machine
from .report import Finding, Report

__all__ = ["Finding", "Report", "doctor"]


def doctor(
    model: Any = None,
    inputs: Any = None,
    *,
    run: bool = True,
    size: int = 1,
    _doing: Any = in_run.quiet,
    **options: int | bool | None,
) -> Report:
    """Looks for trouble in this machine and process, and in a model, which need not be loadable.

    model: what :func:`pyinfer.load` takes, a Model that is loaded, or None for the machine alone.
    inputs: arrays by name to plan and run it with, or a function that makes them for the Model;
    random numbers if none are given, with `size` for each dimension that the file leaves open. run:
    measure a run, else only plan it. options: those of load.

    Of a model it says: whether it is one; operators that are not supported, with their lines in
    PyTorch; external data that is missing; weights never used, denormal or NaN; dimensions left
    open; steps on slow code; memory; operations, and the time that they need at least, and took.

    Raises TypeError for an unknown option; what is wrong with a model is in the report.

    >>> import pyinfer
    >>> from pyinfer import example
    >>> report = pyinfer.doctor(example.model_path())
    >>> report.ok, report.facts["model"]["opsets"]
    (True, {'': 20})
    """
    if model is None:
        report = Report(None)
        machine.examine(report)
        return report
    checked = _check_options(options)
    loaded = model if isinstance(model, Model) else None
    if loaded is not None:
        source, folder = loaded._recipe[0], loaded._recipe[2]
    else:
        source, folder = _read_source(model)
    report = Report(source if isinstance(source, str) else f"({len(source):,} bytes)")
    machine.examine(report)
    failed = None
    if loaded is None:
        try:
            with _doing("loading"):
                loaded = _load(source, checked, folder)
        except (_core.PyinferError, MemoryError) as error:
            failed = error
    with _doing("reading the file"):
        in_file.examine(report, source, folder, loaded is not None)
    if loaded is None:
        in_run.load_failed(report, failed)
        return report
    make = inputs if callable(inputs) else in_run.made_up_feeds(size)
    if isinstance(inputs, Mapping):
        given = dict(inputs)
        make = lambda model: given  # noqa: E731
    in_run.examine(report, loaded, make, run, _doing)
    return report
