# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The knowledge of ``ukey pam check``: PAM stacks as libpam sees them, and the ways in around
PAM."""
