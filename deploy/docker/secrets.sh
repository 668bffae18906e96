#!/bin/sh
# Makes the secrets of compose.yaml that nobody needs to know; those that are there stay. The folder is its owner's
# alone; the files in it are readable, since the containers read them as users of their own.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p -m 0700 secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make() { [ -s "secrets/$1" ] || printf %s "$2" >"secrets/$1"; }

make postgres_password "$(random)"
make database__url "postgresql+psycopg://easytracking:$(cat secrets/postgres_password)@postgres/easytracking"
make http__token "$(random)"
make grafana_admin "$(random)"
echo "Still yours to give, one file for each account: $(pwd)/secrets/accounts__acme__password"
echo "Grafana's password (user admin) lies in $(pwd)/secrets/grafana_admin"
