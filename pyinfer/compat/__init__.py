# SPDX-License-Identifier: Apache-2.0
"""pyinfer beneath other engines' Python calls."""
