# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who gets in: a model of what the documents promise, beside the real module and service."""
