/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file ws2tcpip.h
 * As much of Windows' header as cli/address.c needs to be compiled for Linux, where the sanitizers are.
 */
#ifndef FUZZ_SHIM_WS2TCPIP_H
#define FUZZ_SHIM_WS2TCPIP_H

#include "winsock2.h"

#endif
