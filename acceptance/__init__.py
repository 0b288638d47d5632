# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host is tried out step by step, by a person or with an emulated ukey, and what came of it is
written down. Run by ``scripts/acceptance``; on a person's host with the standard library alone."""
