/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Does known things to packets that it has diverted; the runner then compares with the lab's audit. Six
 * segments of one flow, numbered; the argument says what becomes of them:
 *
 *   pass      sent on as they came
 *   change    sent on with another port
 *   keep      the third one is kept back
 *   repeat    the third one is sent twice
 *   reverse   sent on in reverse order
 *   equal     all have the same number, as retransmissions have; sent on as they came
 *   replace   received at one handle, sent at another when the first has closed
 */
#include "net.h"

#define FILTER "outbound and tcp.DstPort == 4900"
#define COUNT 6

static struct packet packets[COUNT];

static void inject_segments(bool equal)
{
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 1000, FLAG_SEND_ONLY);

    for (uint32_t i = 0; i < COUNT; i++) {
        net_segment(&packets[i], CLIENT4, 40900, SERVER4, 4900, equal ? 7 : i, TCP_ACK);
        require("injection", net_send(injector, &packets[i]));
    }
    WinDivertClose(injector);
}

static void send_on(HANDLE h, struct packet *p, bool changed)
{
    if (changed) {
        net_be16(net_tcp(p) + 2, 4901);
        WinDivertHelperCalcChecksums(p->data, p->len, &p->addr, 0);
    }
    check_success("a segment is sent on", net_send(h, p));
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0), other;

    net_start();
    inject_segments(!strcmp(what, "equal"));
    for (int i = 0; i < COUNT; i++) {
        require("a segment", receive(h, &packets[i], PATIENCE_MS));
    }
    if (!strcmp(what, "replace")) {
        other = open_or_exit(FILTER, LAYER_NETWORK, -1, 0);
        WinDivertClose(h);
        h = other;
    }
    for (int i = 0; i < COUNT; i++) {
        struct packet *p = &packets[strcmp(what, "reverse") ? i : COUNT - 1 - i];

        if (strcmp(what, "keep") != 0 || i != 2) {
            send_on(h, p, !strcmp(what, "change"));
        }
        if (!strcmp(what, "repeat") && i == 2) {
            send_on(h, p, false);
        }
    }
    WinDivertClose(h);
    return check_failures != 0;
}
