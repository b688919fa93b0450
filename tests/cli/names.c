/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the program reads from datagrams, alone: `names quic HEX...` the datagrams of a flow, with Windows' cryptography,
 * and `names dns HEX...`. For each it prints what was found, or "-".
 */
#include "../../cli/dns_message.h"
#include "../../cli/host_name.h"
#include "../../cli/quic_crypto.h"

#include <stdio.h>
#include <wchar.h>

enum { DATAGRAM_MAX = 2048 };

static uint32_t bytes_of(const wchar_t *hex, uint8_t out[DATAGRAM_MAX])
{
    uint32_t count = 0;
    unsigned byte;
    for (; count < DATAGRAM_MAX && swscanf(hex, L"%2x", &byte) == 1; hex += 2) {
        out[count++] = (uint8_t)byte;
    }
    return count;
}

int wmain(int argc, wchar_t **argv)
{
    const struct quic_crypto *crypto = quic_crypto_open();
    struct quic_initial *flow = crypto ? quic_initial_new(crypto) : NULL;
    if (!flow || argc < 2) {
        fprintf(stderr, "no cryptography\n");
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        uint8_t datagram[DATAGRAM_MAX];
        char text[DNS_MESSAGE_TEXT_MAX];
        uint32_t length = bytes_of(argv[i], datagram);
        bool found = argv[1][0] == 'q' ? quic_initial_server_name(datagram, length, flow, text, sizeof text)
                                       : dns_message_describe(datagram, length, text, sizeof text);
        printf("%s\n", found ? text : "-");
    }
    quic_initial_free(flow);
    quic_crypto_close(crypto);
    return 0;
}
