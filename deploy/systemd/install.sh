#!/bin/sh
# Installs, upgrades or removes easytracking-sync as a systemd service. It is safe to run it again.
#
#   install.sh [--wheel FILE] [--python PYTHON] [--no-copy]
#       Install or upgrade, from this checkout or from a wheel, with the dependencies that requirements.lock pins by
#       hash. An upgrade keeps the previous program, and first copies a SQLite archive (unless --no-copy is given).
#   install.sh --rollback     switch back to the previous program
#   install.sh --uninstall    remove the program and its units; keep configuration, credentials and archive
#
# /opt/easytracking-sync            the program: venv -> venvs/..., and previous, the version before
# /etc/easytracking-sync            config.toml, and credentials/ with one file per secret, readable only by root
# /var/lib/easytracking-sync        the archive, owned by the user easytracking-sync
# /usr/local/bin/easytracking-sync  the command for your shell; runs as that user with those credentials
set -eu
umask 022

name=easytracking-sync
opt=/opt/$name
etc=/etc/$name
state=/var/lib/$name
units=/etc/systemd/system
wrapper=/usr/local/bin/$name
completions=/usr/share/bash-completion/completions
all_units="$name.service $name-catch-up.service $name-catch-up.timer $name-credentials.path $name-credentials.service"
here=$(cd "$(dirname "$0")/../.." && pwd)

say() { echo "install.sh: $*"; }
fail() {
  echo "install.sh: $*" >&2
  exit 2
}

wheel=''
python=''
copy=yes
action=install
while [ $# -gt 0 ]; do
  case $1 in
    --wheel | --python)
      [ $# -ge 2 ] || fail "$1 needs a value"
      if [ "$1" = --wheel ]; then wheel=$2; else python=$2; fi
      shift
      ;;
    --no-copy) copy=no ;;
    --rollback) action=rollback ;;
    --uninstall) action=uninstall ;;
    -h | --help)
      sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"
      exit 0
      ;;
    *) fail "unknown option $1 (see --help)" ;;
  esac
  shift
done
[ -z "$wheel" ] || [ -f "$wheel" ] || fail "$wheel does not exist"

[ "$(id -u)" -eq 0 ] || fail "run it as root"
for tool in systemctl systemd-sysusers setpriv unshare flock; do
  command -v "$tool" >/dev/null || fail "$tool is missing; install systemd and util-linux"
done
version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
[ "${version:-0}" -ge 251 ] || fail "systemd 251 or later is required: older versions cannot load a folder of credentials"
exec 9>"/run/$name.install"
flock -n 9 || fail "another install.sh is running"

work=$(mktemp -d)
fresh=''     # an unfinished venv
restart=''   # the units that were stopped and must be started again in any case
finish() {
  status=$?
  rm -rf "$work"
  [ -z "$fresh" ] || rm -rf "$fresh"
  # shellcheck disable=SC2086  # several names
  [ -z "$restart" ] || systemctl start $restart || status=1
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

runs() { [ -x "$1/bin/python" ] && "$1/bin/$name" version >/dev/null 2>&1; }

find_python() {
  for candidate in ${python:-python3.13 python3.12 python3.11 python3 python3.14}; do
    if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$(command -v "$candidate")
      return
    fi
  done
  fail "Python 3.11 or later with its venv module is required (Debian, Ubuntu: apt install python3-venv); or use --python"
}

# Hash of everything an installation is built from; if it is unchanged, nothing is built.
fingerprint() {
  {
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
    if [ -n "$wheel" ]; then
      sha256sum <"$wheel"
    else
      (cd "$here" && find pyproject.toml README.md daemon migrations config -type f ! -path '*/__pycache__/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum)
    fi
    sha256sum <"$here/requirements.lock"
  } | sha256sum | cut -d' ' -f1
}

pip_install() {
  venv=$1
  shift
  "$venv/bin/python" -m pip --disable-pip-version-check install --quiet "$@"
}

build_wheel() {
  "$python" -m venv "$work/build"
  "$python" "$here/deploy/pins.py" --package hatchling >"$work/build.txt"
  pip_install "$work/build" --require-hashes --no-deps -r "$work/build.txt"
  "$work/build/bin/python" -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation \
    --wheel-dir "$work/wheel" "$here"
  wheel=$(echo "$work"/wheel/*.whl)
}

build_venv() {
  mkdir -p "$opt/venvs"
  fresh="$opt/venvs/$(date -u +%Y%m%dT%H%M%SZ)-$$"
  say "building $fresh with $("$python" --version)"
  "$python" -m venv "$fresh"
  "$python" "$here/deploy/pins.py" --extra postgresql --extra alerts >"$work/run.txt"
  pip_install "$fresh" --require-hashes --no-deps -r "$work/run.txt"
  [ -n "$wheel" ] || build_wheel
  pip_install "$fresh" --no-deps --no-index "$wheel"
  runs "$fresh" || fail "the new program does not start: $fresh/bin/$name version"
  echo "$1" >"$fresh/.installed-from"
}

account_and_folders() {
  install -D -m 0644 "$here/deploy/systemd/$name.sysusers" "/etc/sysusers.d/$name.conf"
  systemd-sysusers "/etc/sysusers.d/$name.conf"
  install -d -m 0750 -o root -g "$name" "$etc"
  install -d -m 0700 -o root -g root "$etc/credentials"
  install -d -m 0700 -o "$name" -g "$name" "$state"
  if [ ! -e "$etc/config.toml" ]; then
    sed "s|^password = .*|# The password is in $etc/credentials/accounts__acme__password.|" \
      "$here/config/easytracking-sync.toml" >"$work/config.toml"
    install -m 0640 -o root -g "$name" "$work/config.toml" "$etc/config.toml"
    say "wrote $etc/config.toml"
  fi
}

install_units() {
  for unit in $all_units; do
    install -m 0644 "$here/deploy/systemd/$unit" "$units/$unit"
  done
  install -D -m 0755 "$here/deploy/systemd/$name.sh" "$wrapper"
  install -D -m 0644 "$here/docs/operations.md" "$opt/doc/operations.md"
  if [ -d "$completions" ]; then
    "$opt/venv/bin/$name" completion bash >"$completions/$name"
  fi
  systemctl daemon-reload
}

# A running catch-up is "activating", and so is a service that migrates or waits for a restart.
is_under_way() {
  case $(systemctl is-active "$1" || true) in
    active | activating | deactivating | reloading | refreshing) ;;
    *) return 1 ;;
  esac
}

stop_services() {
  for unit in "$name.service" "$name-catch-up.timer" "$name-catch-up.service"; do
    if is_under_way "$unit"; then
      [ "$unit" = "$name-catch-up.service" ] || restart="$restart $unit"
      say "stopping $unit"
      systemctl stop "$unit"
    fi
  done
}

# What the account may write, root must not touch: a link there could lead anywhere.
as_account() {
  (cd / && exec setpriv --reuid "$name" --regid "$name" --init-groups --inh-caps=-all --no-new-privs "$@")
}

point() { # LINK VENV: replace the link atomically, so that the program always exists
  ln -s "$2" "$1.new"
  mv -T "$1.new" "$1"
}

# Copy a SQLite archive with the new program, as its user, before anything changes it.
copy_archive() {
  if [ "$copy" = no ] || [ -z "$(ls -A "$state")" ]; then
    return
  fi
  folder="$state/before-upgrade"
  as_account mkdir -p -m 0700 "$folder" || fail "the user $name cannot create $folder; nothing was changed"
  target="$folder/archive-$(date -u +%Y%m%dT%H%M%SZ).db"
  code=0
  sed "s|^program=.*|program=$fresh/bin/$name|" "$here/deploy/systemd/$name.sh" >"$work/run.sh"
  sh "$work/run.sh" database backup --if-sqlite --to "$target" || code=$?
  [ "$code" -eq 0 ] || fail "cannot copy the archive (exit code $code); nothing was changed. Solve the problem, or use --no-copy"
  if as_account test -e "$target"; then
    as_account find "$folder" -name 'archive-*.db' ! -path "$target" -newermt '1970-01-02' -delete
  fi
}

upgrade_program() {
  find_python
  print=$(fingerprint)
  if [ "$(cat "$opt/venv/.installed-from" 2>/dev/null)" = "$print" ] && runs "$opt/venv"; then
    say "this version is already installed"
    return
  fi
  build_venv "$print"
  stop_services
  copy_archive
  former=$(readlink "$opt/venv" 2>/dev/null || true)
  new=venvs/$(basename "$fresh")
  point "$opt/venv" "$new"
  fresh=''
  if [ -n "$former" ]; then
    point "$opt/previous" "$former"
  fi
  for old in "$opt"/venvs/*; do
    case "venvs/$(basename "$old")" in
      "$new" | "$former") ;;
      *) rm -rf "$old" ;;
    esac
  done
}

next_steps() {
  cat <<END
install.sh: installed. Next:
  1. configure the account:     \$EDITOR $etc/config.toml
  2. store its password:        (umask 077; cat >$etc/credentials/accounts__acme__password)   then Ctrl-D
  3. check the installation:    $name check
  4. start the service:         systemctl enable --now $name
     (or, instead, a catch-up every 15 minutes:  systemctl enable --now $name-catch-up.timer)
See $opt/doc/operations.md for everything else.
END
}

start_again() {
  again=$restart
  restart=''
  # shellcheck disable=SC2086  # several names
  if [ -n "$again" ] && ! systemctl start $again; then
    say "the service does not start: see journalctl -u $name; switch back with: $0 --rollback" >&2
    exit 1
  fi
}

case $action in
  install)
    first=yes
    [ ! -e "$units/$name.service" ] || first=no
    account_and_folders
    upgrade_program
    install_units
    start_again
    if [ "$first" = yes ]; then next_steps; else say "up to date: $("$opt/venv/bin/$name" version | head -n 1)"; fi
    ;;
  rollback)
    former=$(readlink "$opt/previous" 2>/dev/null) || fail "there is no previous program in $opt/previous"
    runs "$opt/previous" || fail "the previous program does not start; its Python may have been removed"
    stop_services
    current=$(readlink "$opt/venv")
    point "$opt/venv" "$former"
    point "$opt/previous" "$current"
    say "switched back to the previous program; if it refuses the archive as too new, restore the copy in $state/before-upgrade"
    start_again
    ;;
  uninstall)
    stop_services
    restart=''
    for unit in $all_units; do
      [ ! -e "$units/$unit" ] || systemctl --quiet disable "$unit" 2>/dev/null || true
      rm -f "$units/$unit"
    done
    systemctl daemon-reload
    systemctl reset-failed "$name*" 2>/dev/null || true
    rm -rf "$opt" "$wrapper" "${completions:?}/$name" "/etc/sysusers.d/$name.conf"
    say "removed the program; kept $etc, $state and the user $name"
    ;;
esac
