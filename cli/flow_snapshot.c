/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The count may grow between asking for it and listing; there is some room for that, and `whole` says if it was enough. */
#include "flow_snapshot.h"

#include <stdlib.h>

enum { SLACK = 64 };

redirector_flow *flow_snapshot(redirector *r, uint32_t *count, bool *whole)
{
    uint32_t total = 0;
    if (redirector_list_flows(r, NULL, 0, &total) != REDIRECTOR_OK) {
        return NULL;
    }
    uint32_t capacity = total + SLACK;
    redirector_flow *flows = calloc(capacity, sizeof *flows);
    if (!flows) {
        return NULL;
    }
    flows[0].size = sizeof flows[0];
    if (redirector_list_flows(r, flows, capacity, &total) != REDIRECTOR_OK) {
        free(flows);
        return NULL;
    }
    *whole = total <= capacity;
    *count = *whole ? total : capacity;
    return flows;
}
