/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the eBPF programs (sockev.bpf.c) tell the daemon (events.c): the record of the ring buffer
 * and the entries of the process map. Shared by both sides, so only fixed-width kernel-style types.
 */
#ifndef LAB_SOCKEV_H
#define LAB_SOCKEV_H

enum sockev_kind {
    SOCKEV_ESTABLISHED = 1, /* the numbers are WinDivert's event numbers */
    SOCKEV_DELETED = 2,
    SOCKEV_BIND = 3,
    SOCKEV_CONNECT = 4,
    SOCKEV_LISTEN = 5,
    SOCKEV_ACCEPT = 6,
    SOCKEV_CLOSE = 7,
};

/* One socket operation. Addresses are in network order; IPv4 uses word 0. */
struct sockev_record {
    unsigned long long cookie; /* of the socket; a connection being accepted keeps it */
    unsigned int kind;         /* enum sockev_kind */
    unsigned int family;       /* AF_INET or AF_INET6 */
    unsigned int protocol;     /* IPPROTO_x */
    unsigned int linux_pid;    /* process that asked for the operation; 0 = not known here */
    unsigned int windows_pid;  /* its Windows pid; 0 = native Linux process or not known */
    unsigned int local_addr[4];
    unsigned int remote_addr[4];
    unsigned short local_port; /* host order, both */
    unsigned short remote_port;
    unsigned int reserved;
    unsigned long long asker; /* thread that waits for the answer (its process << 32); 0: nobody does */
};

/*
 * What a stopped thread waits for, by its thread id: written by the kernel side when it asks, answered by the
 * daemon, which then lets the process go on.
 */
enum sockev_answer { SOCKEV_NO_ANSWER, SOCKEV_ALLOWED, SOCKEV_PREVENTED };

struct sockev_question {
    unsigned long long cookie;
    unsigned int kind;   /* enum sockev_kind */
    unsigned int answer; /* enum sockev_answer */
    unsigned int port;   /* local port at the time, host order */
    unsigned int reserved;
};

/* Value of the map from Linux pid to Windows process, and of its inverse. */
struct sockev_process {
    unsigned long long start_ns; /* since boot, of the Linux process: tells a reused pid */
    unsigned int linux_pid;
    unsigned int windows_pid;
};

#endif
