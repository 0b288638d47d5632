# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PAM modules: ``native/`` in C, and here the one for pam_python, on the same steps."""
