# Run on the host with the root of the machine to be as $1: what makes a bare root one that boots in the lab.
set -e
root=$1
echo '/dev/vda1 / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
echo lab >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 lab\n' >"$root/etc/hosts"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
rm -f "$root/etc/resolv.conf" "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*

# The boot loader, as its own installation would lay it out. The first start has this configuration; from then on it is
# what update-grub makes.
mkdir -p "$root/boot/grub/i386-pc"
cp "$root"/usr/lib/grub/i386-pc/*.* "$root/boot/grub/i386-pc/"
chroot "$root" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/grub/i386-pc/core.img \
    biosdisk part_msdos ext2
cat >"$root/boot/grub/grub.cfg" <<'END'
linux (hd0,msdos1)/vmlinuz root=/dev/vda1 ro console=ttyS0 no_timer_check
initrd (hd0,msdos1)/initrd.img
boot
END
cat >"$root/etc/default/grub" <<'END'
GRUB_TIMEOUT=0
# A busy host does not tick in time for the check of the timer, and the kernel would panic.
GRUB_CMDLINE_LINUX="console=ttyS0 no_timer_check"
GRUB_TERMINAL=console
END

for number in 1:10.0.2.15/24 2:169.254.169.15/24; do
    printf '[Match]\nMACAddress=52:54:00:00:00:0%s\n[Network]\nAddress=%s\nLinkLocalAddressing=no\n' \
        "${number%%:*}" "${number#*:}" >"$root/etc/systemd/network/${number%%:*}.network"
done
cat >"$root/etc/systemd/system/lab-agent.service" <<'END'
[Unit]
Description=Does what the host of this virtual machine asks for
[Service]
ExecStart=/usr/local/sbin/lab-agent
KillMode=process
OOMScoreAdjust=-1000
[Install]
WantedBy=multi-user.target
END
cat >"$root/etc/systemd/system/lab-clock.service" <<'END'
[Unit]
Description=Plays the time daemon
DefaultDependencies=no
Before=time-sync.target basic.target
Wants=time-sync.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/lab-clock
[Install]
WantedBy=sysinit.target
END
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d" "$root/srv/lab"
cat >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/root.conf" <<'END'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200,38400,9600 - $TERM
END
chroot "$root" systemctl --quiet enable lab-agent lab-clock systemd-networkd serial-getty@ttyS0
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer networking.service systemd-networkd-wait-online.service
