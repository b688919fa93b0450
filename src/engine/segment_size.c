/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a flow whose MSS was raised remembers what the program said. Of the replies that are larger, one
 * at a time is watched: the oldest that the program has not acknowledged. If that one is sent for the third time, it
 * does not get through: from then on the flow's large replies are cut here, to segments as the program wanted them. So
 * a limit that appears in the middle of a connection costs two of the proxy's retransmission time-outs, once.
 *
 * If that happens to SEGMENT_FLOWS_LOST flows while no large reply of any flow was acknowledged, this machine does not
 * take them: new flows are not offered them. The same if a proof has seen that they do not arrive (S8). Then the proxy's
 * SYN-ACK, which says what loopback carries, is lowered to what the program's SYN says.
 */
#include "segment_size.h"

#include "checksum.h"

enum { SENDINGS_UNTIL_CUT = 3, SEGMENT_FLOWS_LOST = 2, TCP_CWR = 0x80, TCP_URG = 0x20, OPTION_MSS = 2 };

/* Where the value of the MSS option stands; NULL: there is none. */
static uint8_t *find_mss(const struct packet *p)
{
    uint8_t *at = p->tcp + 20, *end = p->tcp + packet_tcp_header(p->tcp);
    while (at < end && *at != 0) {
        if (*at == 1) { /* no operation */
            at++;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at) {
            return NULL;
        }
        if (*at == OPTION_MSS) {
            return at[1] == 4 ? at + 2 : NULL;
        }
        at += at[1];
    }
    return NULL;
}

/* From the program's interface over loopback to the proxy, so that replies go in there again. */
static bool goes_over_loopback(const struct flow *f)
{
    return (f->kind == FLOW_OUTGOING || f->kind == FLOW_PROOF) && f->outbound[LEG_FORWARD] && !f->outbound[LEG_REPLY];
}

/* A proof is there to see whether they arrive. */
static bool are_offered(const struct engine *e, const struct flow *f, uint32_t family)
{
    const struct segment_state *s = &e->segments;
    return !e->config.small_segments && (f->kind == FLOW_PROOF || !(s->lost || s->refused[family == FAMILY_IP6]));
}

static void set_mss(struct packet *p, uint8_t *mss, uint16_t size, bool checksum_valid)
{
    uint8_t before[2] = {mss[0], mss[1]};
    store_be16(mss, size);
    if (checksum_valid) {
        /* A word that begins at an odd place counts with its bytes the other way round. */
        unsigned odd = (unsigned)(mss - p->tcp) & 1;
        uint8_t from[2] = {before[odd], before[!odd]}, to[2] = {mss[odd], mss[!odd]};
        checksum_adjust(p->tcp + 16, checksum_difference(from, to, sizeof from));
    }
}

void segment_size_offer(struct engine *e, uint32_t id, enum leg leg, struct packet *p, const struct packet_meta *meta)
{
    struct flow *f = flow_at(&e->flows, id);
    uint32_t family = p->tuple.family;
    uint8_t *mss = goes_over_loopback(f) ? find_mss(p) : NULL;
    uint16_t stated = mss ? load_be16(mss) : 0, size = stated;
    if (!stated) {
        return;
    }
    if (leg == LEG_FORWARD) {
        uint16_t largest = family == FAMILY_IP4 ? SEGMENT_SIZE_MAX_IP4 : SEGMENT_SIZE_MAX_IP6;
        f->segments_offered = are_offered(e, f, family) && stated < largest;
        f->segment_size = stated;
        size = f->segments_offered ? largest : stated;
    } else if (!are_offered(e, f, family) && f->segment_size && f->segment_size < stated) {
        size = f->segment_size;
    }
    if (size != stated) {
        set_mss(p, mss, size, meta->transport_checksum_valid);
    }
}

static void tell(struct engine *e)
{
    const struct segment_state *s = &e->segments;
    COUNT_SET(e, large_segments, !e->config.small_segments && !s->lost && !(s->refused[0] && s->refused[1]));
}

void segment_size_init(struct engine *e)
{
    tell(e);
}

void segment_size_proven(struct engine *e, uint32_t family, bool arrive)
{
    e->segments.refused[family == FAMILY_IP6] = !arrive;
    tell(e);
}

/* ---- replies that do not arrive */

static void note_arrived(struct engine *e, struct flow *f)
{
    f->segments_arrive = true;
    e->segments.flows_lost = 0;
}

static void note_lost(struct engine *e, struct flow *f)
{
    f->segments_cut = true;
    if (f->segments_arrive || ++e->segments.flows_lost < SEGMENT_FLOWS_LOST || e->segments.lost) {
        return;
    }
    e->segments.lost = true;
    tell(e);
    if (e->host.segments_lost) {
        e->host.segments_lost(e->host.context);
    }
}

/* Whether this large reply has been sent often enough. */
static bool is_lost(struct engine *e, struct flow *f, const struct packet *p)
{
    int32_t ahead = (int32_t)(p->seq - f->segment_watched);
    bool acknowledged = f->acked[LEG_FORWARD] && (int32_t)(f->last_ack[LEG_FORWARD] - f->segment_watched) > 0;
    if (f->segment_sent && acknowledged) {
        note_arrived(e, f);
    }
    if (!f->segment_sent || acknowledged) {
        f->segment_sent = 0;
        ahead = 0;
    } else if (ahead < 0) {
        f->segment_sent = 1; /* an earlier one is sent again */
    }
    if (ahead <= 0) {
        f->segment_watched = p->seq;
        f->segment_sent++;
    }
    return f->segment_sent >= SENDINGS_UNTIL_CUT;
}

/* ---- cutting */

static bool checksum_is_right(struct packet *p)
{
    uint16_t stated = load_be16(p->tcp + 16);
    checksum_tcp(p);
    bool right = load_be16(p->tcp + 16) == stated;
    store_be16(p->tcp + 16, stated);
    return right;
}

/* What of the header of the whole is true of the piece that begins at `offset` of its payload. */
static void fit_header(struct packet *piece, const struct packet *whole, uint32_t offset, bool last, uint16_t urgent)
{
    bool is_urgent = whole->flags & TCP_URG && urgent > offset;
    uint8_t flags = whole->flags;
    flags &= (uint8_t) ~(last ? 0 : TCP_FIN | TCP_PSH);
    flags &= (uint8_t) ~(offset ? TCP_CWR : 0);
    flags &= (uint8_t) ~(is_urgent ? 0 : TCP_URG);
    piece->tcp[13] = flags;
    store_be16(piece->tcp + 18, (uint16_t)(is_urgent ? urgent - offset : 0));
    store_be32(piece->tcp + 4, whole->seq + offset);
    if (piece->tuple.family == FAMILY_IP4) {
        store_be16(piece->ip + 2, (uint16_t)piece->length);
    } else {
        store_be16(piece->ip + 4, (uint16_t)(piece->length - 40));
    }
    checksum_ip_header(piece);
    checksum_tcp(piece);
}

/*
 * The headers are moved through the packet, in front of one piece of the payload after the other: inject() copies, so
 * what they overwrite has been sent.
 */
static void send_pieces(struct engine *e, const struct packet *whole, const struct packet_meta *captured, uint32_t size)
{
    struct packet_meta meta = *captured;
    meta.ip_checksum_valid = meta.transport_checksum_valid = true;
    struct packet piece = *whole;
    uint32_t headers = whole->length - whole->payload;
    uint16_t urgent = load_be16(whole->tcp + 18);
    for (uint32_t offset = 0; offset < whole->payload; offset += size) {
        uint32_t left = whole->payload - offset;
        memmove(whole->ip + offset, piece.ip, headers);
        piece.ip = whole->ip + offset;
        piece.tcp = whole->tcp + offset;
        piece.payload = left < size ? left : size;
        piece.length = headers + piece.payload;
        fit_header(&piece, whole, offset, left <= size, urgent);
        e->host.inject(e->host.context, &meta, piece.ip, piece.length);
        COUNT(e, segments_cut);
    }
}

bool segment_size_cut(struct engine *e, uint32_t id, struct packet *p, const struct packet_meta *meta)
{
    struct flow *f = flow_at(&e->flows, id);
    if (!f->segments_offered) {
        return false; /* it is as large as the program has allowed, and more: not by our doing */
    }
    uint32_t options = packet_tcp_header(p->tcp) - 20; /* the MSS does not count them, segments do (RFC 6691) */
    if (!f->segments_cut && is_lost(e, f, p)) {
        note_lost(e, f);
    }
    if (!f->segments_cut || f->segment_size <= options) {
        return false;
    }
    if (meta->transport_checksum_valid && !checksum_is_right(p)) {
        return false; /* damaged: pieces with sums of their own would hide it */
    }
    send_pieces(e, p, meta, f->segment_size - options);
    return true;
}
