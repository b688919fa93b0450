/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Linux system calls from PE code. A thread under Wine, of a driver or a program, is one of a Linux process; the `syscall`
 * instruction works there as anywhere. Numbers and constants are those of x86-64 Linux and are spelled
 * out because no Linux header can be included by the mingw compiler. `long` has 32 bits here, so
 * everything is int64_t.
 */
#ifndef LAB_WINDOWS_LINUX_H
#define LAB_WINDOWS_LINUX_H

#include <stdint.h>

enum {
    LINUX_READ = 0,
    LINUX_WRITE = 1,
    LINUX_CLOSE = 3,
    LINUX_SOCKET = 41,
    LINUX_CONNECT = 42,
    LINUX_SHUTDOWN = 48,
    LINUX_FUTEX = 202,
    LINUX_PROCESS_VM_READV = 310,
    LINUX_PROCESS_VM_WRITEV = 311,
    LINUX_GETRANDOM = 318,
};

enum {
    LINUX_AF_UNIX = 1,
    LINUX_SOCK_SEQPACKET = 5,
    LINUX_SOCK_CLOEXEC = 02000000,
    LINUX_SHUT_RDWR = 2,
    LINUX_FUTEX_WAIT_PRIVATE = 128,
    LINUX_FUTEX_WAKE_PRIVATE = 129,
    LINUX_EINTR = 4,
};

struct linux_sockaddr_un {
    uint16_t family;
    char path[108];
};

struct linux_iovec {
    uint64_t base;
    uint64_t length;
};

struct linux_timespec {
    int64_t seconds;
    int64_t nanoseconds;
};

static inline int64_t linux_call6(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f)
{
    register int64_t r10 __asm__("r10") = d;
    register int64_t r8 __asm__("r8") = e;
    register int64_t r9 __asm__("r9") = f;
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline int64_t linux_call(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return linux_call6(number, a, b, c, d, 0, 0);
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

/* A connection to whom has this abstract name (bytes, without the leading 0); below 0: there is none. */
static inline int linux_connect(const char *name, uint64_t length)
{
    struct linux_sockaddr_un at = {.family = LINUX_AF_UNIX};
    int64_t size = (int64_t)(sizeof(at.family) + 1 + length), result;
    int fd = (int)linux_call(LINUX_SOCKET, LINUX_AF_UNIX, LINUX_SOCK_SEQPACKET | LINUX_SOCK_CLOEXEC, 0, 0);

    if (fd < 0) {
        return -1;
    }
    for (uint64_t i = 0; i < length; i++) {
        at.path[1 + i] = name[i];
    }
    do {
        result = linux_call(LINUX_CONNECT, fd, (int64_t)&at, size, 0);
    } while (result == -LINUX_EINTR);
    if (result < 0) {
        linux_close(fd);
        return -1;
    }
    return fd;
}

/* Waits while *at is `value`; also returns early. timeout_ms < 0: for ever. */
static inline void futex_wait(volatile int *at, int value, int64_t timeout_ms)
{
    struct linux_timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};

    linux_call(LINUX_FUTEX, (int64_t)at, LINUX_FUTEX_WAIT_PRIVATE, value, timeout_ms < 0 ? 0 : (int64_t)&timeout);
}

static inline void futex_wake(volatile int *at, int count)
{
    linux_call(LINUX_FUTEX, (int64_t)at, LINUX_FUTEX_WAKE_PRIVATE, count, 0);
}

/*
 * A futex mutex: 0 free, 1 held, 2 held and somebody waits. The kernel-mode primitives of Wine are
 * server round trips or stubs.
 */
struct mutex {
    volatile int state;
};

static inline void mutex_lock(struct mutex *mutex)
{
    if (__sync_bool_compare_and_swap(&mutex->state, 0, 1)) {
        return;
    }
    while (__atomic_exchange_n(&mutex->state, 2, __ATOMIC_ACQUIRE) != 0) {
        futex_wait(&mutex->state, 2, -1);
    }
}

static inline void mutex_unlock(struct mutex *mutex)
{
    if (__atomic_exchange_n(&mutex->state, 0, __ATOMIC_RELEASE) == 2) {
        futex_wake(&mutex->state, 1);
    }
}

/* A bell that threads wait for: rung once or several times, it wakes whoever waits, now or next. */
struct bell {
    volatile int rung;
};

static inline void bell_ring(struct bell *bell)
{
    if (__atomic_exchange_n(&bell->rung, 1, __ATOMIC_RELEASE) == 0) {
        futex_wake(&bell->rung, 1);
    }
}

static inline void bell_wait(struct bell *bell, int64_t timeout_ms)
{
    if (__atomic_load_n(&bell->rung, __ATOMIC_ACQUIRE) == 0) {
        futex_wait(&bell->rung, 0, timeout_ms);
    }
    __atomic_store_n(&bell->rung, 0, __ATOMIC_SEQ_CST);
}

#endif
