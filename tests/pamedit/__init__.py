# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tests of what ``ukey pam enable`` and ``disable`` do to /etc/pam.d."""
