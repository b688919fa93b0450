/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_udp_internal.h
 * What the files of the datagrams' relay share: relay_udp.c receives what programs send and knows the sessions,
 * relay_udp_session.c is one session, relay_udp_associate.c leads it through a SOCKS5 proxy, relay_udp_error.c tells
 * programs that nobody receives what they send, relay_udp_name.c reads names.
 */
#ifndef CLI_RELAY_UDP_INTERNAL_H
#define CLI_RELAY_UDP_INTERNAL_H

#include "quic_crypto.h"
#include "relay_judge.h"
#include "relay_listen.h"
#include "relay_udp.h"
#include "socks_udp.h"
#include "worker.h"

#include <stdatomic.h>

enum {
    PEER_PORTS = 65536,
    DATAGRAM_MAX = 65536,        /* IPv4 has 65507 bytes at most, IPv6 65527 */
    ARM_ATTEMPTS = 8,            /* each may give back an error that is over with it */
    DATAGRAMS_AT_ONCE = 64,      /* of one socket; then the others have their turn */
    SESSIONS_MAX = 4096,         /* each takes one of the 16384 ports that Windows gives out */
    WAITING_MAX = 16,            /* datagrams of a session that wait for the proxy, */
    WAITING_BYTES_MAX = 4 << 20, /* and the bytes of all sessions' */
    RETRY_MS = 1000,             /* a session that failed is not begun anew sooner */
    ERRORS_MAX = 64,             /* programs that wait to be told */
    DNS_ASKED_MAX = 16,          /* questions of a session that wait for an answer */
};

/* A datagram that waits until the proxy is ready. */
struct waiting {
    struct waiting *next;
    uint32_t length;
    uint8_t data[];
};

/* What one socket of a program sends to one destination, and the answers. */
struct udp_session {
    struct relay_udp *udp;
    struct udp_session *older, *newer; /* by their last datagram */
    redirector_address peer, destination;
    uint32_t pid;
    enum { ASSOCIATING, OPEN, FAILED, ENDED } state;
    SOCKET socket; /* towards the destination, or the proxy */
    struct relay_op op;
    struct report_entry *entry; /* NULL: its end has been reported */
    ULONGLONG failed_at;
    bool answered, refused;            /* by the destination */
    bool blocked;                      /* by a rule, which names the host that it asks for */
    bool asked;                        /* it was looked whether it is QUIC */
    uint16_t dns_asked[DNS_ASKED_MAX]; /* ids of the last questions of DNS, */
    uint32_t dns_asked_count;          /* of so many */
    struct quic_initial *quic;         /* NULL: its name is not, or no more, looked for */
    struct relay_judge *judge;         /* what that name would change; NULL: nothing */

    struct routes *routes;      /* what `ways` is of; NULL: nothing */
    struct ways ways;           /* those that carry UDP, */
    uint32_t way;               /* and which of them it is now */
    const struct upstream *via; /* the proxy of that; NULL: directly */
    struct dial *dial;          /* the control connection in the making */
    SOCKET control;             /* while it stands, so does the association */
    struct relay_op control_op;
    char control_byte;
    redirector_address proxy; /* where the proxy takes datagrams */
    struct waiting *first_waiting, **last_waiting;
    uint32_t waiting_count;
};

struct udp_errors {
    redirector *redirector;
    struct worker worker;
    HANDLE event; /* there is one to tell */
    SRWLOCK lock; /* guards what follows */
    redirector_address peers[ERRORS_MAX];
    uint32_t count;
};

struct relay_udp {
    struct relay_host *host;
    struct relay_udp_config config;
    struct relay_listener sockets[2];
    struct relay_op ops[2];
    bool told_http;
    struct udp_session *oldest, *newest;
    uint32_t sessions, ending; /* those that live; those that wait for their operations */
    atomic_uint begun;
    uint32_t waiting_bytes;
    struct udp_errors errors;
    const struct quic_crypto *crypto;                    /* NULL: Windows has none for us, so QUIC has no names */
    struct udp_session *by_peer[2][PEER_PORTS];          /* IPv4, IPv6 */
    uint8_t ignored[DATAGRAM_MAX];                       /* what a peek shows; see relay_udp_arm() */
    uint8_t buffer[SOCKS_UDP_HEADER_MAX + DATAGRAM_MAX]; /* one datagram, with room before it for a header */
};

/* relay_udp.c */

/* Waits for a datagram, which stays where it is. False: there is something to receive at once, be it an error. */
bool relay_udp_arm(struct relay_udp *u, struct relay_op *op, enum relay_op_kind kind, SOCKET s, void *owner);

/* The room for a datagram's payload. */
static inline uint8_t *relay_udp_payload(struct relay_udp *u)
{
    return u->buffer + SOCKS_UDP_HEADER_MAX;
}

static inline void relay_udp_count(const struct relay_udp *u, enum report_datagrams what)
{
    report_datagram(u->host->report, what);
}

/* Sends an answer to the program. */
void relay_udp_answer(struct udp_session *s, const uint8_t *data, uint32_t length);

/* It is no more in the table. */
void relay_udp_remove(struct udp_session *s);

/* relay_udp_session.c */

/* A new session in the table; NULL: no memory. */
struct udp_session *udp_session_begin(struct relay_udp *u, const redirector_address *peer,
                                      const redirector_destination *destination);

/* Passes a datagram on; it lies in relay_udp_payload(). */
void udp_session_send(struct udp_session *s, uint32_t length);

void udp_session_complete(struct udp_session *s, struct relay_op *op, DWORD error);

/* Has the session look what has come, if its socket has had an error: Wine's then tells of nothing any more. */
void udp_session_look(struct udp_session *s);

/* Takes it out of the table, and reports its end if that was not done. Its memory goes with its last operation. */
void udp_session_end(struct udp_session *s, enum report_outcome outcome);

/* What the rules say of it now that its host's name is known. */
void udp_session_judge(struct udp_session *s, const char *host);

/* It cannot go on: what is sent is lost for RETRY_MS, and its program told so for each datagram. Then it ends, and may begin
 * anew. Where no datagram is in hand the caller tells the program. */
void udp_session_fail(struct udp_session *s, enum report_outcome outcome, DWORD error);

/* Towards its destination; on failure the session has failed. */
void udp_session_open_directly(struct udp_session *s);

/* Opens its socket, towards `to` if that is not NULL. 0, or the Winsock error. */
DWORD udp_session_open_socket(struct udp_session *s, uint32_t family, const redirector_address *to);

/* relay_udp_associate.c */

/* Has the proxy dialled; datagrams wait meanwhile. */
void udp_associate(struct udp_session *s);

/* Puts the datagram behind those that wait. */
void udp_associate_wait(struct udp_session *s, const uint8_t *data, uint32_t length);

/* Forgets those that wait, which are lost. */
void udp_associate_drop(struct udp_session *s);

/* relay_udp_name.c */

/* The program has sent this; the destination has answered this. */
void udp_name_sent(struct udp_session *s, const uint8_t *data, uint32_t length);
void udp_name_answered(struct udp_session *s, const uint8_t *data, uint32_t length);

void udp_name_free(struct udp_session *s);

/* relay_udp_error.c */

bool udp_errors_start(struct udp_errors *e, redirector *r);
void udp_errors_stop(struct udp_errors *e);

/* The program that sends from there shall learn that nobody receives it. Never waits. */
void udp_errors_tell(struct udp_errors *e, const redirector_address *peer);

#endif
