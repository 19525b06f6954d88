#!/bin/sh
# Makes a base image for deploy/Dockerfile from Debian packages, where no image registry can be reached. Needs
# debootstrap and root. It takes one to two minutes.
#
#   deploy/build-base.sh base.tar [SUITE]      SUITE: bookworm (default), or a later release of Debian
#   docker import base.tar roomcast-base       or: podman import base.tar roomcast-base
#   docker build --build-arg BASE=roomcast-base --file deploy/Dockerfile --tag roomcast .
#
# DEBIAN_MIRROR is where the packages come from. By default it is what apt uses on this machine.
set -eu

target=${1:?usage: deploy/build-base.sh base.tar [SUITE]}
suite=${2:-bookworm}
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' 'Label: Debian' | head -n 1)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=python3-venv,ca-certificates "$suite" "$work/root" "$mirror" >&2

# Not needed in an image, and different in each build.
rm -rf "$work/root"/var/cache/* "$work/root"/var/lib/apt/lists/* "$work/root"/var/log/* \
  "$work/root"/usr/share/doc/* "$work/root"/usr/share/man/* "$work/root"/usr/share/locale/* "$work/root"/dev/*

tar --create --file "$target.part" --directory "$work/root" --numeric-owner --sort=name --mtime=@0 .
mv "$target.part" "$target"
