/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "asl.h"

uint32_t asl_abi(void) { return ASL_ABI; }
