/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The veto of SOCKET handles without SNIFF, a part of sockev.bpf.c, which includes it. Their filters are
 * walked here as filter.c does, because the answer is wanted on the spot. What is asked about is the record
 * of the event.
 */
#ifndef LAB_SOCKEV_VETO_H
#define LAB_SOCKEV_VETO_H

#define FAMILY_BIT(family) ((family) == FAMILY_INET6 ? 0x80u : 0x40u)
#define KIND_BIT(kind) (0x200u << ((kind)-SOCKEV_BIND))
#define TARGET_ACCEPT 0x7ffe

struct sockev_blocker blockers[SOCKEV_BLOCKERS];
unsigned int blocker_count = 0;

struct walk {
    const struct sockev_record *event;
    u32 blocker, at;
};

static __always_inline bool address_is_loopback(const struct sockev_record *r, const u32 *network)
{
    if (r->family == FAMILY_INET)
        return (bpf_ntohl(network[0]) >> 24) == 127;
    return !network[0] && !network[1] && !network[2] && network[3] == bpf_htonl(1);
}

/* Word `i` of an address as filters see it. */
static __always_inline u32 address_word(const struct sockev_record *r, const u32 *network, u32 i)
{
    if (r->family == FAMILY_INET6)
        return bpf_ntohl(network[3 - (i & 3)]);
    return i == 0 ? bpf_ntohl(network[0]) : i == 1 && network[0] ? 0xffff : 0;
}

/*
 * Word `i` of the field's value; the numbers are those of field.h. Not static, so that the verifier goes through it
 * once and not at every call; it is part of six programs, and loading must not take long.
 */
__noinline u32 field_word(const struct sockev_record *r, u32 field, u32 i)
{
    if (!r)
        return 0;
    if (field == 61)
        return address_word(r, r->local_addr, i);
    if (field == 62)
        return address_word(r, r->remote_addr, i);
    if (field == 66)
        return i == 0 ? (u32)r->cookie : i == 1 ? (u32)(r->cookie >> 32) : 0;
    if (field == 67 && r->kind == SOCKEV_CONNECT)
        return i == 0 ? (u32)r->cookie : i == 1 ? (u32)(r->cookie >> 32) : 0;
    if (i)
        return 0;
    switch (field) {
    case 2: /* outbound: all that can be prevented is */
        return 1;
    case 7: /* icmp, tcp, udp, icmpv6 */
        return r->protocol == 1;
    case 8:
        return r->protocol == 6;
    case 9:
        return r->protocol == 17;
    case 10:
        return r->protocol == 58;
    case 58:
        return address_is_loopback(r, r->local_addr) || address_is_loopback(r, r->remote_addr);
    case 60:
        return r->windows_pid ? r->windows_pid : 0x40000000u | r->linux_pid;
    case 63:
        return r->local_port;
    case 64:
        return r->remote_port;
    case 65:
        return r->protocol;
    case 70:
        return r->kind;
    default: /* zero, inbound, ip, ipv6; timestamps are not known here */
        return 0;
    }
}

static __always_inline bool field_is_wide(u32 field)
{
    return field == 61 || field == 62 || field == 66 || field == 67;
}

static __always_inline bool order_holds(int order, u32 test)
{
    switch (test) {
    case 0:
        return order == 0;
    case 1:
        return order != 0;
    case 2:
        return order < 0;
    case 3:
        return order <= 0;
    case 4:
        return order > 0;
    default:
        return order >= 0;
    }
}

static long walk_step(u32 step, struct walk *walk)
{
    u32 field, at = walk->at, order_word;
    const u32 *test;
    int order = 0;

    (void)step;
    if (walk->blocker >= SOCKEV_BLOCKERS || at >= SOCKEV_TESTS || at >= blockers[walk->blocker].count)
        return 1;
    test = blockers[walk->blocker].tests[at];
    field = test[0] & 0x7ff;
    for (int i = 3; i >= 0; i--) {
        if (i > 0 && !field_is_wide(field))
            continue;
        order_word = field_word(walk->event, field, i);
        if (!order && order_word != test[2 + i])
            order = order_word < test[2 + i] ? -1 : 1;
    }
    walk->at = order_holds(order, test[0] >> 11 & 31) ? test[0] >> 16 : test[1] & 0xffff;
    return 0;
}

/* True: some handle prevents this; the record then goes to the daemon as that. */
__noinline int prevented(const struct sockev_record *r)
{
    struct walk walk = {.event = r};
    u32 needs;

    if (!r)
        return 0;
    needs = KIND_BIT(r->kind) | FAMILY_BIT(r->family);

    for (u32 i = 0; i < SOCKEV_BLOCKERS && i < blocker_count; i++) {
        if ((blockers[i].matches & needs) != needs)
            continue;
        walk.blocker = i;
        walk.at = 0;
        bpf_loop(SOCKEV_TESTS + 1, walk_step, &walk, 0);
        if (walk.at == TARGET_ACCEPT)
            return 1;
    }
    return 0;
}

/* Tells of a prevented operation. */
static __always_inline void tell_prevented(const struct sockev_record *event)
{
    struct sockev_record *r = bpf_ringbuf_reserve(&events, sizeof *r, 0);

    if (!r) {
        __sync_fetch_and_add(&lost_records, 1);
        return;
    }
    *r = *event;
    r->blocked = 1;
    bpf_ringbuf_submit(r, 0);
}

/* Who asks; as record_begin has it. */
static __always_inline void fill_owner(struct sockev_record *r)
{
    struct sockev_process *writer = NULL;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 *inode;

    r->linux_pid = pid;
    if (!is_wineserver()) {
        r->windows_pid = current_windows_pid(bpf_get_current_task_btf());
        return;
    }
    inode = bpf_map_lookup_elem(&served_pipes, &pid);
    if (inode)
        writer = bpf_map_lookup_elem(&pipe_writers, inode);
    if (writer) {
        r->linux_pid = writer->linux_pid;
        r->windows_pid = writer->windows_pid;
    }
}

/* 0: the bind is prevented. */
static __always_inline int allow_bind(struct bpf_sock *sk, u32 family)
{
    struct sockev_record r = {.kind = SOCKEV_BIND, .family = family};

    if (!blocker_count)
        return 1;
    r.cookie = bpf_get_socket_cookie(sk);
    r.protocol = sk->protocol;
    r.local_port = sk->src_port;
    if (family == FAMILY_INET) {
        r.local_addr[0] = sk->src_ip4;
    } else {
        r.local_addr[0] = sk->src_ip6[0];
        r.local_addr[1] = sk->src_ip6[1];
        r.local_addr[2] = sk->src_ip6[2];
        r.local_addr[3] = sk->src_ip6[3];
    }
    fill_owner(&r);
    if (!prevented(&r))
        return 1;
    tell_prevented(&r);
    return 0;
}

/* 0: the connect, or the datagram, is prevented. The local end is known only if the socket is bound. */
static __always_inline int allow_connect(struct bpf_sock_addr *address, u32 family)
{
    struct sockev_record r = {.kind = SOCKEV_CONNECT, .family = family};

    if (!blocker_count)
        return 1;
    r.cookie = bpf_get_socket_cookie(address);
    r.protocol = address->protocol;
    r.remote_port = bpf_ntohs(address->user_port);
    if (family == FAMILY_INET) {
        r.remote_addr[0] = address->user_ip4;
    } else {
        r.remote_addr[0] = address->user_ip6[0];
        r.remote_addr[1] = address->user_ip6[1];
        r.remote_addr[2] = address->user_ip6[2];
        r.remote_addr[3] = address->user_ip6[3];
        if (!r.remote_addr[0] && !r.remote_addr[1] && r.remote_addr[2] == bpf_htonl(0xffff)) {
            r.family = FAMILY_INET; /* IPv4, carried by an IPv6 socket */
            r.remote_addr[0] = r.remote_addr[3];
        }
    }
    fill_owner(&r);
    if (!prevented(&r))
        return 1;
    tell_prevented(&r);
    return 0;
}

#endif
