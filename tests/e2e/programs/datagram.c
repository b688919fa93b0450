/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Datagrams.
 *
 *   datagram id at [reuse] [dual] [to] [patience_ms]
 *                              a UDP socket bound to `at`; port "any": not bound at all, of that family; with `to` it is connected
 *   redirect_datagram id to    connects it to another peer
 *   tell_datagrams id n size [to] [step]  sends n datagrams of `size` bytes of the stream, and waits for nothing; with `step`
 *                              each to a port that is so much above the one before
 *   hear id [answer]           waits for a datagram; with `answer` sends it back
 *   ask id n size [to]         sends n to each of `to` (several with commas between them), each after the answer to the one
 *                              before, which has to have the same bytes; who answered, and the last error
 *   tell_once n to             sends n datagrams of one byte, each from a socket of its own that is closed at once
 *   echoes id n [to]           sends n datagrams of one byte, each after the answer to the one before or a moment without
 *                              one; says how many answers came
 */
#include "endpoint.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 5000, OTHER_BYTES = -1, DATAGRAM_MAX = 65536, PEERS = 64 };

/* The port "any" is none: nothing is bound. */
static SOCKET make_socket(const struct command *c)
{
    const char *at = command_text(c, "at", "");
    DWORD both = 0;
    if (!strstr(at, "/any")) {
        return endpoint_bound(c, SOCK_DGRAM);
    }
    SOCKET s = socket(strchr(at, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (s != INVALID_SOCKET && command_number(c, "dual", 0)) {
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&both, sizeof both);
    }
    return s;
}

void command_datagram(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to;
    const char *to_text = command_text(c, "to", NULL);
    DWORD patience = (DWORD)command_number(c, "patience_ms", PATIENCE_MS);
    BOOL yes = TRUE;
    SOCKET s = make_socket(c);
    bool good = s != INVALID_SOCKET &&
                setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience) == 0 &&
                setsockopt(s, SOL_SOCKET, SO_BROADCAST, (const char *)&yes, sizeof yes) == 0 &&
                (!to_text || (address_parse(to_text, &to) && connect(s, (const struct sockaddr *)&to, sizeof to) == 0));
    if (!good) {
        json_error(answer, "datagram", (unsigned)WSAGetLastError());
        closesocket(s);
        return;
    }
    endpoint_remember(c, s);
    endpoint_names(s, answer);
}

void command_redirect_datagram(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to;
    SOCKET s = endpoint_socket(c, "id");
    if (!address_parse(command_text(c, "to", ""), &to) || connect(s, (const struct sockaddr *)&to, sizeof to) != 0) {
        json_error(answer, "connect", (unsigned)WSAGetLastError());
        return;
    }
    endpoint_names(s, answer);
}

/* `to` NULL: to where the socket is connected. */
static bool send_one(SOCKET s, const struct sockaddr_storage *to, const char *data, int size)
{
    return sendto(s, data, size, 0, (const struct sockaddr *)to, to ? sizeof *to : 0) == size;
}

/* An answer with the same bytes; who has sent it. */
static bool hear_back(SOCKET s, const char *data, int size, char *room, char from_text[ADDRESS_TEXT_MAX])
{
    struct sockaddr_storage from;
    int length = sizeof from, got = recvfrom(s, room, DATAGRAM_MAX, 0, (struct sockaddr *)&from, &length);
    if (got < 0) {
        return false;
    }
    address_text(&from, from_text);
    WSASetLastError(OTHER_BYTES);
    return got == size && memcmp(room, data, (size_t)size) == 0;
}

/* The addresses of `to`; how many. */
static int destinations_of(const struct command *c, struct sockaddr_storage out[PEERS])
{
    char text[COMMAND_LINE_MAX], *rest = text;
    int count = 0;
    strncpy(text, command_text(c, "to", ""), sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (char *word = strtok_s(rest, ",", &rest); word && count < PEERS; word = strtok_s(NULL, ",", &rest)) {
        count += address_parse(word, &out[count]);
    }
    return count;
}

void command_ask(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to[PEERS];
    char from[ADDRESS_TEXT_MAX];
    char *data = malloc(2 * DATAGRAM_MAX);
    SOCKET s = endpoint_socket(c, "id");
    int size = (int)command_number(c, "size", 1), came = 0, code = 0, count = destinations_of(c, to);
    json_open(answer, "from", '[');
    for (uint64_t i = 0, n = command_number(c, "n", 1); data && i < n; i++) {
        for (int k = 0; k < (count ? count : 1); k++) {
            stream_fill(command_number(c, "seed", 1) & 0xffffffff, i + (uint64_t)k, data, (size_t)size);
            if (send_one(s, count ? &to[k] : NULL, data, size) && hear_back(s, data, size, data + DATAGRAM_MAX, from)) {
                json_string(answer, NULL, from);
                came++;
            } else {
                code = WSAGetLastError();
            }
        }
    }
    json_close(answer, ']');
    json_number(answer, "came", came);
    json_number(answer, "code", code);
    endpoint_names(s, answer);
    free(data);
}

void command_tell_datagrams(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to[PEERS];
    char *data = calloc(1, DATAGRAM_MAX);
    int count = destinations_of(c, to), sent = 0;
    uint16_t step = (uint16_t)command_number(c, "step", 0);
    for (uint64_t n = command_number(c, "n", 1); data && n; n--) {
        sent += send_one(endpoint_socket(c, "id"), count ? to : NULL, data, (int)command_number(c, "size", 1));
        if (count) {
            struct sockaddr_in *in = (struct sockaddr_in *)to; /* of IPv6 it is in the same place */
            in->sin_port = htons((uint16_t)(ntohs(in->sin_port) + step));
        }
    }
    json_number(answer, "sent", sent);
    free(data);
}

void command_hear(const struct command *c, struct json *answer)
{
    struct sockaddr_storage from;
    char text[ADDRESS_TEXT_MAX], *data = malloc(DATAGRAM_MAX);
    SOCKET s = endpoint_socket(c, "id");
    int length = sizeof from;
    int got = data ? recvfrom(s, data, DATAGRAM_MAX, 0, (struct sockaddr *)&from, &length) : -1;
    json_number(answer, "code", got < 0 ? WSAGetLastError() : 0);
    json_number(answer, "bytes", got);
    if (got >= 0) {
        json_string(answer, "from", address_text(&from, text));
        if (command_number(c, "answer", 0)) {
            send_one(s, &from, data, got);
        }
    }
    free(data);
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

void command_tell_once(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to;
    long long sent = 0, n = command_number(c, "n", 1);
    if (!address_parse(command_text(c, "to", ""), &to)) {
        json_error(answer, "not an address", WSAEINVAL);
        return;
    }
    for (long long i = 0; i < n; i++) {
        SOCKET s = socket(to.ss_family, SOCK_DGRAM, 0);
        sent += s != INVALID_SOCKET && sendto(s, "x", 1, 0, (const struct sockaddr *)&to, sizeof to) == 1;
        closesocket(s);
    }
    json_number(answer, "sent", sent);
}
