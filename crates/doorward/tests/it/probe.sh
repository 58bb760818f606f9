#!/bin/sh
# What an operator does on a machine of booted.sh, with the service just started. The first thing that goes wrong ends it.
set -eux
config=/etc/doorward/doorward.toml
answers() {
    for _ in $(seq 100); do
        curl -s -f -m 2 -o /dev/null http://127.0.0.1:8420/.well-known/jwks.json && return 0
        sleep 0.1
    done
    return 1
}
answers
process=$(systemctl show doorward.service -p MainPID --value)
grep -E "^(NoNewPrivs|Seccomp|CapEff|CapBnd):" "/proc/$process/status"
test "$(stat -c %U:%a /var/lib/doorward/doorward.db)" = doorward:600
doorward doctor --config $config
# Another process takes its place, and nobody notices.
systemctl kill -s USR2 --kill-whom=main doorward.service
for _ in $(seq 100); do
    [ "$(systemctl show doorward.service -p MainPID --value)" = "$process" ] || break
    sleep 0.1
done
successor=$(systemctl show doorward.service -p MainPID --value)
test "$successor" != 0 && test "$successor" != "$process"
answers
systemctl reload doorward.service
test "$(systemctl show doorward.service -p ActiveState --value)" = active
systemctl start doorward-backup.service
backup=$(echo /var/backups/doorward/doorward-*.db)
test "$(stat -c %U:%a "$backup")" = doorward:600
doorward doctor --config $config --only backups --only listeners --strict
# While it runs nothing takes its store's place.
if doorward restore "$backup" --replace --config $config; then exit 1; fi
systemctl stop doorward.service
test "$(systemctl show doorward.service -p Result --value)" = success
doorward restore "$backup" --replace --config $config
test "$(stat -c %U:%a /var/lib/doorward/doorward.db)" = doorward:600
systemctl start doorward.service
answers
test "$(systemctl show doorward.service -p Result --value)" = success
