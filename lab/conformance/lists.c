/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Several packets in one list, of which a filter matches some: "if any packet in it matches, the driver absorbs the
 * list: matches are queued, non-matches are cloned and re-injected by a worker with the handle's priority". The
 * runner has had such lists made before, and looks afterwards whether the driver has given packets back.
 *
 * Two sockets send datagrams by turns; the filter is one's. All must arrive, once. Their order is not promised, only
 * shown: what the worker gives back can be overtaken by a list without a match, and a queue by a pending receive.
 */
#include "net.h"

#define COUNT 400
#define BATCH 40 /* then it waits for the echoes, so that no buffer overflows */

static struct packet p;

struct sender {
    SOCKET socket;
    uint16_t port;
    unsigned seen[COUNT]; /* how often each number has passed the lowest handle */
    unsigned passed, disordered, echoed;
    uint32_t last;
};

static struct sender wanted, neighbour;

static void sender_open(struct sender *sender)
{
    struct sockaddr_storage a;
    int len = net_address(CLIENT4, 0, &a), size = 1 << 20;
    DWORD patience = PATIENCE_MS;

    sender->socket = socket(AF_INET, SOCK_DGRAM, 0);
    require("bind", bind(sender->socket, (void *)&a, len) == 0);
    setsockopt(sender->socket, SOL_SOCKET, SO_RCVBUF, (char *)&size, sizeof size);
    setsockopt(sender->socket, SOL_SOCKET, SO_RCVTIMEO, (char *)&patience, sizeof patience);
    sender->port = net_local_port(sender->socket);
}

static void sender_send(struct sender *sender, uint32_t number)
{
    struct sockaddr_storage a;
    int len = net_address(SERVER4, ECHO_PORT, &a);

    require("a datagram", sendto(sender->socket, (char *)&number, sizeof number, 0, (void *)&a, len) == sizeof number);
}

static void sender_echoes(struct sender *sender, unsigned count)
{
    uint32_t number;

    while (count-- && recv(sender->socket, (char *)&number, sizeof number, 0) == sizeof number) {
        sender->echoed++;
    }
}

/* The handle in the middle sends on what it gets, as it comes; only the wanted one's may come. */
static DWORD WINAPI send_on(void *arg)
{
    static struct packet taken;
    static unsigned others;

    while (receive(arg, &taken, INFINITE)) {
        if (net_get16(net_tcp(&taken)) != wanted.port) {
            others++;
        }
        require("sending on", net_send(arg, &taken));
    }
    return others;
}

static void look(struct sender *sender)
{
    uint32_t number = *(uint32_t *)(net_tcp(&p) + 8);

    if (number >= COUNT) {
        return;
    }
    sender->seen[number]++;
    sender->disordered += sender->passed && number < sender->last;
    sender->last = number;
    sender->passed++;
}

static void check_sender(const char *name, const struct sender *sender)
{
    unsigned once = 0;
    char text[100];

    for (int i = 0; i < COUNT; i++) {
        once += sender->seen[i] == 1;
    }
    snprintf(text, sizeof text, "%s: each leaves once", name);
    check_equal(text, once, COUNT);
    printf("# %s: %u out of order\n", name, sender->disordered);
    snprintf(text, sizeof text, "%s: each arrives", name);
    check_equal(text, sender->echoed, COUNT);
}

/* They are read at the end. */
static HANDLE open_sniffer(const char *filter, int16_t priority)
{
    HANDLE h = open_or_exit(filter, LAYER_NETWORK, priority, FLAG_SNIFF);

    WinDivertSetParam(h, PARAM_QUEUE_LENGTH, 16384);
    WinDivertSetParam(h, PARAM_QUEUE_TIME, 16000);
    return h;
}

int main(void)
{
    HANDLE above, middle, below, thread;
    unsigned before[2] = {0, 0};
    char filter[100];
    DWORD others = 0;

    net_start();
    sender_open(&wanted);
    sender_open(&neighbour);
    snprintf(filter, sizeof filter, "outbound and udp.SrcPort == %u", wanted.port);
    middle = open_or_exit(filter, LAYER_NETWORK, 0, 0);
    snprintf(filter, sizeof filter, "outbound and (udp.SrcPort == %u or udp.SrcPort == %u)", wanted.port,
             neighbour.port);
    above = open_sniffer(filter, 10);
    below = open_sniffer(filter, -10);
    thread = CreateThread(NULL, 0, send_on, middle, 0, NULL);
    for (uint32_t i = 0; i < COUNT; i++) {
        sender_send(&neighbour, i);
        sender_send(&wanted, i);
        if (i % BATCH == BATCH - 1) {
            sender_echoes(&wanted, BATCH);
            sender_echoes(&neighbour, BATCH);
        }
    }
    WinDivertShutdown(middle, SHUTDOWN_RECV);
    WaitForSingleObject(thread, INFINITE);
    GetExitCodeThread(thread, &others);
    WinDivertShutdown(below, SHUTDOWN_RECV);
    while (receive(below, &p, PATIENCE_MS)) {
        look(net_get16(net_tcp(&p)) == wanted.port ? &wanted : &neighbour);
    }
    WinDivertShutdown(above, SHUTDOWN_RECV);
    while (receive(above, &p, PATIENCE_MS)) {
        before[net_get16(net_tcp(&p)) == wanted.port]++;
    }
    check_sender("what the filter matches", &wanted);
    check_sender("its neighbours", &neighbour);
    check_equal("the handle gets no neighbour", others, 0);
    check("a higher handle sees each once", before[0] == COUNT && before[1] == COUNT, "%u and %u", before[1],
          before[0]);
    WinDivertClose(above);
    WinDivertClose(middle);
    WinDivertClose(below);
    closesocket(wanted.socket);
    closesocket(neighbour.socket);
    return check_failures != 0;
}
