#!/bin/sh
# Creates the internal secrets of compose.yaml; existing ones are kept. Only the owner can enter the folder. The files
# in it are readable, because the containers read them as other users.
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
echo "Next: create one password file per account, like $(pwd)/secrets/accounts__acme__password"
echo "Grafana's password (user admin): $(pwd)/secrets/grafana_admin"
