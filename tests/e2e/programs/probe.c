/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A program with connections: member of the tree, or bystander. */
#include "endpoint.h"
#include "stream.h"

int main(int argc, char **argv)
{
    stream_init();
    return actor_main(argc, argv, endpoint_commands, NULL);
}
