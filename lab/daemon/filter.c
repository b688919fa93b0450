// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: a filter is a list of tests, each naming the next one for success and for
// failure; both only lead forward, so a walk ends. A test fetches the field's value, as a 128-bit
// number with a sign, and compares. A field of a header that the packet has not fails the test
// whatever the operator; so "tcp.DstPort != 80" is false for UDP.
#include "filter.h"

#include <string.h>

#include "field.h"
#include "value.h"

enum { TEST_EQ, TEST_NEQ, TEST_LT, TEST_LEQ, TEST_GT, TEST_GEQ, TEST_COUNT };

static bool target_legal(unsigned target, unsigned from, unsigned count)
{
    return target == WD_ACCEPT || target == WD_REJECT || (target > from && target < count);
}

bool filter_load(struct filter *filter, const void *objects, size_t size, enum wd_layer layer)
{
    size_t count = size / sizeof(filter->objects[0]);

    filter->count = 0;
    if (size % sizeof(filter->objects[0]) || count < 1 || count > WD_FILTER_MAX)
        return false;
    memcpy(filter->objects, objects, size);
    for (unsigned i = 0; i < count; i++) {
        const struct wd_filter_object *object = &filter->objects[i];

        if (object->test >= TEST_COUNT || !target_legal(object->success, i, (unsigned)count) ||
            !target_legal(object->failure, i, (unsigned)count) || !field_accepts(object, layer))
            return false;
    }
    filter->count = (unsigned)count;
    return true;
}

// Values of at most 32 bits are compared by word 0 alone: the second word of an index field's
// argument is the index.
static bool is_wide(enum field field)
{
    switch (field) {
    case FIELD_IP_SRC_ADDR:
    case FIELD_IP_DST_ADDR:
    case FIELD_IPV6_SRC_ADDR:
    case FIELD_IPV6_DST_ADDR:
    case FIELD_LOCAL_ADDR:
    case FIELD_REMOTE_ADDR:
    case FIELD_ENDPOINT_ID:
    case FIELD_PARENT_ENDPOINT_ID:
    case FIELD_TIMESTAMP:
        return true;
    default:
        return false;
    }
}

static int compare(const struct value *value, const struct wd_filter_object *object)
{
    int result = 0;

    if (value->negative != object->negative)
        return value->negative ? -1 : 1;
    for (int i = is_wide(object->field) ? 3 : 0; i >= 0 && result == 0; i--) {
        if (value->words[i] != object->arg[i])
            result = value->words[i] < object->arg[i] ? -1 : 1;
    }
    return value->negative ? -result : result;
}

static bool order_holds(int order, unsigned test)
{
    switch (test) {
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

static bool test_holds(const struct wd_filter_object *object, const struct wd_address *address,
                       const struct packet *packet)
{
    struct value value = {0};

    return value_fetch(&value, object, address, packet) && order_holds(compare(&value, object), object->test);
}

// What the test may say of a packet that is not TCP.
static void others_outcomes(const struct wd_filter_object *object, bool *may_hold, bool *may_fail)
{
    enum field field = object->field;
    bool always_zero = field == FIELD_ZERO || field == FIELD_TCP;
    bool of_tcp = (field >= FIELD_TCP_SRC_PORT && field <= FIELD_TCP_PAYLOAD_LENGTH) ||
                  (field >= FIELD_TCP_PAYLOAD8 && field <= FIELD_TCP_PAYLOAD32);
    struct value zero = {0};

    *may_hold = *may_fail = true;
    if (of_tcp)
        *may_hold = false;
    else if (always_zero && order_holds(compare(&zero, object), object->test))
        *may_fail = false;
    else if (always_zero)
        *may_hold = false;
}

// Follows every walk that such a packet can make; targets lead forward, so once through will do.
bool filter_wants_others(const struct filter *filter)
{
    bool reached[WD_FILTER_MAX] = {true};

    for (unsigned i = 0; i < filter->count; i++) {
        const struct wd_filter_object *object = &filter->objects[i];
        bool may_hold, may_fail;

        if (!reached[i])
            continue;
        others_outcomes(object, &may_hold, &may_fail);
        if ((may_hold && object->success == WD_ACCEPT) || (may_fail && object->failure == WD_ACCEPT))
            return true;
        if (may_hold && object->success < filter->count)
            reached[object->success] = true;
        if (may_fail && object->failure < filter->count)
            reached[object->failure] = true;
    }
    return false;
}

bool filter_match(const struct filter *filter, const struct wd_address *address, const struct packet *packet)
{
    unsigned at = 0;

    while (at < filter->count) {
        const struct wd_filter_object *object = &filter->objects[at];

        at = test_holds(object, address, packet) ? object->success : object->failure;
    }
    return at == WD_ACCEPT;
}
