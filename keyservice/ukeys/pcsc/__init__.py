# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Readers and ukeys by way of pcscd."""
