/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A program that redirects: what the probe can, and a proxy, and the library. */
#include "proxy.h"
#include "endpoint.h"
#include "stream.h"

int main(int argc, char **argv)
{
    stream_init();
    return actor_main(argc, argv, endpoint_commands, agent_commands);
}
