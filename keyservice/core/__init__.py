# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floor 0: errors, secrets and user names. Imports nothing of the project but the contract."""
