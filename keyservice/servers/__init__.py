# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floor 5: who is calling, and how: the bus and the sockets. No product rule lives here."""
