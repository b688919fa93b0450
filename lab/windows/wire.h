/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The wire between the kernel side of the lab (lab/windows, in Wine's winedevice) and windivert-labd
 * (lab/daemon), which has the network. Compiled by both compilers: fixed widths only.
 *
 * Two SOCK_SEQPACKET connections to an *abstract* AF_UNIX name. Abstract names belong to a network
 * namespace, so labs cannot see each other and a Wine that runs outside its lab finds no daemon. The
 * first message on each is one HELLO record that says which of the two it is:
 *
 *   traffic   both directions, never answered one by one, order kept. A message is a series of records,
 *             so that a batch costs one system call. The daemon never blocks on it (it keeps what does
 *             not fit); the kernel side may.
 *   calls     kernel side -> daemon, one record a message, each answered at once with one record of the
 *             same type. The kernel side waits for it.
 *
 * Whatever happens inside a request of a Windows program is written before that request completes:
 * who has seen a call return may ask the daemon and gets the truth.
 */
#ifndef LAB_WIRE_H
#define LAB_WIRE_H

#include <stdint.h>

#define LAB_SOCKET_NAME "windivert-lab" /* preceded by a NUL byte: abstract */

enum {
    LAB_MESSAGE_MAX = 256 << 10,
    LAB_PACKET_BYTES_MAX = 40 + 65535,
    LAB_HANDLES_MAX = 1024, /* open at a time */
};

enum lab_type {
    LAB_HELLO_TRAFFIC = 1, /* struct lab_head */
    LAB_HELLO_CALLS,       /* struct lab_head */

    /* Daemon -> kernel side, traffic. */
    LAB_PACKET = 16, /* struct lab_packet, then the packet */
    LAB_ALE,         /* struct lab_ale */
    LAB_FAULT,       /* struct lab_fault */
    LAB_SETTINGS,    /* struct lab_settings */
    LAB_ADDRESSES,   /* struct lab_addresses, then its entries */
    LAB_UNLOAD,      /* struct lab_head: every open handle goes dead (fault "unload") */
    LAB_QUERY,       /* struct lab_query: answered by a LAB_STATE per handle, then LAB_QUERY with the same token */

    /* Kernel side -> daemon, traffic. */
    LAB_VERDICT = 32, /* struct lab_verdict */
    LAB_TAKEN,        /* struct lab_taken, then the packet if packet_id is 0 */
    LAB_RECEIVED,     /* struct lab_received, then the packet */
    LAB_INJECTED,     /* struct lab_injected, then the packet */
    LAB_OPENED,       /* struct lab_opened */
    LAB_SHUT,         /* struct lab_shut */
    LAB_CLOSED,       /* struct lab_closed */
    LAB_STRUCK,       /* struct lab_struck */
    LAB_STATE,        /* struct lab_state */
    LAB_VETO,         /* struct lab_veto */
    LAB_LOG,          /* struct lab_head, then a line of text: for labd.log */
    LAB_CALLED,       /* struct lab_called */

    /* Calls. */
    LAB_PROCESS = 48, /* struct lab_process */
    LAB_OPENING,      /* struct lab_opening, then the filter's objects; the answer is the head alone */
};

/* Records begin at multiples of 8 bytes of the message; `size` includes the head, not the padding. */
struct lab_head {
    uint32_t type;
    uint32_t size;
};

static inline uint32_t lab_padded(uint32_t size)
{
    return (size + 7u) & ~7u;
}

enum {
    LAB_OUTBOUND = 0x01,
    LAB_IPV6 = 0x02,
    LAB_LOOPBACK = 0x04,
    LAB_IP_SUM_MISSING = 0x08, /* the card's to compute: as WinDivert's flag 0 */
    LAB_TCP_SUM_MISSING = 0x10,
    LAB_UDP_SUM_MISSING = 0x20,
    LAB_ASK = 0x40,      /* of an event: its veto is waited for (LAB_VETO) */
    LAB_IMPOSTOR = 0x80, /* of lab_injected.claimed alone: the address said Impostor */
};

/* A packet of the network on its way through the IP layer. Its verdict is waited for. */
struct lab_packet {
    struct lab_head head;
    uint64_t id; /* never 0 */
    uint32_t flags;
    uint32_t if_idx;
    uint32_t sub_if_idx;
    uint32_t mtu; /* of the way it goes; 0: not known */
};

/*
 * What happened to a socket or a flow. Addresses: word 0 least significant, words in host order, IPv4 in
 * word 0 alone; ports in host order.
 */
struct lab_ale {
    struct lab_head head;
    uint32_t event; /* enum wd_event, ESTABLISHED to CLOSE */
    uint32_t flags;
    uint32_t protocol;
    uint32_t pid;
    uint32_t local_addr[4], remote_addr[4];
    uint16_t local_port, remote_port;
    uint32_t closes_port; /* CLOSE: 0 of the connection (endpoint closure), 1 of the port (resource release) */
    uint64_t endpoint, parent_endpoint;
    uint64_t flow; /* ESTABLISHED and DELETED: its number; never 0 */
    int64_t ticks; /* when it happened: what the driver's time stamp will say */
    uint64_t ask;  /* with LAB_ASK: to be repeated in the answer */
};

/* How a fault is scripted from now on; its number is enum drvfault. */
struct lab_fault {
    struct lab_head head;
    uint32_t fault;
    uint32_t layer; /* WD_LAYERS: all */
    uint64_t left;  /* UINT64_MAX: for ever; 0: not scripted */
    uint32_t value;
    uint32_t reserved;
};

struct lab_settings {
    struct lab_head head;
    uint32_t strict; /* Windows' rules; 0: whatever Linux makes of it */
    uint32_t
        lists; /* up to so many packets of a message, one direction and interface, make one NET_BUFFER_LIST; 0: 1 */
    uint32_t fragments;  /* 1: datagrams larger than lab_packet.mtu go through the layers as Windows' fragments do */
    uint32_t firewall;   /* packets injected outbound, not loopback, are blocked: bit 0 those of IPv4, bit 1 of IPv6 */
    uint32_t largest_in; /* longer packets that are injected inbound are lost; 0: none is too long */
    uint32_t reserved;
};

/* The host's interfaces and addresses, anew and whole at each change. */
struct lab_addresses {
    struct lab_head head;
    uint32_t interfaces; /* that many uint32_t: their indices; the first is the loopback interface */
    uint32_t addresses;  /* that many uint32_t[4], as WinDivert writes them (word 0 least significant, IPv4 mapped), and
                            then that many uint32_t: the interface of each */
};

struct lab_query {
    struct lab_head head;
    uint64_t token;
};

struct lab_verdict {
    struct lab_head head;
    uint64_t packet_id;
    uint32_t pass; /* 0: it was absorbed or blocked */
    uint32_t reserved;
};

enum lab_how { LAB_DIVERTED, LAB_SNIFFED, LAB_BLOCKED };

/* A handle's callout has taken a packet or an event. */
struct lab_taken {
    struct lab_head head;
    uint32_t handle;
    uint32_t how;       /* enum lab_how */
    uint64_t packet_id; /* of LAB_PACKET; 0: an injected packet that comes by again, whose bytes follow */
    uint32_t event;     /* 1: an event was taken, no packet; packet_id is 0 and no bytes follow */
    uint32_t again;     /* 1: not for the first time, an injected packet */
};

/* A receive has been completed with this packet (or event: no bytes), one record for each of a batch. */
struct lab_received {
    struct lab_head head;
    uint32_t handle;
    uint32_t whole;      /* 0: it did not fit, its rest is gone */
    uint8_t address[80]; /* struct wd_address as given to the program */
};

/* A call has been completed: a receive that has brought something, after its LAB_RECEIVED, or a send, after its
 * LAB_INJECTED. */
struct lab_called {
    struct lab_head head;
    uint32_t handle;
    uint32_t send; /* 1: it was a send */
};

enum lab_outcome {
    LAB_SENT,         /* to be put on the network by the daemon */
    LAB_ABSORBED,     /* a handle of lower priority has taken it (LAB_TAKEN said which) */
    LAB_REFUSED,      /* the call failed */
    LAB_BAD_CHECKSUM, /* lost, as are the following */
    LAB_INBOUND_LOOPBACK,
    LAB_INBOUND_NOT_LOCAL,
    LAB_LOOPBACK_SOURCE,
    LAB_OUTBOUND_LOOPBACK,
    LAB_FIREWALL,
    LAB_INBOUND_TOO_LARGE,
};

/* A handle has injected a packet, or the driver has for it. */
struct lab_injected {
    struct lab_head head;
    uint32_t handle;
    uint32_t outcome; /* enum lab_outcome */
    uint32_t outbound;
    uint32_t if_idx;
    uint32_t again;   /* 1: not by a call: the driver gives back what a handle did not want or could not read */
    uint32_t claimed; /* sums that were said to be right, LAB_x_SUM_MISSING bits inverted (for the audit) */
};

struct lab_opened {
    struct lab_head head;
    uint32_t handle; /* below LAB_HANDLES_MAX; used again only after LAB_CLOSED */
    uint32_t owner;  /* Windows pid */
    uint32_t layer;
    int32_t priority; /* the user's */
    uint64_t flags;
    uint64_t matches; /* filter flags: WD_MATCH_x */
    uint32_t tests;
    uint32_t reserved;
};

struct lab_shut {
    struct lab_head head;
    uint32_t handle;
    uint32_t how; /* WD_SHUTDOWN_x */
};

struct lab_closed {
    struct lab_head head;
    uint32_t handle;
    uint32_t reserved;
};

struct lab_struck {
    struct lab_head head;
    uint32_t fault;
    uint32_t times;
    uint64_t left;
};

/* A handle's queues, as the driver has them now. */
struct lab_state {
    struct lab_head head;
    uint32_t handle;
    uint32_t pending_recvs;
    uint64_t queue_count, queue_bytes, work_count;
    uint64_t max_count, max_ms, max_bytes;
};

struct lab_veto {
    struct lab_head head;
    uint64_t ask;
    uint32_t blocked;
    uint32_t reserved;
};

struct lab_process {
    struct lab_head head;
    uint32_t windows_pid;
    int32_t linux_pid; /* of the answer; -1: there is none */
};

/*
 * A NETWORK or SOCKET handle is about to open: the daemon gets ready to capture what its filter may match, or to
 * ask before an operation is done.
 */
struct lab_opening {
    struct lab_head head;
    uint32_t layer;
    uint32_t tests;
    uint64_t matches;
};

#define LAB_SIZED(type, bytes) _Static_assert(sizeof(type) == (bytes), "same layout for both compilers")
LAB_SIZED(struct lab_packet, 32);
LAB_SIZED(struct lab_ale, 104);
LAB_SIZED(struct lab_fault, 32);
LAB_SIZED(struct lab_settings, 32);
LAB_SIZED(struct lab_addresses, 16);
LAB_SIZED(struct lab_taken, 32);
LAB_SIZED(struct lab_received, 96);
LAB_SIZED(struct lab_injected, 32);
LAB_SIZED(struct lab_opened, 48);
LAB_SIZED(struct lab_state, 64);
LAB_SIZED(struct lab_opening, 24);
#undef LAB_SIZED

#endif
