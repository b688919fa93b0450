/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The network beneath the filtering platform.
 */
#ifndef LAB_WINDOWS_NET_H
#define LAB_WINDOWS_NET_H

#include "../fwpkclnt/fwp.h"
#include "../../daemon/packet.h"

/* ------------------------------------------------------------------ wire.c */

extern struct lab_settings net_settings; /* as the daemon has set them */

/* ------------------------------------------------------------------ addresses.c */

void addresses_set(const struct lab_addresses *record); /* its entries follow */
void addresses_forget(void);
bool addresses_wait(void); /* until they have been told of; false: they were not, in good time */

bool address_is_loopback(const uint32_t address[4]);
bool address_is_local(const uint32_t address[4]);
bool interface_is_valid(uint32_t index);

/* Where an injected packet leaves to: the loopback interface, its source's, or the one that packets leave by. */
uint32_t interface_towards(const uint32_t source[4], const uint32_t destination[4]);
void interface_note(uint32_t index); /* a packet has left the host by it */

/* ------------------------------------------------------------------ packets.c */

enum way { WAY_IN, WAY_OUT, WAY_FORWARD };

/* How a list of packets is shown to its layer. */
struct showing {
    NET_BUFFER_LIST *list;
    const struct packet *packet; /* the first one's headers */
    enum way way;
    uint32_t if_idx, sub_if_idx;
    uint32_t flags; /* FWP_CONDITION_FLAG_x */
};

/* The resulting action. A packet on its way in is shown from behind its IP headers, as Windows does. */
uint32_t packets_show(const struct showing *showing, const struct sink *sink);

/* Records of LAB_PACKET, one after the other; packets_end() after the last in a row. */
void packets_take(const struct lab_packet *record);
void packets_end(void);

/* ------------------------------------------------------------------ fragments.c */

enum fragments {
    FRAGMENTS_PASS,        /* nobody has taken any */
    FRAGMENTS_REASSEMBLED, /* the same, and the datagram is still to be shown, with IS_REASSEMBLED */
    FRAGMENTS_TAKEN,       /* what was not taken is on its way, the datagram must not pass */
};

/* False: the packet does not go in fragments, or the settings do not ask for it. */
bool fragments_show(const struct lab_packet *record, const struct packet *whole, enum fragments *result);

/* ------------------------------------------------------------------ inject.c */

struct injection {
    NET_BUFFER_LIST *list; /* with one buffer */
    enum way way;
    bool ipv6;
    uint32_t if_idx, sub_if_idx;
    uint32_t weight; /* of the handle */
};

/* The status that Windows' function has for it; on success the packet is on its way, or lost. */
NTSTATUS net_inject(const struct injection *injection);

/* ------------------------------------------------------------------ strict.c */

/*
 * What Windows makes of an injected packet: a status that is an error, or the outcome LAB_SENT, or how it
 * is lost. Without strict rules: only what must not leave the host.
 */
NTSTATUS strict_check(const struct packet *packet, enum way way, uint32_t if_idx, enum lab_outcome *outcome);

/* ------------------------------------------------------------------ ale.c */

void ale_take(const struct lab_ale *record);
void ale_end_all(void); /* the daemon is gone: so are all flows */

#endif
