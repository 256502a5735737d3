# SPDX-License-Identifier: Apache-2.0
"""The window itself: all that needs Tk."""
