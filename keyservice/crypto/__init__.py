# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floor 1: SM2 and its engines. Knows no ukeys, people or bindings."""
