#!/bin/sh
# The file system of the container: the program, the libraries it is linked to, certificates of authorities, a user. Nothing else,
# so there is no shell to be had in it. Used by the Dockerfile; `deploy/rootfs.sh PROGRAM DIRECTORY` makes one to look at.
set -eu
program=$1
root=$2
user=65532
authorities=${AUTHORITIES:-/etc/ssl/certs/ca-certificates.crt}

umask 022
mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/etc/doorward" "$root/data"
cp "$program" "$root/usr/bin/doorward"
# Lines such as "libc.so.6 => /lib/…/libc.so.6 (0x…)" and, for the loader, "/lib64/ld-linux-x86-64.so.2 (0x…)".
ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cp "$authorities" "$root/etc/ssl/certs/ca-certificates.crt"
echo "doorward:x:$user:$user::/data:/nonexistent" > "$root/etc/passwd"
echo "doorward:x:$user:" > "$root/etc/group"
echo "hosts: files dns" > "$root/etc/nsswitch.conf"
chmod 700 "$root/data"
# Only root can, and only where it counts: in the Dockerfile.
if [ "$(id -u)" = 0 ]; then chown "$user:$user" "$root/data"; fi
