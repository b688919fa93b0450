/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The process that doctor starts: it connects, and hears a word; then it sends a datagram, and hears it again. */
#include "doctor_other.h"

#include "address.h"
#include "relay_socket.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORD_MS = 5000,  /* for the word to arrive */
    AGAIN_MS = 1000, /* a datagram is sent again: it may be lost */
    REFUSED_MS = 200,
};

const char doctor_word[] = "redirected";

bool doctor_is_ready(SOCKET s, ULONGLONG until)
{
    ULONGLONG now = GetTickCount64();
    long left = now < until ? (long)(until - now) : 0;
    struct timeval patience = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(s, &readable);
    return select(0, &readable, NULL, NULL, &patience) == 1;
}

static bool is_word(const char *got, size_t size)
{
    return size == strlen(doctor_word) && memcmp(got, doctor_word, size) == 0;
}

static bool hear(SOCKET s)
{
    char got[sizeof doctor_word - 1];
    size_t used = 0;
    ULONGLONG until = GetTickCount64() + WORD_MS;
    while (used < sizeof got && doctor_is_ready(s, until)) {
        int count = recv(s, got + used, (int)(sizeof got - used), 0);
        if (count <= 0) {
            return false;
        }
        used += (size_t)count;
    }
    return is_word(got, used);
}

static bool hear_datagram(SOCKET s)
{
    char got[DOCTOR_WORD_MAX];
    int size = 0;
    ULONGLONG now = GetTickCount64(), until = now + WORD_MS;
    for (; now < until && !is_word(got, (size_t)size); now = GetTickCount64()) {
        send(s, doctor_word, (int)strlen(doctor_word), 0);
        ULONGLONG again = min(now + AGAIN_MS, until);
        size = doctor_is_ready(s, again) ? recv(s, got, sizeof got, 0) : 0;
        if (size < 0) { /* for instance: nothing receives there */
            size = 0;
            Sleep(REFUSED_MS);
        }
    }
    return is_word(got, (size_t)size);
}

static bool try_one(SOCKET s, const struct sockaddr_storage *to, int to_size, bool (*hears)(SOCKET s))
{
    bool good = s != INVALID_SOCKET && connect(s, (const struct sockaddr *)to, to_size) == 0 && hears(s);
    if (s != INVALID_SOCKET) {
        closesocket(s);
    }
    return good;
}

DWORD doctor_connect_command(wchar_t **arguments)
{
    redirector_address to = {.family = 4};
    struct sockaddr_storage address;
    WSADATA data;
    char text[ADDRESS_TEXT_MAX];
    if (!arguments[0] || !arguments[1] || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return EXIT_USAGE;
    }
    text_copy_utf8(text, sizeof text, arguments[0]);
    to.family = strchr(text, ':') ? 6 : 4;
    to.port = (uint32_t)wcstoul(arguments[1], NULL, 10);
    if (inet_pton(to.family == 6 ? AF_INET6 : AF_INET, text, to.bytes) != 1) {
        return EXIT_USAGE;
    }
    int size = address_to_sockaddr(&to, &address);
    DWORD status = EXIT_FOUND_WRONG;
    if (try_one(relay_socket(address.ss_family), &address, size, hear)) {
        bool good = !arguments[2] || try_one(relay_datagram_socket(address.ss_family, DOCTOR_RECEIVE_BUFFER), &address,
                                             size, hear_datagram);
        status = good ? 0 : DOCTOR_NO_DATAGRAM;
    }
    WSACleanup();
    return status;
}
