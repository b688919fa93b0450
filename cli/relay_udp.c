/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the library leads each pair of a program's socket and a destination to the relay from a port of
 * its own. Such a pair is a session, with a socket of its own towards the destination:
 *
 *   program ══ library ══ port of the flow ──→ relay's socket ──→ session's socket ──→ destination
 *                                          ←──                ←──
 *
 * The library is asked about the sender of every datagram, because a port is somebody else's at once when its flow has
 * ended; the question costs less than the system call that received the datagram. Who sends from a port that is no
 * flow's is a stranger, and is not served. A session lives as long as its flow: it is looked for once a second. There
 * are so many at most; then the one that has been silent longest makes room.
 *
 * Waiting. A socket waits by one overlapped receive that leaves the datagram where it is (MSG_PEEK); when it comes
 * back, datagrams are received without waiting, all into one buffer: so thousands of sessions need no buffers. The peek
 * has a buffer that takes the largest datagram, the same for all of them, because nobody looks into it: one that is too
 * small would be WSAEMSGSIZE, of which Winsock tells at once, and once more by the completion port.
 *
 * A datagram that cannot be passed on is lost, as on the way, and counted.
 */
#include "relay_udp_internal.h"

#include "address.h"

#include <stdlib.h>

/* ---- life */

struct relay_udp *relay_udp_open(struct relay_host *host, const struct relay_udp_config *config, uint32_t *error)
{
    struct relay_udp *u = calloc(1, sizeof *u);
    if (!u) {
        *error = ERROR_OUTOFMEMORY;
        return NULL;
    }
    u->host = host;
    u->config = *config;
    u->crypto = quic_crypto_open();
    *error = relay_receive_datagrams(u->sockets, &u->config.port, host->dialler.port);
    if (*error) {
        relay_udp_close(u);
        return NULL;
    }
    return u;
}

uint16_t relay_udp_port(const struct relay_udp *u)
{
    return u ? u->config.port : 0;
}

void relay_udp_close(struct relay_udp *u)
{
    if (u) {
        udp_errors_stop(&u->errors);
        relay_listen_close(&u->sockets[0]);
        relay_listen_close(&u->sockets[1]);
        quic_crypto_close(u->crypto);
    }
    free(u);
}

uint32_t relay_udp_sessions(const struct relay_udp *u)
{
    return u ? u->sessions : 0;
}

unsigned relay_udp_begun(const struct relay_udp *u)
{
    return u ? atomic_load(&u->begun) : 0;
}

bool relay_udp_pending(const struct relay_udp *u)
{
    return u && (u->sessions || u->ending || u->ops[0].pending || u->ops[1].pending);
}

/* ---- the table */

static struct udp_session **place_of(struct relay_udp *u, const redirector_address *peer)
{
    return &u->by_peer[peer->family == 6][peer->port % PEER_PORTS];
}

static void unlink_session(struct udp_session *s)
{
    struct relay_udp *u = s->udp;
    *(s->older ? &s->older->newer : &u->oldest) = s->newer;
    *(s->newer ? &s->newer->older : &u->newest) = s->older;
}

static void link_newest(struct udp_session *s)
{
    struct relay_udp *u = s->udp;
    s->older = u->newest;
    s->newer = NULL;
    *(s->older ? &s->older->newer : &u->oldest) = s;
    u->newest = s;
}

/* It is the newest now. */
static void touch(struct udp_session *s)
{
    if (s->udp->newest != s) {
        unlink_session(s);
        link_newest(s);
    }
}

void relay_udp_remove(struct udp_session *s)
{
    *place_of(s->udp, &s->peer) = NULL;
    unlink_session(s);
    s->udp->sessions--;
    s->udp->ending++;
}

static struct udp_session *begin(struct relay_udp *u, const redirector_address *peer,
                                 const redirector_destination *destination)
{
    if (u->sessions == SESSIONS_MAX) {
        relay_udp_count(u, REPORT_UDP_EVICTED);
        udp_session_end(u->oldest, REPORT_CLOSED);
    }
    struct udp_session *s = udp_session_begin(u, peer, destination);
    if (s) {
        *place_of(u, peer) = s;
        link_newest(s);
        u->sessions++;
        atomic_fetch_add(&u->begun, 1);
    }
    return s;
}

/* ---- what programs send */

bool relay_udp_arm(struct relay_udp *u, struct relay_op *op, enum relay_op_kind kind, SOCKET s, void *owner)
{
    WSABUF buffer = {.len = sizeof u->ignored, .buf = (char *)u->ignored};
    DWORD flags = MSG_PEEK;
    *op = (struct relay_op){.kind = kind, .socket = s, .owner = owner};
    return relay_op_started(op, WSARecv(s, &buffer, 1, NULL, &flags, &op->overlapped, NULL) == 0) == 0;
}

static bool same_flow(const struct udp_session *s, const redirector_destination *destination)
{
    return s->pid == destination->pid && address_equal(&s->destination, &destination->destination);
}

static bool find_flow(const struct relay_udp *u, const redirector_address *peer, redirector_destination *flow)
{
    *flow = (redirector_destination){.size = sizeof *flow, .protocol = REDIRECTOR_UDP};
    return redirector_lookup(u->host->redirector, peer, flow) == REDIRECTOR_OK;
}

static bool is_blocked(const struct relay_udp *u, const redirector_address *destination)
{
    return u->config.block || (u->config.block_quic && destination->port == 443);
}

static void take(struct relay_udp *u, const redirector_address *peer, uint32_t length)
{
    redirector_destination flow;
    if (!find_flow(u, peer, &flow)) {
        relay_udp_count(u, REPORT_UDP_STRANGER);
        return;
    }
    if (is_blocked(u, &flow.destination)) {
        relay_udp_count(u, REPORT_UDP_BLOCKED);
        udp_errors_tell(&u->errors, peer);
        return;
    }
    struct udp_session *s = *place_of(u, peer);
    if (s && !same_flow(s, &flow)) {
        udp_session_end(s, REPORT_CLOSED);
        s = NULL;
    }
    s = s ? s : begin(u, peer, &flow);
    if (s) {
        touch(s);
        udp_name_sent(s, relay_udp_payload(u), length);
        udp_session_send(s, length);
    } else {
        relay_udp_count(u, REPORT_UDP_LOST);
    }
}

/* False: there is nothing more for now. */
static bool receive_one(struct relay_udp *u, SOCKET s)
{
    struct sockaddr_storage from;
    int from_size = sizeof from;
    int got = recvfrom(s, (char *)relay_udp_payload(u), DATAGRAM_MAX, 0, (struct sockaddr *)&from, &from_size);
    if (got < 0) {
        return WSAGetLastError() != WSAEWOULDBLOCK;
    }
    redirector_address peer = address_from_sockaddr(&from);
    take(u, &peer, (uint32_t)got);
    return true;
}

static void serve_peers(struct relay_udp *u, int family)
{
    SOCKET s = u->sockets[family].socket;
    for (int attempt = 0; attempt < ARM_ATTEMPTS; attempt++) {
        for (int i = 0; i < DATAGRAMS_AT_ONCE && receive_one(u, s); i++) {
            ;
        }
        if (relay_udp_arm(u, &u->ops[family], RELAY_PEERS, s, u)) {
            return;
        }
    }
}

bool relay_udp_serve(struct relay_udp *u)
{
    bool all = true;
    for (int i = 0; u && i < 2; i++) {
        if (u->sockets[i].socket != INVALID_SOCKET && !u->ops[i].pending) {
            serve_peers(u, i);
            all = all && u->ops[i].pending;
        }
    }
    return all;
}

bool relay_udp_start(struct relay_udp *u)
{
    return !u || udp_errors_start(&u->errors, u->host->redirector);
}

void relay_udp_complete(struct relay_op *op, DWORD error)
{
    if (op->kind == RELAY_SESSION) {
        udp_session_complete(op->owner, op, error);
    } /* else relay_udp_serve() sees that it does not wait any more */
}

/* ---- answers */

void relay_udp_answer(struct udp_session *s, const uint8_t *data, uint32_t length)
{
    struct sockaddr_storage to;
    int size = address_to_sockaddr(&s->peer, &to);
    SOCKET from = s->udp->sockets[s->peer.family == 6].socket;
    s->answered = true;
    touch(s);
    udp_name_answered(s, data, length);
    if (sendto(from, (const char *)data, (int)length, 0, (const struct sockaddr *)&to, size) < 0) {
        relay_udp_count(s->udp, REPORT_UDP_LOST);
    } else if (s->entry) {
        report_bytes(s->entry, 0, length);
    }
}

/* ---- ends */

static bool is_over(const struct relay_udp *u, const struct udp_session *s, bool programs_gone)
{
    redirector_destination flow;
    return (s->state == FAILED && !s->blocked && GetTickCount64() - s->failed_at >= RETRY_MS) ||
           (programs_gone && !s->waiting_count) || !find_flow(u, &s->peer, &flow) || !same_flow(s, &flow);
}

void relay_udp_watch(struct relay_udp *u, bool programs_gone)
{
    for (struct udp_session *s = u ? u->oldest : NULL, *next; s; s = next) {
        next = s->newer;
        if (is_over(u, s, programs_gone)) {
            udp_session_end(s, REPORT_CLOSED);
        } else {
            udp_session_look(s);
        }
    }
}

void relay_udp_stop(struct relay_udp *u)
{
    if (!u) {
        return;
    }
    while (u->oldest) {
        udp_session_end(u->oldest, REPORT_STOPPED);
    }
    for (int i = 0; i < 2; i++) {
        if (u->sockets[i].socket != INVALID_SOCKET) {
            CancelIoEx((HANDLE)u->sockets[i].socket, NULL);
        }
        relay_listen_close(&u->sockets[i]);
    }
}
