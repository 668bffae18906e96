#!/bin/sh
# Runs easytracking-sync as the user of the same name, with the credentials of /etc/easytracking-sync/credentials, so
# that the archive never contains files of root. The credentials are copied to a memory file system that only this
# command sees and that disappears with it, even if it is killed.
set -eu

account=easytracking-sync
program=/opt/easytracking-sync/venv/bin/easytracking-sync

if [ "$(id -un)" = "$account" ]; then
  exec "$program" "$@"
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "easytracking-sync: run this command as root (sudo easytracking-sync ...); it switches to the user $account" >&2
  exit 2
fi

# shellcheck disable=SC2016  # the inner shell expands it
exec unshare --mount --propagation slave /bin/sh -c '
  set -eu
  umask 077
  account=$1 program=$2 folder=/run/easytracking-sync
  shift 2
  mkdir -p "$folder"
  mount -t ramfs -o mode=0700 ramfs "$folder"
  for file in /etc/easytracking-sync/credentials/*; do
    [ -f "$file" ] && install -m 0400 -o "$account" "$file" "$folder/"
  done
  chown "$account:" "$folder"
  export CREDENTIALS_DIRECTORY="$folder" HOME=/var/lib/easytracking-sync
  exec setpriv --reuid "$account" --regid "$account" --init-groups --inh-caps=-all --no-new-privs "$program" "$@"
' easytracking-sync "$account" "$program" "$@"
