/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file kernel_internal.h
 * Shared by kernel.c (processes, handles) and kernel_jobs.c (jobs, their messages).
 *
 * Objects stand in fixed arrays and are free while nothing holds them; a handle is an index, times four. A family tree of
 * all processes that ever were is kept beside them, by serial numbers: it is the truth that a test compares with.
 */
#ifndef TESTS_KERNEL_INTERNAL_H
#define TESTS_KERNEL_INTERNAL_H

#include "kernel.h"

enum {
    KERNEL_HANDLES = 4096,
    KERNEL_JOBS = 256,
    KERNEL_MESSAGES = 4096,
    KERNEL_SERIALS = 65536,
    KERNEL_OTHERS = 64, /* events, and as many ports */
    KERNEL_NAME = 100,
    KERNEL_MS = 10000, /* 100 ns units in it */
};

struct job {
    bool used;
    struct job *parent;
    DWORD limits;
    bool ui_limits;
    uint32_t handles, processes, ever; /* processes: of it and of all below */
    struct port *port;
    ULONG_PTR key;
    wchar_t name[KERNEL_NAME];
};

struct process {
    uint32_t pid, parent, serial, handles;
    uint64_t created, ended, free_at;
    struct job *job; /* the immediate one */
    bool alive, refuses, begins;
};

struct event {
    uint32_t handles;
    wchar_t name[KERNEL_NAME];
};

struct port {
    uint32_t handles;
};

enum handle_kind { HANDLE_FREE, HANDLE_PROCESS, HANDLE_JOB, HANDLE_EVENT, HANDLE_PORT };

struct handle {
    enum handle_kind kind;
    void *object;
    uint32_t owner; /* pid */
};

struct message {
    struct port *port;
    DWORD message;
    uint32_t pid;
    ULONG_PTR key;
};

struct kernel {
    struct kernel_rules rules;
    uint64_t now; /* 100 ns */
    DWORD error;
    uint32_t serials, random;
    uint32_t parents[KERNEL_SERIALS]; /* serial of the parent */
    struct process processes[KERNEL_PIDS];
    struct job jobs[KERNEL_JOBS];
    struct event events[KERNEL_OTHERS];
    struct port ports[KERNEL_OTHERS];
    const struct port *newest_port;
    struct handle handles[KERNEL_HANDLES];
    struct message messages[KERNEL_MESSAGES];
    uint32_t message_count;
};

extern struct kernel kernel;

_Noreturn void kernel_misused(const char *why);
HANDLE kernel_new_handle(enum handle_kind kind, void *object, uint32_t owner);
struct handle *kernel_handle(HANDLE h);
void *kernel_object(HANDLE h, enum handle_kind kind);

/** kernel_jobs.c: the immediate job of a new child; entering and leaving jobs, with the messages. */
struct job *kernel_job_of_child(const struct process *parent, DWORD flags);
void kernel_enter(struct process *p, struct job *job, struct job *from);
void kernel_leave(struct process *p);
void kernel_release_job(struct job *job);
void kernel_release_port(struct port *port);

#endif
