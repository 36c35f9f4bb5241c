# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The intake: from sources to a sealed snapshot.

request   what is asked for, and its id      run       one intake, from open to seal
content   bytes → chunks and a recipe        trees     directories → tree artifacts
cache     unchanged files                    progress  counters, rates
safety    what may not be read into what     queue     jobs on disk        serve   the loop that works through them
"""
