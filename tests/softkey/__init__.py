# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An emulated ukey: a smart token that follows the GM/T 0017-2012 command set, for tests and demos.

It stands behind pcscd's virtual reader (vpcd), keeps its state in one file, enforces what a real
ukey enforces, and misbehaves on request. It imports nothing of the service, so that a misreading
of the standard is not shared, and it is never packaged: its keys lie in a plain file.

The files in the order of an APDU: ``link`` (the TCP frames of vpcd), ``runner`` (the process),
``steered`` and ``misbehave``, ``card`` (parsing, dispatch, what a reset forgets), the commands in
``device``, ``pins``, ``applications`` and ``containers``, ``pincrypto`` and ``sm2``, ``state`` (the
file).
"""
