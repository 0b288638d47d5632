#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# journey.sh PACKAGE LATER-PACKAGE: in a sandbox that has what the package depends on, nothing else,
# and no network (scripts/sandbox --for host), show that this is all it needs, then go through a
# host's life with it (journey.py).
set -eu
export DEBIAN_FRONTEND=noninteractive

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

# The root has these as packages only (scripts/lib/package-roots.sh).
apt-get install --yes --no-install-recommends iproute2 openssh-client \
    openssh-server openssl vsmartcard-vpcd >/dev/null
ip link set lo up
export PYTHONPATH=/usr/src/ukey
exec python3 -B -m tests.packages.journey "$@"
