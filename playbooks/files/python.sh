#!/bin/sh
# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Find a Python that the tools can run with, on a host that may have none. With ASL_PYTHON=install it is installed where there is none:
# on a live system only, whose root is RAM. Prints the path of the Python, or one sentence and a status that is not 0.
set -u

fits() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null
}

look() {
  for name in python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3 /usr/libexec/platform-python python; do
    path=$(command -v "$name" 2>/dev/null) || continue
    if fits "$path"; then
      echo "$path"
      exit 0
    fi
    old=$path
  done
}

old=
look
if [ "${ASL_PYTHON:-look}" != install ]; then
  if [ -n "$old" ]; then
    echo "the tools need Python 3.9 or newer, and $old is older [PYTHON_TOO_OLD]"
  else
    echo "there is no Python on this host, and the tools need 3.9 or newer [PYTHON_MISSING]"
  fi
  exit 1
fi

# The last line for / counts: what is mounted later lies over what was there before.
root=$(awk '$2 == "/" { kind = $3 } END { print kind }' /proc/mounts)
case $root in
  overlay | tmpfs | ramfs | rootfs | squashfs | aufs) ;;
  *)
    echo "/ is $root, not a live system in RAM, so nothing is installed here [NOT_LIVE_ROOT]"
    exit 1
    ;;
esac
if command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update && apt-get -qq -y install --no-install-recommends python3-minimal
elif command -v pacman >/dev/null; then
  pacman -Sy --noconfirm --needed python
elif command -v dnf >/dev/null; then
  dnf -q -y install python3
elif command -v zypper >/dev/null; then
  zypper -q -n install python3
elif command -v apk >/dev/null; then
  apk add -q python3
elif command -v xbps-install >/dev/null; then
  xbps-install -Sy python3
else
  echo "there is no Python on this host, and no package manager that is known here [PYTHON_MISSING]"
  exit 1
fi >&2
look
echo "a Python was to be installed, and there still is none of 3.9 or newer [PYTHON_MISSING]"
exit 1
