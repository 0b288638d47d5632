#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# base.sh DIRECTORY: in `scripts/sandbox --guest --network host`, make what every guest starts from:
# DIRECTORY/root, a labelled Debian 12 without the product; vmlinux and initrd, which boot it.
set -eu

say() {
    echo "guest: $*" >&2
}

die() {
    say "$*"
    exit 1
}

main() {
    base=$1
    checkout=$(pwd -P)
    here=$checkout/scripts/lib/guest
    # shellcheck source=scripts/lib/build-root.sh
    . "$checkout/scripts/lib/build-root.sh"
    say "making its root"
    debian_sources | mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
        --include="$(listed "$checkout/packaging/guest-packages.txt" ,)" \
        --aptopt='Acquire::Languages "none"' --aptopt="$(apt_settings)" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$base/root" - >&2
    say "unpacking its kernel"
    work=$(mktemp -d)
    unpack_kernel
    sh "$here/initrd.sh" "$base/root" "$version" "$base/initrd"
    say "labelling it"
    sh "$here/label.sh" "$base/root"
}

# The generic kernel (the cloud one has no USB), and of its modules what QEMU and the tests need:
# installing the package instead takes 40 s and 400 MB.
unpack_kernel() {
    apt-get update >&2
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/^  Depends: //p')
    version=${package#linux-image-}
    (cd "$work" && apt-get download "$package" >&2)
    set -- "./boot/vmlinuz-$version" "./lib/modules/$version/modules.*"
    for part in arch/x86/crypto crypto lib fs/ext4 fs/jbd2 fs/mbcache.ko fs/autofs fs/configfs \
        fs/binfmt_misc.ko drivers/virtio drivers/block/virtio_blk.ko drivers/char/hw_random \
        drivers/char/virtio_console.ko drivers/net/virtio_net.ko drivers/net/net_failover.ko \
        net/core/failover.ko drivers/usb/common drivers/usb/core drivers/usb/host drivers/usb/usbip; do
        set -- "$@" "./lib/modules/$version/kernel/$part*"
    done
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar --extract --directory="$work" --wildcards "$@"
    mkdir -p "$base/root/usr/lib/modules"
    cp -R "$work/lib/modules/$version" "$base/root/usr/lib/modules/"
    depmod -b "$base/root" "$version"
    # Unpacked here, once, rather than by the emulated processor at every boot.
    python3 "$here/vmlinux.py" "$work/boot/vmlinuz-$version" "$base/vmlinux"
    rm -r "$work"
}

main "$@"
exit
