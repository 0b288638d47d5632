# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Logins with an emulated ukey, shown to a person. Run by ``scripts/demo``, in the sandbox."""
