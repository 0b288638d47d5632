#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
#
# inside.sh FOLDER COMMAND [ARG]...: in a sandbox, run COMMAND. The parts of the product that run
# meanwhile count, and leave their counts in FOLDER/python and FOLDER/native.
set -eu
here=${0%/*}
folder=$1
shift

# Processes of any user leave theirs.
mkdir -m 755 "$folder"
mkdir -m 1777 "$folder/python" "$folder/native"

packages=/usr/lib/python3/dist-packages
cp "$here/start.py" "$packages/ukey_counting.py"
echo "import ukey_counting; ukey_counting.start('$folder/python')" >"$packages/ukey-counting.pth"

export CC="$here/counting-cc" UKEY_COUNTS="$folder/native"
exec "$@"
