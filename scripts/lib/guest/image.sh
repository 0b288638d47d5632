#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# image.sh BASE DEB OUT: in `scripts/sandbox --guest`, make the disk of a guest: what base.sh made,
# the package installed as on a host, people, and how the tests get in. Beside OUT: OUT.key, root's
# ssh key.
set -eu

main() {
    base=$1 deb=$2 out=$3
    here=$(dirname "$0")
    # On the disk: overlays keep no labels where the kernel's tmpfs has no extended attributes.
    root=$out.root
    rm -rf "$root"
    cp -a "$base/root" "$root"
    configure
    add_people # before the policy is built, which labels their homes by who they are
    install_package
    sh "$here/label.sh" "$root"
    mkfs.ext4 -q -F -d "$root" -L root -m 0 -N 40000 -O '^has_journal,^resize_inode,^metadata_csum' \
        -E lazy_itable_init=1 "$out.new" 800M
    # mkfs makes it; nothing labels it.
    debugfs -w -R 'ea_set /lost+found security.selinux system_u:object_r:lost_found_t:s0' \
        "$out.new" 2>/dev/null
    mv "$out.new" "$out"
    rm -rf "$root"
}

inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@" >&2
}

configure() {
    cp -R "$here/files/." "$root/"
    chmod 755 "$root/usr/local/sbin/attach-ukey"
    echo guest >"$root/etc/hostname"
    printf '127.0.0.1\tlocalhost guest\n' >"$root/etc/hosts"
    : >"$root/etc/fstab"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id" # or this is the first boot
    sed -i 's/^SELINUX=.*/SELINUX=enforcing/' "$root/etc/selinux/config"
    sed -i 's/^LOGIN_TIMEOUT.*/LOGIN_TIMEOUT 900/' "$root/etc/login.defs" # what is emulated is slow
    # After a wrong answer nobody is made to wait; that it is done is PAM's business, not ours.
    sed -i 's/pam_unix\.so nullok/& nodelay/' "$root/usr/share/pam-configs/unix"
    sed -i 's/delay=3000000/delay=300000/' "$root/etc/pam.d/login"
    # demo and bob are confined; as everybody else, alice is not. Here, the next module that is
    # installed brings it into the policy.
    (umask 077 && printf 'demo:user_u:s0\nbob:staff_u:s0-s0:c0.c1023\n' \
        >"$root/var/lib/selinux/default/active/seusers.local")
    units=$root/etc/systemd/system
    mkdir -p "$units/multi-user.target.wants"
    ln -s /usr/lib/systemd/system/systemd-networkd.service "$units/multi-user.target.wants/"
    ln -s ../attach-ukey.service "$units/multi-user.target.wants/"
    # A guest that lives for minutes does without these; only auditd writes down what is audited.
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service \
        systemd-timesyncd.service getty@tty1.service systemd-journald-audit.socket \
        dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
        sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service \
        kmod-static-nodes.service modprobe@.service; do
        ln -sf /dev/null "$units/$unit"
    done
    rm -f "$out.key" "$out.key.pub"
    ssh-keygen -q -t ed25519 -N '' -C guest -f "$out.key"
    install -d -m 700 "$root/root/.ssh"
    install -m 600 "$out.key.pub" "$root/root/.ssh/authorized_keys"
}

install_package() {
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    mount -t proc proc "$root/proc"
    cp "$deb" "$root/tmp/pam-ukey.deb"
    # The administrator's configuration is there first, and stays.
    inside dpkg --install --force-confold /tmp/pam-ukey.deb
    inside pam-auth-update --enable ukey
    rm "$root/tmp/pam-ukey.deb" "$root/usr/sbin/policy-rc.d"
    umount "$root/proc"
}

# demo, alice and bob; the last two may use sudo. Passwords are the names with "-password" behind,
# hashed cheaply: the emulated processor is slow.
add_people() {
    for name in demo alice bob; do
        inside useradd --create-home --shell /bin/bash "$name"
    done
    for name in alice bob; do
        inside usermod --append --groups sudo "$name"
    done
    for name in root demo alice bob; do
        echo "$name:$name-password"
    done | inside chpasswd --crypt-method SHA512 --sha-rounds 1000
}

main "$@"
exit
