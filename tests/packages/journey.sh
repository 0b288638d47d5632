#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# journey.sh PACKAGE LATER-PACKAGE: in a sandbox with a bare Debian and this machine's network, show
# that the package brings all it needs, then go through a host's life with it (journey.py).
set -eu
export DEBIAN_FRONTEND=noninteractive

# Some images leave documents out; people's machines do not.
rm -f /etc/dpkg/dpkg.cfg.d/*
apt-get update >/dev/null
apt-get install --yes --no-install-recommends "$1" >/dev/null

# Every module finds what it imports in what the package depends on. Nothing else is installed yet.
/usr/libexec/ukey/keyservice --check-config >/dev/null
python3 -I - <<'PYTHON'
import importlib, pathlib, sys

root = pathlib.Path("/usr/lib/ukey")
sys.path[:0] = [str(root), str(root / "vendor")]
for path in sorted(root.rglob("*.py")):
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    # The two of them that are programs; glib is another loop's; PAM makes pam_python's globals.
    if not name.startswith("vendor.") and not name.endswith(("__main__", "pam_python_entry")):
        importlib.import_module(name.removesuffix(".__init__"))
PYTHON
# With what it depends on still there, the host is as new.
apt-get purge --yes pam-ukey >/dev/null

apt-get install --yes --no-install-recommends iproute2 openssl vsmartcard-vpcd >/dev/null

# From here on without the machine's network, which is no place for virtual readers' ports.
export PYTHONPATH=/usr/src/ukey
exec unshare --net sh -euc 'ip link set lo up; exec python3 -B -m tests.packages.journey "$@"' sh "$@"
