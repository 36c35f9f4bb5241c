# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m asl_gateway"""

import sys

from asl_gateway.main import main

if __name__ == "__main__":
    sys.exit(main())
