# SPDX-License-Identifier: Apache-2.0
"""The pages of pyinfer: sphinx-build -W --keep-going -b html docs build/docs

Works offline, with `pip install ".[docs]"`. pyinfer must be importable: the
reference is made of it.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "pyinfer"
version = release = re.search(
    r'^version = "([^"]+)"', (HERE.parent / "pyproject.toml").read_text(), re.MULTILINE
)[1]
copyright = "the authors of pyinfer, Apache-2.0"  # noqa: A001
extensions = ["myst_parser", "sphinx.ext.autodoc", "made_pages"]
exclude_patterns = ["_ext", "_static"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "literal"  # docstrings say `load`
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_display_short_literal_types = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"pyinfer {version}"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
