#!/bin/sh
# Makes the secrets of compose.yaml, compose.sqlite.yaml and the Kubernetes manifests: one file for each, in the folder
# deploy/secrets. Those that exist are left as they are. Keep a copy of them: without secret_key all sessions end, and
# without vapid_private_key browsers have to allow notifications again.
set -eu
umask 022
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

base64url() { head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
# The folder is closed to other users. The files are open, because containers mount each one and run as other users.
keep() { [ -s "$1" ] || { cat > "$1.new" && mv "$1.new" "$1" && echo "$folder/$1"; }; }

base64url 24 | keep database_password
printf 'postgresql://roomcast:%s@postgres/roomcast' "$(cat database_password)" | keep database_url
base64url 48 | keep secret_key
base64url 32 | keep vapid_private_key
base64url 24 | keep metrics_token
