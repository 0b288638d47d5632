# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The systemd units, followed to the letter where there is no systemd."""
