#!/usr/bin/env bash
# Builds the image of deployments/Dockerfile with buildah, without a daemon: deployments/build_image.sh [TAG]
#
# BASE names the image to begin with. Where it can't be pulled, one like it is made from Debian's packages with mmdebstrap.
#     apt-get install --no-install-recommends buildah mmdebstrap
set -euo pipefail
cd "$(dirname "$0")/.."

tag=${1:-localhost/loadflow:latest}
base=${BASE:-docker.io/library/python:3.11-slim-bookworm}
own_base=localhost/loadflow-base:bookworm
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}

need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: apt-get install --no-install-recommends $1" >&2; exit 1; }
}

make_base() {
    need mmdebstrap
    local folder container
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' RETURN
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt=force-unsafe-io "$suite" "$folder/base.tar" \
        "deb $mirror/debian $suite main" "deb $mirror/debian $suite-updates main" "deb $mirror/debian-security $suite-security main"
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$folder/base.tar" /
    buildah commit --quiet --rm "$container" "$own_base"
}

need buildah
if ! buildah inspect --type image "$base" >/dev/null 2>&1 && ! buildah pull --quiet "$base" 2>/dev/null; then
    echo "$base can't be pulled; the base is made from Debian's packages" >&2
    buildah inspect --type image "$own_base" >/dev/null 2>&1 || make_base
    base=$own_base
fi
# whom this machine trusts, the build trusts: pip and cargo may go through a proxy with a certificate of its own
volumes=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
if [ -f /etc/pip.conf ]; then volumes+=(--volume /etc/pip.conf:/etc/pip.conf:ro); fi
buildah bud --isolation chroot --layers --build-arg "BASE=$base" "${volumes[@]}" -f deployments/Dockerfile -t "$tag" .
buildah images "$tag"
