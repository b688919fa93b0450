/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one dump request to the kernel's sock_diag, blocking; the kernel answers from
 * memory, within a fraction of a millisecond. It is used instead of /proc/net/tcp because it names
 * sockets by their cookie, which the socket events carry, too.
 */
#include "tcpdiag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 << 10 };

static int netlink = -1;

void tcpdiag_open(void)
{
    netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0) {
        fprintf(stderr, "windivert-labd: cannot list sockets: %s\n", strerror(errno));
        exit(1);
    }
}

void tcpdiag_close(void)
{
    close(netlink);
}

static bool ask(uint8_t protocol, bool ipv6, uint32_t states)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = {
        .header =
            {
                .nlmsg_len = sizeof(question),
                .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
            },
        .request =
            {
                .sdiag_family = ipv6 ? AF_INET6 : AF_INET,
                .sdiag_protocol = protocol,
                .idiag_states = states,
            },
    };

    return send(netlink, &question, sizeof(question), 0) == sizeof(question);
}

static void convert(struct tcpdiag_socket *to, struct nlmsghdr *header)
{
    struct inet_diag_msg *from = NLMSG_DATA(header);
    struct rtattr *attribute = (struct rtattr *)(from + 1);
    int left = (int)NLMSG_PAYLOAD(header, sizeof(*from));

    memset(to, 0, sizeof(*to));
    to->cookie = (uint64_t)from->id.idiag_cookie[1] << 32 | from->id.idiag_cookie[0];
    to->state = from->idiag_state;
    to->ipv6 = from->idiag_family == AF_INET6;
    memcpy(to->local, from->id.idiag_src, sizeof(to->local));
    memcpy(to->remote, from->id.idiag_dst, sizeof(to->remote));
    to->local_port = from->id.idiag_sport;
    to->remote_port = from->id.idiag_dport;
    to->if_idx = from->id.idiag_if;
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type == INET_DIAG_SKV6ONLY) {
            to->v6_only = *(uint8_t *)RTA_DATA(attribute) != 0;
        }
    }
}

bool tcpdiag_list(uint8_t protocol, bool ipv6, uint32_t states, tcpdiag_fn *fn, void *context)
{
    static char answer[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));

    if (!ask(protocol, ipv6, states)) {
        return false;
    }
    for (;;) {
        ssize_t got = recv(netlink, answer, sizeof(answer), 0);
        int left = (int)got;

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        for (struct nlmsghdr *header = (void *)answer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
            struct tcpdiag_socket socket;

            if (header->nlmsg_type == NLMSG_DONE) {
                return true;
            }
            if (header->nlmsg_type == NLMSG_ERROR) {
                return false;
            }
            convert(&socket, header);
            fn(context, &socket);
        }
    }
}
