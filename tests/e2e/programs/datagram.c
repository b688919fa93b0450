/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Datagrams.
 *
 *   datagram id at [reuse] [dual] [to]   a UDP socket bound to `at`; with `to` it is connected
 *   echoes id n [to]                     sends n datagrams, each after the answer to the one before or a moment without
 *                                        one; says how many answers came
 */
#include "endpoint.h"

enum { PATIENCE_MS = 1000 };

void command_datagram(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to;
    const char *to_text = command_text(c, "to", NULL);
    DWORD patience = PATIENCE_MS;
    SOCKET s = endpoint_bound(c, SOCK_DGRAM);
    bool good = s != INVALID_SOCKET &&
                setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience) == 0 &&
                (!to_text || (address_parse(to_text, &to) && connect(s, (const struct sockaddr *)&to, sizeof to) == 0));
    if (!good) {
        json_error(answer, "datagram", (unsigned)WSAGetLastError());
        closesocket(s);
        return;
    }
    endpoint_remember(c, s);
    endpoint_names(s, answer);
}

void command_echoes(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to;
    const char *to_text = command_text(c, "to", NULL);
    SOCKET s = endpoint_socket(c, "id");
    int sent = 0, came = 0;
    char got[16];
    if (to_text && !address_parse(to_text, &to)) {
        json_error(answer, "not an address", WSAEINVAL);
        return;
    }
    for (uint64_t n = command_number(c, "n", 1); n; n--) {
        sent += sendto(s, "q", 1, 0, to_text ? (const struct sockaddr *)&to : NULL, to_text ? sizeof to : 0) == 1;
        came += recv(s, got, sizeof got, 0) == 1;
    }
    json_number(answer, "sent", sent);
    json_number(answer, "came", came);
}
