# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The keyservice as its clients see it: over its sockets, or over the system bus."""
