#!/bin/sh
# easytracking-sync for an administrator's shell: the program runs as its own account, with the credentials of
# /etc/easytracking-sync/credentials, so that root leaves no files of its own in the archive. The copies of the
# credentials lie in memory, in a mount that only this command sees and that ends with it, however it ends.
set -eu

account=easytracking-sync
program=/opt/easytracking-sync/venv/bin/easytracking-sync

if [ "$(id -un)" = "$account" ]; then
  exec "$program" "$@"
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "easytracking-sync: it works as the account $account: run it as root (sudo easytracking-sync ...)" >&2
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
