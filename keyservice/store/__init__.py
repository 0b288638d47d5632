# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floor 3: bindings, revocations and throttle state on disk, atomic and checked."""
