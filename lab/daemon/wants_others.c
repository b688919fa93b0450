/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a filter is a list of tests, each naming the next one for success and for
 * failure. Every walk that a packet other than TCP can make is followed. Of such a packet a test of a
 * TCP field fails whatever the operator, and the fields "zero" and "tcp" are 0. Targets lead forward, so
 * once through will do; the driver refuses filters of which that is not true.
 */
#include "wants_others.h"

#include <string.h>

/* Numbers of the filter language. */
enum {
    FIELD_ZERO = 0,
    FIELD_TCP = 8,
    FIELD_TCP_SRC_PORT = 38,
    FIELD_TCP_PAYLOAD_LENGTH = 52,
    FIELD_TCP_PAYLOAD8 = 74,
    FIELD_TCP_PAYLOAD32 = 76,
};

enum { TEST_EQ, TEST_NEQ, TEST_LT, TEST_LEQ, TEST_GT };

bool wants_load(struct wants_filter *filter, const void *objects, size_t size)
{
    if (filter->count > WD_FILTER_MAX || size < filter->count * sizeof(filter->objects[0])) {
        return false;
    }
    memcpy(filter->objects, objects, filter->count * sizeof(filter->objects[0]));
    return true;
}

/* Does the test hold of a field that is 0? */
static bool zero_holds(const struct wd_filter_object *object)
{
    int order = object->negative ? 1 : object->arg[0] ? -1 : 0;

    switch (object->test) {
    case TEST_EQ:
        return order == 0;
    case TEST_NEQ:
        return order != 0;
    case TEST_LT:
        return order < 0;
    case TEST_LEQ:
        return order <= 0;
    case TEST_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

/* What the test may say of a packet that is not TCP. */
static void outcomes(const struct wd_filter_object *object, bool *may_hold, bool *may_fail)
{
    unsigned field = object->field;
    bool of_tcp = (field >= FIELD_TCP_SRC_PORT && field <= FIELD_TCP_PAYLOAD_LENGTH) ||
                  (field >= FIELD_TCP_PAYLOAD8 && field <= FIELD_TCP_PAYLOAD32);

    *may_hold = *may_fail = true;
    if (of_tcp) {
        *may_hold = false;
    } else if (field == FIELD_ZERO || field == FIELD_TCP) {
        *may_hold = zero_holds(object);
        *may_fail = !*may_hold;
    }
}

bool wants_others(const struct wants_filter *filter)
{
    bool reached[WD_FILTER_MAX] = {true};

    for (unsigned i = 0; i < filter->count; i++) {
        const struct wd_filter_object *object = &filter->objects[i];
        bool may_hold, may_fail;

        if (!reached[i]) {
            continue;
        }
        outcomes(object, &may_hold, &may_fail);
        if ((may_hold && object->success == WD_ACCEPT) || (may_fail && object->failure == WD_ACCEPT)) {
            return true;
        }
        if (may_hold && object->success < filter->count) {
            reached[object->success] = true;
        }
        if (may_fail && object->failure < filter->count) {
            reached[object->failure] = true;
        }
    }
    return false;
}
