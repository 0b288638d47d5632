# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What ``ukey check-pam`` knows: PAM stacks as libpam sees them, and the ways in around PAM."""
