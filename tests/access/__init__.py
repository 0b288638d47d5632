# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The product's rules, on real readers wherever a rule needs a ukey."""
