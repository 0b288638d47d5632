# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tests of check-pam: stacks, tables, findings and the command."""
