# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-gateway: the remote endpoint of ASL stores, over HTTPS. It keeps no state of its own: every replica may answer every request.

domain     one store, named in the path; all hosts of a domain share what is stored
place      where the stores of the domains lie: a directory, or a bucket
upload     a block or segment on its way in: resumable by its offset, in the spool until it is whole and right
token      a capability: domain, verbs, expiry (asl.tokens)
receipt    what the gateway signs when it has sealed a snapshot
"""

VERSION = "0.1.0"
API = 1
