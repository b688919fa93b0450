/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * One program for every part in a measurement: client, proxy, agent and bare loop. It can what the tests' agent can
 * (see tests/e2e/programs), and the commands of pass.c, load.c and forward.c.
 */
#include "bench.h"

#include "endpoint.h"
#include "proxy.h"
#include "stream.h"

uint64_t bench_now_us(void)
{
    LARGE_INTEGER frequency, now;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    uint64_t f = (uint64_t)frequency.QuadPart, n = (uint64_t)now.QuadPart;
    return n / f * 1000000 + n % f * 1000000 / f;
}

int main(int argc, char **argv)
{
    enum { ENTRIES = 64 };
    static struct command_entry all[ENTRIES];
    const struct command_entry *tables[] = {agent_commands, pass_commands, load_commands, forward_commands};
    int count = 0;
    for (int i = 0; i < (int)(sizeof tables / sizeof tables[0]); i++) {
        for (const struct command_entry *e = tables[i]; e->name && count < ENTRIES - 1; e++) {
            all[count++] = *e;
        }
    }
    stream_init();
    return actor_main(argc, argv, endpoint_commands, all);
}
