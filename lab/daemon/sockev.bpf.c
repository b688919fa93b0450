/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Socket events of the lab's cgroup, as seen by the kernel.
 *
 * WinDivert reports BIND, CONNECT, LISTEN, ACCEPT and CLOSE with the process that asked for them.
 * Linux has a cgroup hook for each; all of them run in the context of the caller (ACCEPT excepted,
 * which runs when the SYN arrives), and CONNECT runs before the SYN is built. The beginning and end of
 * an established connection, WinDivert's FLOW events, are states of the socket. Datagrams connect when a socket first
 * sends to an address, and are accepted when it first gets one from an address that it has not sent to.
 *
 * The caller is the owner for native Linux programs only. Under Wine it is wineserver that makes
 * every system call on a socket, because a Windows thread asked it to through that thread's request
 * pipe. So we watch read, write and writev on pipes inside the namespace: a write by anybody else
 * names the pipe's owner, a read by wineserver (which is single-threaded) names the pipe it is
 * serving from now on. The owner's Windows pid lies in the TEB, to which the GS base of every Wine
 * thread points; reading it at that moment puts it into the event, which then outlives its process.
 *
 * While somebody may prevent operations, a caller that binds, connects or sends a first datagram is stopped
 * until the daemon has been told the answer: sockev_veto.bpf.h.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "sockev.h"

#define FAMILY_INET 2
#define FAMILY_INET6 10
#define ETHERTYPE_IP 0x0800
#define SYSCALL_READ 0
#define SYSCALL_WRITE 1
#define SYSCALL_WRITEV 20
#define MODE_TYPE_MASK 0170000
#define MODE_FIFO 0010000
#define TEB_SELF 0x30
#define TEB_PROCESS_ID 0x40
#define MAX_FD 65536

char LICENSE[] SEC("license") = "GPL"; /* demanded by the helpers used, for this program alone */

const volatile unsigned int lab_netns = 0; /* inode of the namespace this lab lives in */

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 16 << 20);
} events SEC(".maps");

/* pipe inode -> process that writes requests to it */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 32768);
    __type(key, u64);
    __type(value, struct sockev_process);
} pipe_writers SEC(".maps");

/* wineserver's pid -> inode of the pipe whose request it is serving */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, u32);
    __type(value, u64);
} served_pipes SEC(".maps");

/* the two directions of the pid mapping, for the daemon */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 32768);
    __type(key, u32);
    __type(value, struct sockev_process);
} by_linux_pid SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 32768);
    __type(key, u32);
    __type(value, struct sockev_process);
} by_windows_pid SEC(".maps");

/* records that found no room in the ring: the daemon reports them, a test must not miss it */
unsigned long long lost_records = 0;

/* after how many clock ticks a SYN is sent again; 0: as the kernel likes */
unsigned int syn_timeout_ticks = 0;

static __always_inline bool in_lab_namespace(struct task_struct *task)
{
    return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum) == lab_netns;
}

static __always_inline bool is_wineserver(void)
{
    static const char name[10] = "wineserver";
    char comm[16];

    bpf_get_current_comm(comm, sizeof comm);
    for (int i = 0; i < (int)sizeof name; i++)
        if (comm[i] != name[i])
            return false;
    return true;
}

/* The Windows pid of the current thread; 0 if it is no Windows thread or has no pid yet. */
static __always_inline u32 current_windows_pid(struct task_struct *task)
{
    u64 teb = BPF_CORE_READ(task, thread.gsbase), self = 0;
    u32 pid = 0;

    if (!teb || bpf_probe_read_user(&self, sizeof self, (void *)(teb + TEB_SELF)) || self != teb)
        return 0;
    bpf_probe_read_user(&pid, sizeof pid, (void *)(teb + TEB_PROCESS_ID));
    return pid;
}

/* Inode of the pipe behind a descriptor of the current process; 0 if it is not a pipe. */
static __always_inline u64 pipe_inode(struct task_struct *task, u32 fd)
{
    struct file **table = BPF_CORE_READ(task, files, fdt, fd);
    struct file *file = NULL;

    if (fd >= MAX_FD || bpf_probe_read_kernel(&file, sizeof file, table + fd) || !file)
        return 0;
    if ((BPF_CORE_READ(file, f_inode, i_mode) & MODE_TYPE_MASK) != MODE_FIFO)
        return 0;
    return BPF_CORE_READ(file, f_inode, i_ino);
}

static __always_inline void note_writer(struct task_struct *task, u64 inode, u32 pid)
{
    struct sockev_process *known = bpf_map_lookup_elem(&pipe_writers, &inode);
    struct sockev_process writer = {.linux_pid = pid};

    if (known && known->linux_pid == pid && known->windows_pid)
        return;
    writer.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
    writer.windows_pid = current_windows_pid(task);
    bpf_map_update_elem(&pipe_writers, &inode, &writer, BPF_ANY);
    if (writer.windows_pid) {
        bpf_map_update_elem(&by_linux_pid, &pid, &writer, BPF_ANY);
        bpf_map_update_elem(&by_windows_pid, &writer.windows_pid, &writer, BPF_ANY);
    }
}

SEC("tp_btf/sys_enter")
int BPF_PROG(watch_pipes, struct pt_regs *regs, long id)
{
    struct task_struct *task = bpf_get_current_task_btf();
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 inode;
    bool server;

    if (id != SYSCALL_READ && id != SYSCALL_WRITE && id != SYSCALL_WRITEV)
        return 0;
    if (!in_lab_namespace(task))
        return 0;
    server = is_wineserver();
    if (server != (id == SYSCALL_READ))
        return 0;
    inode = pipe_inode(task, BPF_CORE_READ(regs, di));
    if (!inode)
        return 0;
    if (server)
        bpf_map_update_elem(&served_pipes, &pid, &inode, BPF_ANY);
    else
        note_writer(task, inode, pid);
    return 0;
}

/* Puts down whoever asked for the operation being done right now. */
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

/* Begins a record about a socket. */
static __always_inline struct sockev_record *record_begin(u32 kind, u64 cookie, bool with_owner)
{
    struct sockev_record *r = bpf_ringbuf_reserve(&events, sizeof *r, 0);

    if (!r) {
        __sync_fetch_and_add(&lost_records, 1);
        return NULL;
    }
    __builtin_memset(r, 0, sizeof *r);
    r->kind = kind;
    r->cookie = cookie;
    if (with_owner)
        fill_owner(r);
    return r;
}

/* A whole record goes to the daemon; false: there was no room. */
static __always_inline bool record_submit(const struct sockev_record *record)
{
    struct sockev_record *r = bpf_ringbuf_reserve(&events, sizeof *r, 0);

    if (!r) {
        __sync_fetch_and_add(&lost_records, 1);
        return false;
    }
    *r = *record;
    bpf_ringbuf_submit(r, 0);
    return true;
}

#include "sockev_veto.bpf.h"

SEC("cgroup/connect4")
int see_connect4(struct bpf_sock_addr *address)
{
    return allow_connect(address, FAMILY_INET, true);
}

SEC("cgroup/connect6")
int see_connect6(struct bpf_sock_addr *address)
{
    return allow_connect(address, FAMILY_INET6, true);
}

SEC("cgroup/sendmsg4")
int see_send4(struct bpf_sock_addr *address)
{
    return allow_connect(address, FAMILY_INET, false);
}

SEC("cgroup/sendmsg6")
int see_send6(struct bpf_sock_addr *address)
{
    return allow_connect(address, FAMILY_INET6, false);
}

SEC("cgroup/bind4")
int keep_port4(struct bpf_sock_addr *address)
{
    return keep_port(address);
}

SEC("cgroup/bind6")
int keep_port6(struct bpf_sock_addr *address)
{
    return keep_port(address);
}

SEC("cgroup/post_bind4")
int see_bind4(struct bpf_sock *sk)
{
    return allow_bind(sk, FAMILY_INET);
}

SEC("cgroup/post_bind6")
int see_bind6(struct bpf_sock *sk)
{
    return allow_bind(sk, FAMILY_INET6);
}

/* The verifier refuses a context pointer that the compiler has modified; this keeps loads apart. */
#define LOAD(field)                                                                                                    \
    ({                                                                                                                 \
        u32 value_ = (field);                                                                                          \
        asm volatile("" : "+r"(value_));                                                                               \
        value_;                                                                                                        \
    })

static __always_inline void fill_tuple(struct sockev_record *r, struct bpf_sock_ops *ops)
{
    r->family = ops->family;
    r->protocol = IPPROTO_TCP;
    r->local_port = LOAD(ops->local_port);
    r->remote_port = bpf_ntohl(LOAD(ops->remote_port));
    if (r->family == FAMILY_INET) {
        r->local_addr[0] = LOAD(ops->local_ip4);
        r->remote_addr[0] = LOAD(ops->remote_ip4);
        return;
    }
    r->local_addr[0] = LOAD(ops->local_ip6[0]);
    r->local_addr[1] = LOAD(ops->local_ip6[1]);
    r->local_addr[2] = LOAD(ops->local_ip6[2]);
    r->local_addr[3] = LOAD(ops->local_ip6[3]);
    r->remote_addr[0] = LOAD(ops->remote_ip6[0]);
    r->remote_addr[1] = LOAD(ops->remote_ip6[1]);
    r->remote_addr[2] = LOAD(ops->remote_ip6[2]);
    r->remote_addr[3] = LOAD(ops->remote_ip6[3]);
}

SEC("sockops")
int watch_tcp(struct bpf_sock_ops *ops)
{
    struct sockev_record *r;
    u32 kind;

    switch (ops->op) {
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
        bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
        kind = SOCKEV_ESTABLISHED;
        break;
    case BPF_SOCK_OPS_STATE_CB: /* asked for at its establishment */
        if (ops->args[1] != BPF_TCP_CLOSE)
            return 1;
        kind = SOCKEV_DELETED;
        break;
    case BPF_SOCK_OPS_TCP_CONNECT_CB:
        kind = SOCKEV_CONNECT;
        break;
    case BPF_SOCK_OPS_TCP_LISTEN_CB:
        kind = SOCKEV_LISTEN;
        break;
    case BPF_SOCK_OPS_TIMEOUT_INIT:
        /* Asked for both ends. For the passive one it is the only hook at the arrival of the SYN,
         * and then the socket is a mere connection request. */
        if (ops->is_fullsock) {
            ops->reply = syn_timeout_ticks ? syn_timeout_ticks : -1;
            return 1;
        }
        kind = SOCKEV_ACCEPT;
        break;
    default:
        return 1;
    }
    r = record_begin(kind, bpf_get_socket_cookie(ops), kind == SOCKEV_CONNECT || kind == SOCKEV_LISTEN);
    if (r) {
        fill_tuple(r, ops);
        bpf_ringbuf_submit(r, 0);
    }
    return 1;
}

/* The datagram that a socket is about to get. false: it is none. */
static __always_inline bool fill_arrival(struct sockev_record *r, struct __sk_buff *skb)
{
    u32 header = skb->protocol == bpf_htons(ETHERTYPE_IP) ? 20 : 40;
    u16 ports[2];
    u8 first, protocol;

    r->family = header == 20 ? FAMILY_INET : FAMILY_INET6;
    if (bpf_skb_load_bytes(skb, header == 20 ? 9 : 6, &protocol, 1) || protocol != PROTOCOL_UDP)
        return false;
    if (header == 20) {
        if (bpf_skb_load_bytes(skb, 0, &first, 1) || bpf_skb_load_bytes(skb, 12, r->remote_addr, 4) ||
            bpf_skb_load_bytes(skb, 16, r->local_addr, 4))
            return false;
        header = (first & 15) * 4;
    } else if (bpf_skb_load_bytes(skb, 8, r->remote_addr, 16) || bpf_skb_load_bytes(skb, 24, r->local_addr, 16)) {
        return false;
    }
    if (bpf_skb_load_bytes(skb, header, ports, sizeof ports))
        return false;
    r->protocol = PROTOCOL_UDP;
    r->remote_port = bpf_ntohs(ports[0]);
    r->local_port = bpf_ntohs(ports[1]);
    return true;
}

/* ACCEPT of datagrams: the first one from an address to which the socket has sent nothing. */
SEC("cgroup_skb/ingress")
int watch_arrivals(struct __sk_buff *skb)
{
    struct sockev_record r = {.kind = SOCKEV_ACCEPT};
    struct peer peer = {0};
    u32 known = 1;

    if (!fill_arrival(&r, skb))
        return 1;
    r.cookie = bpf_get_socket_cookie(skb);
    peer.cookie = r.cookie;
    __builtin_memcpy(peer.addr, r.remote_addr, sizeof peer.addr);
    peer.port = r.remote_port;
    if (r.cookie && !bpf_map_lookup_elem(&peers, &peer)) {
        bpf_map_update_elem(&peers, &peer, &known, BPF_ANY);
        record_submit(&r);
    }
    return 1;
}

SEC("cgroup/sock_release")
int watch_release(struct bpf_sock *sk)
{
    struct sockev_record *r = record_begin(SOCKEV_CLOSE, bpf_get_socket_cookie(sk), false);

    if (r)
        bpf_ringbuf_submit(r, 0);
    return 1;
}
