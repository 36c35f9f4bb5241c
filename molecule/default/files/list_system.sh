#!/bin/sh
# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything under /usr, /bin, /lib and /etc: type, mode, owner, time of change, target, name, and the digest of every file.
set -eu
cd /
find usr bin lib etc -xdev -printf '%y %m %U %G %T@ %l %p\n' | LC_ALL=C sort -k 7
find usr bin lib etc -xdev -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
