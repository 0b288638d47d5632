# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The keyservice: the only program that touches ukeys, and the only one that reads bindings."""

__version__ = "0.1.0"
