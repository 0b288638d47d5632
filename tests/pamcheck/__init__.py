# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tests of pam check: stacks, tables, findings and the command."""
