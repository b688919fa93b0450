/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the host's name is in the first data that the program sends. Usually the first segment has it;
 * if it is incomplete (a long ClientHello comes in two), segments are joined, up to the size within which a name must
 * be.
 */
#include "relay_conn_internal.h"

#include "host_name.h"

#include <stdlib.h>
#include <string.h>

enum { HEARD_MAX = 8192 };

void relay_name_heard(struct relay_conn *conn, const char *data, size_t size)
{
    const uint8_t *all = (const uint8_t *)data;
    char name[HOST_NAME_MAX_BYTES];
    if (!conn->name_wanted) {
        return;
    }
    if (conn->heard) {
        size = size < HEARD_MAX - conn->heard_size ? size : HEARD_MAX - conn->heard_size;
        memcpy(conn->heard + conn->heard_size, data, size);
        size = conn->heard_size += size;
        all = conn->heard;
    }
    enum host_name_result result = host_name_find(all, size, name);
    if (result == HOST_NAME_FOUND) {
        report_host(conn->host->report, conn->entry, name);
    }
    if (result == HOST_NAME_MORE && !conn->heard && size < HEARD_MAX) {
        conn->heard = malloc(HEARD_MAX);
        if (conn->heard) {
            memcpy(conn->heard, data, size);
            conn->heard_size = size;
        }
    }
    conn->name_wanted = result == HOST_NAME_MORE && conn->heard && conn->heard_size < HEARD_MAX;
    if (!conn->name_wanted) {
        free(conn->heard);
        conn->heard = NULL;
    }
}
