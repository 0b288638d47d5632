# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floor 4: the product's rules: sessions, authentication, enrolment, policy, locality, audit."""
