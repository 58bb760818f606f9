#!/bin/sh
# A machine of one service: systemd as process 1 of namespaces of its own, over what is installed here, with what deploy/ holds put in
# place as docs/installation.md says. Nothing of this machine is changed.
#   booted.sh PROGRAM DEPLOY PLACE     PLACE holds probe.sh, which runs once the service is up, and afterwards out/ with what was said
# Exit code 77: this machine does not allow it.
set -eu
cannot() {
    echo "cannot: $1" >&2
    exit 77
}

if [ "${1-}" != inside ]; then
    [ "$(id -u)" = 0 ] || cannot "only root can"
    [ -x /lib/systemd/systemd ] || cannot "there is no systemd"
    # A group of processes of its own, so that systemd may arrange it.
    groups=$3/groups
    mkdir -p "$groups" "$3/out"
    mount -t cgroup2 cgroup2 "$groups" || cannot "no cgroup2"
    own=$groups/doorward-test-$$
    mkdir "$own" || { umount "$groups"; cannot "no group of its own"; }
    status=0
    sh -c 'echo $$ > "$0/cgroup.procs" && exec unshare --mount --pid --net --cgroup --ipc --uts --fork --kill-child "$@"' \
        "$own" sh "$0" inside "$@" || status=$?
    # Its last processes are gone in a moment: they were killed with the first.
    for _ in $(seq 50); do
        find "$own" -depth -type d -exec rmdir {} + 2> /dev/null || true
        [ -e "$own" ] || break
        sleep 0.1
    done
    umount "$groups"
    exit "$status"
fi

program=$2 deploy=$3 place=$4
layers=$place/layers
mkdir -p "$layers"
mount -t tmpfs tmpfs "$layers" || cannot "no mounts"
mkdir "$layers/upper" "$layers/work" "$layers/root"
root=$layers/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$root" || cannot "no overlay"
mount -t proc proc "$root/proc" || cannot "no /proc of its own"
mount -t sysfs sysfs "$root/sys" || cannot "no /sys of its own"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || cannot "no cgroup2 of its own"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind /dev "$root/dev"
mkdir "$root/out"
mount --bind "$place/out" "$root/out"

touch "$root/usr/local/bin/doorward"
mount --bind "$program" "$root/usr/local/bin/doorward"
mkdir -p "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d" "$root/etc/doorward"
install -m 644 "$deploy/doorward.sysusers" "$root/usr/lib/sysusers.d/doorward.conf"
install -m 644 "$deploy/doorward.tmpfiles" "$root/usr/lib/tmpfiles.d/doorward.conf"
units=$root/etc/systemd/system
install -m 644 "$deploy/doorward.service" "$deploy/doorward-backup.service" "$deploy/doorward-backup.timer" "$units/"
install -m 600 "$place/master.key" "$root/etc/doorward/master.key"
install -m 644 "$place/doorward.toml" "$root/etc/doorward/doorward.toml"
install -m 755 "$place/probe.sh" "$root/probe.sh"
chroot "$root" systemd-sysusers
chroot "$root" systemd-tmpfiles --create doorward.conf

# Of this machine's own units none is wanted. What the service says goes where it can be read.
rm -f "$units"/*.wants/*
for unit in doorward doorward-backup; do
    mkdir "$units/$unit.service.d"
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nStandardOutput=append:/out/%s.log\nStandardError=append:/out/%s.log\n' \
        "$unit" "$unit" > "$units/$unit.service.d/test.conf"
done
cat > "$units/probe.service" << 'UNIT'
[Unit]
Wants=doorward.service
After=doorward.service
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh -c "/probe.sh; echo $? > /out/status; systemctl exit 0 --force --force"
StandardOutput=append:/out/probe.log
StandardError=append:/out/probe.log
UNIT
cd "$root"
mkdir old
mount --make-rprivate /
pivot_root . old
umount -l /old
# As on a machine: what process 1 mounts for a service is seen by the service.
mount --make-rshared /
export container=docker
exec /lib/systemd/systemd --system --unit=probe.service --log-target=console --show-status=0
