/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what is in the way is a bit for each family. Packets that are lost by it are counted
 * ("hindered"); what is hidden goes on its way, past the driver, and counts as passed.
 */
#include "obstacle.h"

#include <netinet/in.h>
#include <string.h>

enum { IP4 = 1, IP6 = 2 };

static const char *const names[] = {"loopback", "inbound", "hidden", "stale"};
enum { LOOPBACK, INBOUND, HIDDEN, STALE, KINDS };

static unsigned in_the_way[KINDS]; /* families */

static unsigned family_of(const struct packet *packet)
{
    return packet->ip ? IP4 : IP6;
}

static bool to_loopback(const struct packet *packet)
{
    return packet->ip ? packet->ip[16] == 127 : !memcmp(packet->ipv6 + 24, &in6addr_loopback, sizeof(in6addr_loopback));
}

bool obstacle_command(const char *command)
{
    if (!strcmp(command, "off")) {
        memset(in_the_way, 0, sizeof(in_the_way));
        return true;
    }
    for (int i = 0; i < KINDS; i++) {
        size_t length = strlen(names[i]);
        const char *rest = command + length;

        if (!strncmp(command, names[i], length) && (!*rest || !strcmp(rest, " 4") || !strcmp(rest, " 6"))) {
            in_the_way[i] |= !*rest ? IP4 | IP6 : rest[1] == '4' ? IP4 : IP6;
            return true;
        }
    }
    return false;
}

bool obstacle_takes(const struct packet *packet, bool outbound)
{
    unsigned family = family_of(packet);

    return (in_the_way[LOOPBACK] & family && outbound && to_loopback(packet)) ||
           (in_the_way[INBOUND] & family && !outbound);
}

bool obstacle_hides(const struct packet *packet)
{
    return (in_the_way[HIDDEN] | in_the_way[STALE]) & family_of(packet);
}

void obstacle_opened(void)
{
    in_the_way[STALE] = 0;
}

void obstacle_print(FILE *out)
{
    for (int i = 0; i < KINDS; i++) {
        fprintf(out, "%s\"%s\":%u", i ? "," : "{", names[i], in_the_way[i]);
    }
    fputc('}', out);
}
