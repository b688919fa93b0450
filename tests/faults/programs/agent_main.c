/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A program that redirects: the tests' agent, with what faults.h lists; with SCARCE, its library runs out of things. */
#include "endpoint.h"
#include "faults.h"
#include "proxy.h"
#include "stream.h"

enum { COMMANDS = 64 };

static const struct command_entry commands[] = {
    {"resources", command_resources}, {"tell", command_tell},   {"told", command_told},
    {"tell_end", command_tell_end},   {"storm", command_storm}, {NULL, NULL},
};

/* actor_main() takes two tables. */
static const struct command_entry *joined(const struct command_entry *const tables[], int count)
{
    static struct command_entry all[COMMANDS + 1];
    int at = 0;
    for (int i = 0; i < count; i++) {
        for (const struct command_entry *entry = tables[i]; entry->name && at < COMMANDS; entry++) {
            all[at++] = *entry;
        }
    }
    return all;
}

int main(int argc, char **argv)
{
    const struct command_entry *const tables[] = {
        agent_commands,
        commands,
#ifdef SCARCE
        scarce_commands,
#endif
    };
    stream_init();
    return actor_main(argc, argv, endpoint_commands, joined(tables, (int)(sizeof tables / sizeof *tables)));
}
