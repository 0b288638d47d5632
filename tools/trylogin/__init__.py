# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A login that is tried and not made: the base of ``ukey pam try``."""
