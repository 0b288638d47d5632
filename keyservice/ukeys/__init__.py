# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floor 3: kinds of ukey, presence, and the device workers that talk to them."""
