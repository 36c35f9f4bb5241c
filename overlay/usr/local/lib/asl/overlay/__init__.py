# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay on a live root: what it consists of, how it is laid, held against its contract, and taken away again.

contract  overlay.yml: every path the overlay brings or uses, in data.
index     one line per file, with its SHA-256, mode, owner and path. Its own SHA-256 is the digest of a whole overlay.
bundle    a folder that holds everything one machine or another needs: INDEX, overlay.yml, root/ and native/<machine>/libasl.so.
plan      what has to be done to a root so that it is as the bundle says: an ordered list of steps, each one action in words.
lay       the plan, carried out; remove: its reverse; compare: what is otherwise than it was laid.

A check run prints the actions of the very plan that a run carries out, so that the two cannot differ.
"""
