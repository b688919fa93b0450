/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file doctor_other.h  What doctor and the process that it starts have in common. */
#ifndef CLI_DOCTOR_OTHER_H
#define CLI_DOCTOR_OTHER_H

#include "doctor.h"

enum {
    DOCTOR_WORD_MAX = 64,
    DOCTOR_RECEIVE_BUFFER = 65536, /**< bytes, for datagrams */
    DOCTOR_NO_DATAGRAM = 4,        /**< exit status of the other process: the word came by TCP, but not by UDP */
};

/** What doctor answers. */
extern const char doctor_word[];

/** Whether the socket has something to read, or to accept, within the time of GetTickCount64(). */
bool doctor_is_ready(SOCKET s, ULONGLONG until);

#endif
