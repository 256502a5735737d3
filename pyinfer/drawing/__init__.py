# SPDX-License-Identifier: Apache-2.0
"""What pictures of models share: places of blocks, colours, SVG, HTML, charts."""
