/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file winsock2.h
 * As much of Windows' header as cli/address.c needs to be compiled for Linux, where the sanitizers are.
 */
#ifndef FUZZ_SHIM_WINSOCK2_H
#define FUZZ_SHIM_WINSOCK2_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#endif
