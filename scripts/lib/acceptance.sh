#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# acceptance.sh PACKAGE REPORT: in a sandbox that has what the package depends on, nothing else, and
# no network (scripts/sandbox --for host), go through all steps with an emulated ukey.
set -eu
export DEBIAN_FRONTEND=noninteractive

# The root has these as packages only (scripts/lib/package-roots.sh): what a host has, and what the
# emulated ukey needs.
apt-get install --yes --no-install-recommends iproute2 login openssh-client openssh-server \
    openssl sudo vsmartcard-vpcd >/dev/null
ip link set lo up
export PYTHONPATH=/usr/src/ukey
exec python3 -B -m acceptance --package "$1" "$2"
