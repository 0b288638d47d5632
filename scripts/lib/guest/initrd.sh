#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# initrd.sh ROOT VERSION OUT: what mounts the guest's disk: busybox, and the modules for that.
set -eu

root=$1 version=$2 out=$3
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/bin "$tree"/modules "$tree"/proc "$tree"/sys "$tree"/dev "$tree"/root
cp /bin/busybox "$tree/bin/"
number=10
# crc32c is what ext4 asks the kernel's crypto for, by name.
for module in crc32c_generic virtio_pci virtio_blk ext4; do
    modprobe --dirname "$root" --set-version "$version" --show-depends "$module" |
        sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
    cp "$file" "$tree/modules/$number-${file##*/}"
    number=$((number + 1))
done
cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*; do
    $b insmod "$module"
done
while [ ! -b /dev/vda ]; do
    $b usleep 10000
done
$b mount -t ext4 -o rw,noatime /dev/vda /root || $b poweroff -f
for folder in dev proc sys; do
    $b mount --move /$folder /root/$folder
done
exec $b switch_root /root /sbin/init
INIT
chmod 755 "$tree/init"
(cd "$tree" && find . | cpio --quiet --create --format=newc --owner=0:0) >"$out"
