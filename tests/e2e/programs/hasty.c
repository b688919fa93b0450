/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A program that connects before it does anything else, and is gone as soon as it has its answer.
 *
 * usage: hasty ADDRESS/PORT PATH
 *
 * Writes who it was to the file: {"pid":N,"port":N}, the local port. Exit code 0: its 100 bytes came back.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 100 };

static int parse(const char *text, struct sockaddr_storage *out)
{
    char host[48];
    const char *slash = strchr(text, '/');
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    snprintf(host, sizeof host, "%.*s", (int)(slash - text), text);
    int six = strchr(host, ':') != NULL;
    out->ss_family = six ? AF_INET6 : AF_INET;
    v4->sin_port = htons((u_short)atoi(slash + 1)); /* the same place in both */
    inet_pton(out->ss_family, host, six ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr);
    return six ? sizeof *v6 : sizeof *v4;
}

static int echoed(SOCKET s)
{
    char sent[BYTES], got[BYTES];
    int done = 0, part = 1;
    for (int i = 0; i < BYTES; i++) {
        sent[i] = (char)(i * 7 + 1);
    }
    if (send(s, sent, BYTES, 0) != BYTES) {
        return 0;
    }
    while (done < BYTES && (part = recv(s, got + done, BYTES - done, 0)) > 0) {
        done += part;
    }
    return done == BYTES && memcmp(sent, got, BYTES) == 0;
}

int main(int argc, char **argv)
{
    WSADATA winsock;
    struct sockaddr_storage to = {0}, local = {0};
    WSAStartup(MAKEWORD(2, 2), &winsock);
    if (argc != 3) {
        return 2;
    }
    int length = parse(argv[1], &to);
    SOCKET s = socket(to.ss_family, SOCK_STREAM, IPPROTO_TCP);
    if (connect(s, (struct sockaddr *)&to, length) != 0) {
        return 3;
    }
    length = sizeof local;
    getsockname(s, (struct sockaddr *)&local, &length);
    FILE *out = fopen(argv[2], "wb");
    if (!out) {
        return 4;
    }
    fprintf(out, "{\"pid\":%lu,\"port\":%u}\n", GetCurrentProcessId(), ntohs(((struct sockaddr_in *)&local)->sin_port));
    fclose(out);
    return echoed(s) ? 0 : 5;
}
