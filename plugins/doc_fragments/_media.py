# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How failing disks are read: what C(asl-intake submit) takes on its command line."""

    DOCUMENTATION = r"""
options:
  media:
    description:
      - How V(device:) sources are read where they cannot be read. A healthy disk needs none of it.
    type: dict
    suboptions:
      map:
        description:
          - A ddrescue mapfile on the host. Of a disk it says what to read first, of an image which parts of it were really read.
        type: path
      retry:
        description:
          - A snapshot of the disk in the same store, by its id, its digest, V(latest), or C(KEY=VALUE) for the newest one with this label.
            What it has is taken from there, and only what it lacks is read.
        type: str
      domain_map:
        description:
          - A mapfile on the host whose finished areas are in use. They are read first.
        type: path
      skip_free:
        description:
          - Whether what O(media.domain_map) does not name is not read at all.
        type: bool
      retries:
        description:
          - How often bad sectors are tried once more.
        type: int
      scrape:
        description:
          - Whether failed blocks are read sector by sector. When unset, they are.
        type: bool
      read_deadline:
        description:
          - After how many seconds a read is given up.
        type: int
      max_temperature:
        description:
          - Stop when the disk is hotter, in degrees Celsius. Needs C(smartctl) on the host.
        type: int
      max_errors:
        description:
          - Stop after so many failed reads.
        type: int
      max_error_rate:
        description:
          - Stop after so many failed reads within a minute.
        type: int
      max_unread:
        description:
          - Stop when more bytes than this are known to be bad, such as V(10M).
        type: str
      name_files:
        description:
          - Whether the files that lie where the disk could not be read are named, as notes of the source. Needs root and FUSE.
        type: bool
      restart:
        description:
          - Whether what an earlier run that did not end has read is not used.
        type: bool
"""
