# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a login costs, beside what others cost on the same machine. Run by ``scripts/bench``."""
