/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Linux system calls from PE code. A thread under Wine is one of a Linux process; the
 * `syscall` instruction works there as anywhere. Numbers and constants are those of x86-64 Linux
 * and are spelled out because no Linux header can be included by the mingw compiler. `long` has
 * 32 bits here, so everything is int64_t.
 */
#ifndef LAB_IPHLPAPI_LINUX_H
#define LAB_IPHLPAPI_LINUX_H

#include <stdint.h>

enum {
    LINUX_READ = 0,
    LINUX_WRITE = 1,
    LINUX_CLOSE = 3,
    LINUX_SOCKET = 41,
    LINUX_CONNECT = 42,
};

enum {
    LINUX_AF_UNIX = 1,
    LINUX_SOCK_SEQPACKET = 5,
    LINUX_SOCK_CLOEXEC = 02000000,
    LINUX_EINTR = 4,
};

struct linux_sockaddr_un {
    uint16_t family;
    char path[108];
};

static inline int64_t linux_call(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d)
{
    register int64_t r10 __asm__("r10") = d;
    register int64_t r8 __asm__("r8") = 0;
    register int64_t r9 __asm__("r9") = 0;
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* One whole message, or <= 0. Wine uses signals of its own: an interrupted call is repeated. */
static inline int64_t linux_read(int fd, void *data, uint64_t size)
{
    int64_t got;

    do {
        got = linux_call(LINUX_READ, fd, (int64_t)data, (int64_t)size, 0);
    } while (got == -LINUX_EINTR);
    return got;
}

static inline int64_t linux_write(int fd, const void *data, uint64_t size)
{
    int64_t put;

    do {
        put = linux_call(LINUX_WRITE, fd, (int64_t)data, (int64_t)size, 0);
    } while (put == -LINUX_EINTR);
    return put;
}

static inline void linux_close(int fd)
{
    linux_call(LINUX_CLOSE, fd, 0, 0, 0);
}

#endif
