/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A dial's proxy is spoken to by upstream_talk.c; here its messages are sent and received. Of two proxies the first is
 * asked to connect to the second, which is then spoken to through it.
 */
#include "dial_internal.h"

#include "address.h"

#include <string.h>

static void talk_on(struct dial *d, enum upstream_next next);

static void send_rest(struct dial *d)
{
    WSABUF buffer = {.len = d->length - d->sent, .buf = d->buffer + d->sent};
    d->op = (struct relay_op){.kind = RELAY_DIAL, .socket = d->socket, .owner = d};
    d->sending = true;
    DWORD error = relay_op_started(&d->op, WSASend(d->socket, &buffer, 1, NULL, 0, &d->op.overlapped, NULL) == 0);
    if (error) {
        dial_fail(d, UPSTREAM_OK, error);
    }
}

static void receive_more(struct dial *d)
{
    WSABUF buffer = {.len = UPSTREAM_MESSAGE_MAX - d->length, .buf = d->buffer + d->length};
    DWORD flags = 0;
    d->op = (struct relay_op){.kind = RELAY_DIAL, .socket = d->socket, .owner = d};
    d->sending = false;
    DWORD error = relay_op_started(&d->op, WSARecv(d->socket, &buffer, 1, NULL, &flags, &d->op.overlapped, NULL) == 0);
    if (error) {
        dial_fail(d, UPSTREAM_OK, error);
    }
}

/*
 * An address of zeros is the proxy's own; and so is one of a private network where the proxy is a public one: behind a
 * NAT it does not know better. False: another machine's proxy would have this one send to itself.
 */
static bool complete_bound(struct dial *d)
{
    static const uint8_t zeros[16];
    redirector_address *bound = &d->talk.bound;
    if (!d->plan.associate) {
        return true;
    }
    if (address_is_loopback(bound)) {
        return address_is_loopback(d->proxy);
    }
    if (memcmp(bound->bytes, zeros, sizeof zeros) == 0 ||
        (address_is_private(bound) && !address_is_private(d->proxy))) {
        uint32_t port = bound->port;
        *bound = *d->proxy;
        bound->port = port;
    }
    return true;
}

/* The first proxy has connected to the second, which says nothing before it is spoken to. */
static void talk_to_far_proxy(struct dial *d)
{
    if (d->length) {
        dial_fail(d, UPSTREAM_NOT_A_PROXY, 0);
        return;
    }
    d->talk =
        (upstream_talk){.to = d->plan.via, .destination = d->plan.destination.family ? &d->plan.destination : NULL};
    talk_on(d, upstream_begin(&d->talk, d->buffer, &d->length));
}

static void talk_on(struct dial *d, enum upstream_next next)
{
    d->sent = 0;
    switch (next) {
    case UPSTREAM_SEND:
        send_rest(d);
        break;
    case UPSTREAM_RECEIVE:
        receive_more(d);
        break;
    case UPSTREAM_DONE:
        if (d->talk.to != d->plan.via) {
            talk_to_far_proxy(d);
        } else if (complete_bound(d)) {
            dial_succeed(d);
        } else {
            dial_fail(d, UPSTREAM_NOT_A_PROXY, 0);
        }
        break;
    case UPSTREAM_FAILED:
        dial_fail(d, d->talk.failure, 0);
        break;
    }
}

void dial_on_talk(struct dial *d, DWORD bytes, DWORD error)
{
    if (error || (!d->sending && bytes == 0)) { /* many proxies close instead of saying that a login is wrong */
        dial_fail(d, d->talk.step == TALK_LOGIN ? UPSTREAM_NO_LOGIN : UPSTREAM_NOT_A_PROXY, error);
    } else if (!d->sending) {
        d->length += bytes;
        talk_on(d, upstream_feed(&d->talk, d->buffer, &d->length));
    } else if ((d->sent += bytes) < d->length) {
        send_rest(d);
    } else {
        d->length = 0;
        receive_more(d);
    }
}

/* For datagrams the destination is "not known yet", in the family of the connection (RFC 1928, section 4). */
void dial_begin_talk(struct dial *d, const redirector_address *proxy)
{
    if (d->plan.associate) {
        d->proxy = proxy;
        d->plan.destination = (redirector_address){.family = proxy->family};
    }
    d->talk = (upstream_talk){.to = d->plan.via,
                              .destination = d->plan.destination.family ? &d->plan.destination : NULL,
                              .associate = d->plan.associate};
    if (d->plan.over) {
        d->talk = (upstream_talk){.to = d->plan.over, .destination = &d->plan.via->addresses[0]};
    }
    talk_on(d, upstream_begin(&d->talk, d->buffer, &d->length));
}
