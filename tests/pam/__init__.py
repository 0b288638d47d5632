# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tests of both PAM modules against a scripted keyservice, and of the example stacks."""
