/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Operations that a SOCKET handle without SNIFF may prevent, a part of sockev.bpf.c, which includes it.
 *
 * The answer comes from the WinDivert driver, by way of the daemon, and takes a millisecond or so, and a
 * program of this kind cannot sleep. So the operation fails with ERESTARTNOINTR, and its thread gets a
 * SIGSTOP: the process stops on its way out of the system call, without anything having happened. The daemon
 * puts down the answer and sends SIGCONT, upon which the kernel makes the call again, and here the answer is
 * found. No processor spins, and whoever asked may be wineserver, which then stands still. A question may be
 * looked at several times, because SIGCONT is for all threads of a process; what is written in which order:
 *
 *   here    stop, look for the answer; there is one: continue
 *   daemon  write the answer, continue
 *
 * Nothing is asked while no such handle is open (`asking`).
 *
 * A datagram socket connects, in WinDivert's terms, when it first sends to an address.
 */
#ifndef LAB_SOCKEV_VETO_H
#define LAB_SOCKEV_VETO_H

#define ERROR_RESTART_CALL (-513) /* ERESTARTNOINTR, which the kernel keeps to itself */
#define SIGNAL_CONTINUE 18
#define SIGNAL_STOP 19
#define PROTOCOL_UDP 17
#define FIRST_IMPLICIT_PORT 32768 /* as the kernel's own range for them has it */
#define IMPLICIT_PORTS 28232
#define BIND_ATTEMPTS 8

extern int bpf_send_signal_task(struct task_struct *task, int sig, enum pid_type type, u64 value) __ksym;

unsigned int asking = 0;

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, u32);
    __type(value, struct sockev_question);
} questions SEC(".maps");

/* sockets that were given a port here, by cookie, and whose BIND nobody has allowed yet */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, u64);
    __type(value, u32);
} implicit_binds SEC(".maps");

struct peer {
    u64 cookie;
    u32 addr[4];
    u32 port;
    u32 reserved;
};

/* whom datagram sockets have sent to */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 32768);
    __type(key, struct peer);
    __type(value, u32);
} peers SEC(".maps");

static __always_inline struct sockev_question *question_of(u32 thread, u64 cookie, u32 kind)
{
    struct sockev_question *question = bpf_map_lookup_elem(&questions, &thread);

    return question && question->cookie == cookie && question->kind == kind ? question : NULL;
}

static __always_inline u32 answer_of(u32 thread, const struct sockev_record *event)
{
    struct sockev_question *question = question_of(thread, event->cookie, event->kind);

    return question ? question->answer : SOCKEV_NO_ANSWER;
}

/* 1: the operation may be done. 0: it is prevented, or will be made again when there is an answer. */
static __always_inline int ask(struct sockev_record *event)
{
    u64 me = bpf_get_current_pid_tgid();
    u32 thread = (u32)me, answer;
    struct sockev_question asked = {.cookie = event->cookie, .kind = event->kind, .port = event->local_port};
    struct task_struct *task = bpf_get_current_task_btf();

    answer = answer_of(thread, event);
    if (answer == SOCKEV_NO_ANSWER) {
        bpf_send_signal_task(task, SIGNAL_STOP, PIDTYPE_PID, 0);
        answer = answer_of(thread, event); /* anew: an answer is another element of the map */
        if (answer == SOCKEV_NO_ANSWER && !question_of(thread, event->cookie, event->kind)) {
            event->asker = me;
            if (bpf_map_update_elem(&questions, &thread, &asked, BPF_ANY) || !record_submit(event))
                answer = SOCKEV_ALLOWED;
        }
        if (answer == SOCKEV_NO_ANSWER) {
            bpf_set_retval(ERROR_RESTART_CALL);
            return 0;
        }
        bpf_send_signal_task(task, SIGNAL_CONTINUE, PIDTYPE_TGID, 0);
    }
    bpf_map_delete_elem(&questions, &thread);
    return answer == SOCKEV_ALLOWED;
}

/* An explicit bind, at its end. */
static __always_inline int allow_bind(struct bpf_sock *sk, u32 family)
{
    struct sockev_record r = {.kind = SOCKEV_BIND, .family = family};

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
    if (asking)
        return ask(&r);
    record_submit(&r);
    return 1;
}

/* A bind that is made again, to any port: it gets the one that the answer is about. */
static __always_inline int keep_port(struct bpf_sock_addr *address)
{
    struct sockev_question *question;

    if (!asking || address->user_port)
        return 1;
    question = question_of((u32)bpf_get_current_pid_tgid(), bpf_get_socket_cookie(address), SOCKEV_BIND);
    if (question)
        address->user_port = bpf_htons((u16)question->port);
    return 1;
}

/* Gives a socket the port that it would get a moment later, so that it can be asked about. */
static __always_inline void bind_implicitly(struct bpf_sock_addr *address, u32 family, u64 cookie)
{
    u32 port = 0;

    for (int i = 0; i < BIND_ATTEMPTS; i++) {
        u16 wanted = bpf_htons((u16)(FIRST_IMPLICIT_PORT + bpf_get_prandom_u32() % IMPLICIT_PORTS));
        struct sockaddr_in any4 = {.sin_family = FAMILY_INET, .sin_port = wanted};
        struct sockaddr_in6 any6 = {.sin6_family = FAMILY_INET6, .sin6_port = wanted};

        if (!(family == FAMILY_INET ? bpf_bind(address, (struct sockaddr *)&any4, sizeof any4)
                                    : bpf_bind(address, (struct sockaddr *)&any6, sizeof any6)))
            break;
    }
    if (asking)
        bpf_map_update_elem(&implicit_binds, &cookie, &port, BPF_ANY);
}

static __always_inline void fill_connect(struct sockev_record *r, struct bpf_sock_addr *address, struct bpf_sock *sk)
{
    r->protocol = address->protocol;
    r->remote_port = bpf_ntohs(address->user_port);
    r->local_port = sk->src_port;
    if (r->family == FAMILY_INET) {
        r->remote_addr[0] = address->user_ip4;
        r->local_addr[0] = sk->src_ip4;
        return;
    }
    r->remote_addr[0] = address->user_ip6[0];
    r->remote_addr[1] = address->user_ip6[1];
    r->remote_addr[2] = address->user_ip6[2];
    r->remote_addr[3] = address->user_ip6[3];
    r->local_addr[0] = sk->src_ip6[0];
    r->local_addr[1] = sk->src_ip6[1];
    r->local_addr[2] = sk->src_ip6[2];
    r->local_addr[3] = sk->src_ip6[3];
}

/* BIND comes before CONNECT: 0 if it is prevented, or not yet known. */
static __always_inline int allow_implicit_bind(const struct sockev_record *connect)
{
    struct sockev_record r = *connect;

    if (!bpf_map_lookup_elem(&implicit_binds, &r.cookie))
        return 1;
    r.kind = SOCKEV_BIND;
    r.remote_port = 0;
    __builtin_memset(r.remote_addr, 0, sizeof r.remote_addr);
    __builtin_memset(r.local_addr, 0, sizeof r.local_addr);
    if (!ask(&r))
        return 0;
    bpf_map_delete_elem(&implicit_binds, &r.cookie);
    return 1;
}

/* A connect (`connects`), or a datagram that says where it goes. TCP's connects are told elsewhere. */
static __always_inline int allow_connect(struct bpf_sock_addr *address, u32 family, bool connects)
{
    struct sockev_record r = {.kind = SOCKEV_CONNECT, .family = family};
    struct bpf_sock *sk = address->sk;
    bool datagrams = address->protocol == PROTOCOL_UDP;
    struct peer peer = {0};
    u32 known = 1;

    if (!sk || (!asking && !datagrams))
        return 1;
    r.cookie = bpf_get_socket_cookie(address);
    if (connects && !sk->src_port)
        bind_implicitly(address, family, r.cookie); /* Windows tells the port of whatever connects */
    fill_connect(&r, address, sk);
    if (datagrams) {
        peer.cookie = r.cookie;
        __builtin_memcpy(peer.addr, r.remote_addr, sizeof peer.addr);
        peer.port = r.remote_port;
        if (bpf_map_lookup_elem(&peers, &peer))
            return 1;
    }
    fill_owner(&r);
    if (!asking)
        record_submit(&r);
    else if (!allow_implicit_bind(&r) || !ask(&r))
        return 0;
    if (datagrams)
        bpf_map_update_elem(&peers, &peer, &known, BPF_ANY);
    return 1;
}

#endif
