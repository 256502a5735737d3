# SPDX-License-Identifier: Apache-2.0
LEFT_OUT: dict[str, tuple[str, ...]] = {}
