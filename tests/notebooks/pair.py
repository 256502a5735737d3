# SPDX-License-Identifier: Apache-2.0
"""The notebooks' pairs: NAME.py (jupytext's percent format) is what we edit, NAME.ipynb is made from it.

`python tests/notebooks/pair.py` writes all .ipynb anew.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent", "cell_metadata_filter": "-all", "notebook_metadata_filter": "-all"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def as_notebook(script: Path) -> str:
    """The .ipynb of a script: no outputs, and the same text each time."""
    import jupytext
    import nbformat

    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for i, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{i}", {}
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    for script in SCRIPTS:
        script.with_suffix(".ipynb").write_text(as_notebook(script), encoding="utf-8")
