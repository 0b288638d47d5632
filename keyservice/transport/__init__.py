# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floor 2: PC/SC and APDUs. Bytes in, (bytes, SW) out; knows no PINs, users or policy."""
