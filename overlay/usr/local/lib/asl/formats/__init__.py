# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats: bytes in, values out, no I/O.

Glossary. An *artifact* is a byte string with an optional type tag; its *reference* is the hash of its canonical encoding. A
*block* holds encoded artifacts and is immutable once sealed. A *segment* maps digests to places in blocks. The *log* says, in
a hash chain, which segments and snapshots are visible. A *recipe* lists the chunks, holes and unread ranges that make up a
file or a disk. A *tree* lists a directory. A *manifest* names what a snapshot contains; a *receipt* tells when, where and how
it was read.
"""
