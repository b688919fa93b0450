/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the program redirector shows of DNS messages.
 *
 * Input: a byte for the room there is for the text, and the message. What must hold: nothing behind the message is read,
 * nothing behind the room written; the text is printable ASCII, ends with NUL, and is empty if there is no message; with
 * less room it is the same text up to where "..." stands for the rest. And which addresses a name has by them: so many at
 * most, each of a family, of a name of small letters that is in the text.
 */
#include "fuzz.h"

#include "../cli/dns_addresses.h"
#include "../cli/dns_message.h"

static void check_addresses(const uint8_t *message, uint32_t length, bool good)
{
    enum { MOST = 5 };
    redirector_address *found = malloc(MOST * sizeof *found);
    char name[DNS_HOST_MAX];
    uint16_t id;
    MUST(found);
    uint32_t count = dns_addresses(message, length, name, found, MOST);
    MUST(count <= MOST && (!count || (good && dns_id(message, length, true, &id))));
    for (uint32_t i = 0; i < count; i++) {
        MUST(found[i].family == 4 || found[i].family == 6);
        MUST(*name && strlen(name) <= 253 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name));
    }
    free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return -1;
    }
    uint32_t length = (uint32_t)size - 1, room = data[0];
    uint8_t *message = exact_copy(data + 1, length);
    char whole[8192], *text = malloc(room ? room : 1);
    MUST(text);
    bool good = dns_message_describe(message, length, whole, sizeof whole);
    bool fits = dns_message_describe(message, length, text, room);
    MUST(good ? whole[0] != '\0' : whole[0] == '\0');
    for (const char *c = whole; *c; c++) {
        MUST(*c >= ' ' && *c <= '~');
    }
    MUST(fits == (good && room >= DNS_MESSAGE_TEXT_LEAST));
    if (fits) {
        size_t used = strnlen(text, room);
        MUST(used < room);
        if (strcmp(text, whole) != 0) {
            MUST(used >= 3 && !strcmp(text + used - 3, "...") && !memcmp(text, whole, used - 3));
        }
    }
    check_addresses(message, length, good);
    free(text);
    free(message);
    return 0;
}
