# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What clients import: names, frames and steps (standard library only), and the client."""
