#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# label.sh ROOT: give every file its SELinux label, so that the guest need not at its first boot.
# As root, on a machine where SELinux is off.
set -eu
policy=$(find "$1/etc/selinux/default/policy" -name 'policy.*' | sort -V | tail -n 1)
setfiles -m -F -r "$1" -c "$policy" \
    "$1/etc/selinux/default/contexts/files/file_contexts" "$1"
