/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udp_sockets.h
 * The UDP sockets of this machine: who sends from an address and port, and who receives there (U2).
 */
#ifndef ENGINE_UDP_SOCKETS_H
#define ENGINE_UDP_SOCKETS_H

#include "udp_state.h"

struct udp_owner {
    bool known;
    bool redirected; /* its datagrams are, unless they are answers */
    bool blocked;    /* a rule drops them */
    bool answers;    /* the peer has sent first */
    bool closed;     /* its socket has closed meanwhile */
    uint32_t pid;
    uint32_t upstream; /* of the rule that has decided */
    uint64_t endpoint; /* 0: unknown */
};

/** Who has sent this, at that time. */
struct udp_owner udp_sockets_owner(struct engine *e, const struct tuple *t, int64_t timestamp, uint64_t now_ms);

/** Nobody could find out who sends this: for a moment, nobody asks again. */
void udp_sockets_unknown(struct engine *e, const struct tuple *t, uint64_t now_ms);

/** The socket that receives what is sent to t->dst. NULL: none is known. */
const struct listener *udp_sockets_at(const struct engine *e, const struct tuple *t);

/** Whether a process serves as the proxy of UDP or TCP, or as an upstream. */
bool udp_sockets_is_agent(struct engine *e, uint32_t pid);

/** Whether somebody receives where datagrams of this family are redirected to. *doubtful: the table has to tell. */
bool udp_sockets_proxy_receives(struct engine *e, uint32_t family, uint64_t now_ms, bool *doubtful);

/** Socket events; `scoped` is the event's tuple as packets have it. */
void udp_sockets_bound(struct engine *e, const struct socket_event *event, uint64_t now_ms);
void udp_sockets_sends(struct engine *e, const struct socket_event *event, const struct tuple *scoped, uint64_t now_ms);
void udp_sockets_closed(struct engine *e, const struct socket_event *event, uint64_t now_ms);

/** The sockets of this process, or of all (pid 0), are judged anew by the policy. */
void udp_sockets_judge_anew(struct engine *e, uint32_t pid);

/** The ports of the tree's sockets. */
void udp_sockets_add_ports(struct engine *e, struct port_set *out);

/** A reading of the UDP table: a socket; its end. */
void udp_sockets_row(struct engine *e, const struct tuple *local, uint32_t pid);
void udp_sockets_table_read(struct engine *e, bool whole);

#endif
