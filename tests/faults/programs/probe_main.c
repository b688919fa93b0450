/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A program with connections: the tests' probe, with what faults.h lists. */
#include "endpoint.h"
#include "faults.h"
#include "stream.h"

static const struct command_entry commands[] = {
    {"resources", command_resources},
    {"churn", command_churn},
    {"churned", command_churned},
    {"churn_end", command_churn_end},
    {"rewrite", command_rewrite},
    {"rewrite_end", command_rewrite_end},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    stream_init();
    return actor_main(argc, argv, endpoint_commands, commands);
}
