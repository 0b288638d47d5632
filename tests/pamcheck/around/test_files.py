# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ways around PAM that stand in files: each is planted, found by its line, and gone when it is
closed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.pamcheck.around.conftest import Planted, kinds
from tools.pamcheck.finding import Severity

UNITS = "/etc/systemd/system"
LIB = "/usr/lib/systemd/system"
GETTY = "[Service]\nExecStart=-/sbin/agetty -o '-p -- \\\\u' --noclear - $TERM\n"
DROP_IN = f"{UNITS}/getty@tty1.service.d/autologin.conf"
FORCE = "SYSTEMD_SULOGIN_FORCE"
SHADOW = "root:!:1::::::\n"


@dataclass(frozen=True)
class Plant:
    """Files, what is found (way, kind, place, words of the text), and files that cure it."""

    way: str
    files: dict[str, str]
    kind: str
    place: str
    words: str
    cure: dict[str, str]
    severity: Severity = Severity.OPEN


PLANTS = {
    "agetty --autologin": Plant(
        "getty",
        {
            f"{LIB}/getty@.service": GETTY,
            DROP_IN: "[Service]\nExecStart=\nExecStart=-agetty \\\n  --autologin demo - linux\n",
        },
        "autologin",
        f"{DROP_IN}:3",
        "A console logs demo in without asking anything (getty@tty1.service)",
        {DROP_IN: "[Service]\nExecStart=\nExecStart=-/sbin/agetty - linux\n"},
    ),
    "a short option": Plant(
        "getty",
        {f"{UNITS}/serial-getty@.service": "[Service]\nExecStart=agetty -8Laroot 115200 %I\n"},
        "autologin",
        f"{UNITS}/serial-getty@.service:2",
        "logs root in",
        {f"{UNITS}/serial-getty@.service": "[Service]\nExecStart=/sbin/agetty -8L 115200 %I\n"},
    ),
    "a later drop-in takes it back": Plant(
        "getty",
        {
            f"{LIB}/getty@.service": GETTY,
            f"{LIB}/getty@.service.d/90-x.conf": "[Service]\nExecStart=agetty -a eve -\n",
        },
        "autologin",
        f"{LIB}/getty@.service.d/90-x.conf:2",
        "logs eve in",
        {f"{UNITS}/getty@.service.d/90-x.conf": ""},
    ),
    "login -f": Plant(
        "getty",
        {f"{UNITS}/mine.service": "[Service]\nExecStart=+/bin/login -f root\n"},
        "autologin",
        f"{UNITS}/mine.service:2",
        "'/bin/login -f root' logs in without asking anything",
        {f"{UNITS}/mine.service": "[Service]\nExecStart=/bin/login -p -- root\n"},
    ),
    "agetty's login -f": Plant(
        "getty",
        {f"{UNITS}/getty@.service": "[Service]\nExecStart=-/sbin/agetty -o '-fp -- \\\\u' -\n"},
        "autologin",
        f"{UNITS}/getty@.service:2",
        "logs in without asking anything",
        {f"{UNITS}/getty@.service": GETTY},
    ),
    "another program than login": Plant(
        "getty",
        {f"{UNITS}/getty@.service": "[Service]\nExecStart=-/sbin/agetty -n -l /bin/bash -\n"},
        "console-shell",
        f"{UNITS}/getty@.service:2",
        "runs /bin/bash in place of login",
        {f"{UNITS}/getty@.service": GETTY},
    ),
    "mingetty": Plant(
        "getty",
        {"/etc/inittab": "1:2345:respawn:/sbin/mingetty --autologin=eve tty1\n"},
        "autologin",
        "/etc/inittab:1",
        "logs eve in",
        {"/etc/inittab": "1:2345:respawn:/sbin/mingetty tty1\n"},
    ),
    "gdm": Plant(
        "display managers",
        {
            "/usr/sbin/gdm3": "",
            "/etc/gdm3/daemon.conf": "[daemon]\nAutomaticLoginEnable=True\nAutomaticLogin=demo\n",
        },
        "autologin",
        "/etc/gdm3/daemon.conf",
        "gdm logs demo in by itself",
        {"/etc/gdm3/daemon.conf": "[daemon]\n# AutomaticLoginEnable=True\nAutomaticLogin=demo\n"},
    ),
    "gdm, after a while": Plant(
        "display managers",
        {
            "/usr/sbin/gdm": "",
            "/etc/gdm/custom.conf": "[daemon]\nTimedLoginEnable=true\nTimedLogin=demo\n",
        },
        "autologin",
        "/etc/gdm/custom.conf",
        "gdm logs demo in by itself",
        {"/etc/gdm/custom.conf": "[daemon]\nTimedLoginEnable=false\nTimedLogin=demo\n"},
    ),
    "lightdm": Plant(
        "display managers",
        {
            "/usr/sbin/lightdm": "",
            "/usr/share/lightdm/lightdm.conf.d/60-kiosk.conf": "[Seat:*]\nautologin-user=kiosk\n",
        },
        "autologin",
        "/usr/share/lightdm/lightdm.conf.d/60-kiosk.conf",
        "lightdm logs kiosk in by itself",
        {"/etc/lightdm/lightdm.conf": "[Seat:*]\nautologin-user=\n"},
    ),
    "sddm": Plant(
        "display managers",
        {"/usr/bin/sddm": "", "/etc/sddm.conf.d/a.conf": "[Autologin]\nUser=demo\nSession=x\n"},
        "autologin",
        "/etc/sddm.conf.d/a.conf",
        "sddm logs demo in by itself",
        {"/etc/sddm.conf": "[Autologin]\nUser=\n"},
    ),
    "lxdm": Plant(
        "display managers",
        {"/usr/sbin/lxdm": "", "/etc/lxdm/lxdm.conf": "[base]\nautologin=demo\n"},
        "autologin",
        "/etc/lxdm/lxdm.conf",
        "lxdm logs demo in by itself",
        {"/etc/lxdm/lxdm.conf": "[base]\n#autologin=demo\n"},
    ),
    "greetd": Plant(
        "display managers",
        {
            "/usr/bin/greetd": "",
            "/etc/greetd/config.toml": '[initial_session]\ncommand = "sway"\nuser = "demo"\n',
        },
        "autologin",
        "/etc/greetd/config.toml",
        "greetd logs demo in by itself",
        {"/etc/greetd/config.toml": '[default_session]\ncommand = "agreety"\n'},
    ),
    "sulogin, forced": Plant(
        "sulogin",
        {
            f"{LIB}/rescue.service": "[Service]\nExecStart=-/lib/systemd/systemd-sulogin-shell x\n",
            f"{UNITS}/rescue.service.d/a.conf": f"[Service]\nEnvironment=A=b {FORCE}=1\n",
        },
        "sulogin-forced",
        f"{UNITS}/rescue.service.d/a.conf:2",
        "a root shell without asking",
        {f"{UNITS}/rescue.service.d/a.conf": f"[Service]\nEnvironment={FORCE}=0\n"},
    ),
    "sulogin, forced at boot": Plant(
        "sulogin",
        {"/etc/default/grub": f'GRUB_CMDLINE_LINUX="systemd.setenv={FORCE}=1 quiet"\n'},
        "sulogin-forced",
        "/etc/default/grub:1",
        "a root shell without asking",
        {"/etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet"\n'},
    ),
    "a shell in place of sulogin": Plant(
        "sulogin",
        {f"{UNITS}/emergency.service": "[Service]\nExecStart=-/bin/bash\n"},
        "rescue-shell",
        f"{UNITS}/emergency.service:2",
        "emergency.service gives a root shell",
        {f"{UNITS}/emergency.service": "[Service]\nExecStart=/sbin/sulogin\n"},
    ),
    "root's password": Plant(
        "sulogin",
        {"/etc/shadow": "root:$y$j9T$x:1::::::\n"},
        "sulogin-password",
        "/etc/shadow:1",
        "Root has a password",
        {"/etc/shadow": SHADOW},
    ),
    "a debug shell": Plant(
        "boot",
        {f"{UNITS}/sysinit.target.wants/debug-shell.service": ""},
        "boot-shell",
        f"{UNITS}/sysinit.target.wants/debug-shell.service",
        "a root shell on a console",
        {},
    ),
    "a debug shell by the boot line": Plant(
        "boot",
        {"/etc/kernel/cmdline": "root=/dev/sda1 systemd.debug_shell=1\n"},
        "boot-shell",
        "/etc/kernel/cmdline:1",
        "a root shell on a console",
        {"/etc/kernel/cmdline": "root=/dev/sda1 systemd.debug_shell=0\n"},
    ),
    "init=/bin/sh": Plant(
        "boot",
        {"/etc/default/grub.d/x.cfg": 'GRUB_CMDLINE_LINUX="init=/usr/bin/bash"\n'},
        "boot-shell",
        "/etc/default/grub.d/x.cfg:1",
        "a root shell on a console",
        {"/etc/default/grub.d/x.cfg": 'GRUB_CMDLINE_LINUX="init=/sbin/init"\n'},
    ),
    "a boot line without a password": Plant(
        "boot",
        {"/boot/grub/grub.cfg": "menuentry x {}\n"},
        "boot-line",
        "/boot/grub/grub.cfg",
        "GRUB has no password",
        {"/boot/grub/grub.cfg": "set superusers=root\npassword_pbkdf2 root grub.x\n"},
        Severity.NOTE,
    ),
    "an empty password": Plant(
        "shadow",
        {"/etc/shadow": SHADOW + "eve::1::::::\n"},
        "empty-password",
        "/etc/shadow:2",
        "The password of eve is empty",
        {"/etc/shadow": SHADOW + "eve:!:1::::::\n"},
    ),
    "a group like root": Plant(
        "shadow",
        {"/etc/group": "docker:x:99:alice,bob\n"},
        "group-like-root",
        "/etc/group",
        "Members of docker can become root without being asked: alice, bob.",
        {"/etc/group": "docker:x:99:\n"},
        Severity.NOTE,
    ),
    "a second root": Plant(
        "shadow",
        {"/etc/passwd": "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n"},
        "second-root",
        "/etc/passwd",
        "toor is root by another name",
        {"/etc/passwd": "root:x:0:0::/root:/bin/sh\n"},
        Severity.NOTE,
    ),
    "doas": Plant(
        "doas",
        {"/etc/doas.conf": "permit keepenv nopass :wheel as root\n"},
        "doas-without-password",
        "/etc/doas.conf:1",
        "permit keepenv nopass :wheel as root",
        {"/etc/doas.conf": "# nopass\npermit :wheel as nopass\ndeny nopass alice\n"},
    ),
    "doas for a shell": Plant(
        "doas",
        {"/etc/doas.conf": "permit nopass alice cmd /bin/sh\n"},
        "doas-without-password",
        "/etc/doas.conf:1",
        "cmd /bin/sh",
        {"/etc/doas.conf": "permit alice cmd /bin/sh\n"},
    ),
    "doas for a shell with its words": Plant(
        "doas",
        {"/etc/doas.conf": "permit nopass alice cmd sh args /opt/backup\n"},
        "doas-without-password",
        "/etc/doas.conf:1",
        "args /opt/backup",
        {"/etc/doas.conf": ""},
        Severity.NOTE,
    ),
    "doas remembers": Plant(
        "doas",
        {"/etc/doas.conf": "permit persist alice\n"},
        "doas-remembers",
        "/etc/doas.conf:1",
        "For five minutes",
        {"/etc/doas.conf": "permit alice\n"},
        Severity.NOTE,
    ),
    "polkit": Plant(
        "polkit",
        {"/etc/polkit-1/rules.d/1.rules": "// polkit.Result.YES\nreturn polkit.Result.YES;\n"},
        "polkit-says-yes",
        "/etc/polkit-1/rules.d/1.rules:2",
        "A rule of polkit says yes",
        {"/etc/polkit-1/rules.d/1.rules": "return polkit.Result.AUTH_ADMIN;\n"},
        Severity.NOTE,
    ),
    "root's su": Plant(
        "su",
        {"/etc/pam.d/su": "auth sufficient pam_rootok.so\n@include common-auth\n"},
        "root-becomes-anybody",
        "/etc/pam.d/su:1",
        "Root becomes anybody by su",
        {"/etc/pam.d/su": "@include common-auth\n"},
        Severity.NOTE,
    ),
    "telnet": Plant(
        "telnet, rlogin, dropbear",
        {"/etc/inetd.conf": "#shell x\ntelnet stream tcp nowait root /usr/sbin/tcpd telnetd\n"},
        "telnet",
        "/etc/inetd.conf:2",
        "telnet sends the password and the PIN over the network",
        {"/etc/inetd.conf": "#telnet stream tcp\n"},
        Severity.TELLS,
    ),
    "rlogin": Plant(
        "telnet, rlogin, dropbear",
        {f"{UNITS}/sockets.target.wants/rlogin.socket": ""},
        "address-alone",
        f"{UNITS}/sockets.target.wants/rlogin.socket",
        "rlogin takes the address",
        {},
    ),
    "pam_rhosts": Plant(
        "telnet, rlogin, dropbear",
        {"/etc/pam.d/rsh": "auth required pam_nologin.so\nauth sufficient pam_rhosts.so\n"},
        "address-alone",
        "/etc/pam.d/rsh:2",
        "The address that somebody comes from",
        {"/etc/pam.d/rsh": "auth required pam_nologin.so\n"},
    ),
    "dropbear": Plant(
        "telnet, rlogin, dropbear",
        {"/proc/77/cmdline": "/usr/sbin/dropbear\0-p\x0022\0"},
        "another-ssh",
        "/proc/77/cmdline",
        "/usr/sbin/dropbear -p 22",
        {"/proc/77/cmdline": "/usr/sbin/sshd\0-D\0"},
        Severity.NOTE,
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_found_until_it_is_cured(image: Planted, name: str) -> None:
    plant = PLANTS[name]
    image.write("/etc/shadow", SHADOW)
    assert image.found(plant.way) == []
    for file, text in plant.files.items():
        image.write(file, text, 0o755)
    (finding,) = image.found(plant.way)
    assert (finding.kind, finding.severity, finding.place) == (
        plant.kind,
        plant.severity,
        plant.place,
    )
    assert plant.words in finding.text
    assert finding.remedy
    if not plant.cure:
        (image.root / plant.place.lstrip("/")).unlink()
    for file, text in plant.cure.items():
        image.write(file, text)
    assert image.found(plant.way) == []


def test_a_unit_that_is_masked_logs_nobody_in(image: Planted) -> None:
    image.write(f"{LIB}/getty@.service", GETTY.replace("--noclear", "-a eve"))
    assert len(image.found("getty")) == 1
    image.link(f"{UNITS}/getty@.service", "/dev/null")
    assert image.found("getty") == []


def test_a_link_starts_an_instance_of_a_template(image: Planted) -> None:
    image.write(f"{LIB}/getty@.service", GETTY)
    image.link(f"{UNITS}/getty.target.wants/getty@tty7.service", f"{LIB}/getty@.service")
    drop_in = f"{UNITS}/getty@tty7.service.d/x.conf"
    image.write(drop_in, "[Service]\nExecStart=\nExecStart=agetty --autologin eve -\n")
    assert kinds(image.found("getty")) == [("autologin", f"{drop_in}:3")]


def test_a_credential_logs_in(image: Planted) -> None:
    image.write("/etc/credstore/agetty.autologin", "eve")
    assert kinds(image.found("getty")) == [("autologin", "/etc/credstore/agetty.autologin")]


def test_a_greeter_that_is_not_installed_logs_nobody_in(image: Planted) -> None:
    image.write("/etc/sddm.conf", "[Autologin]\nUser=demo\n")
    assert image.found("display managers") == []


def test_a_greeters_configuration_that_cannot_be_read_is_told(image: Planted) -> None:
    image.write("/usr/bin/sddm", "", 0o755)
    image.write("/etc/sddm.conf", "User=demo\n")
    assert kinds(image.found("display managers")) == [("not-looked-at", "/etc/sddm.conf")]
