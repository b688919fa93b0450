// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: one table, made from FIELD_LIST, says for each field where it exists and
// what its argument may be; field_accepts looks it up. Arguments are 128-bit numbers with a sign.
#include "field.h"

enum {
    AT_N = 1 << WD_NETWORK,
    AT_W = 1 << WD_NETWORK_FORWARD,
    AT_F = 1 << WD_FLOW,
    AT_S = 1 << WD_SOCKET,
    AT_R = 1 << WD_REFLECT,
    AT_NW = AT_N | AT_W,
    AT_FS = AT_F | AT_S,
    AT_NFS = AT_N | AT_FS,
    AT_NWFS = AT_NW | AT_FS,
    AT_FSR = AT_FS | AT_R,
    AT_ALL = AT_NWFS | AT_R,
};

enum range {
    RANGE_MAX,       // 0..max
    RANGE_LENGTH,    // of a whole packet
    RANGE_IPV4,      // mapped form only
    RANGE_64,        // any unsigned 64-bit number
    RANGE_128,       // anything
    RANGE_EVENT,     // an event of the layer
    RANGE_INDEX,     // 0..max, with a byte index in arg[1]
    RANGE_SIGNED,    // -max..max
    RANGE_SIGNED_64, // any signed 64-bit number
};

static const struct {
    uint8_t layers;
    uint8_t range;
    uint32_t max;
} fields[] = {
#define X(name, number, layers, range, max) [number] = {layers, range, max},
    FIELD_LIST(X)
#undef X
};

_Static_assert(sizeof(fields) / sizeof(fields[0]) == FIELD_COUNT, "one row per field");

static bool event_of_layer(uint32_t event, enum wd_layer layer)
{
    static const struct {
        uint8_t first, last;
    } events[WD_LAYERS] = {
        [WD_NETWORK] = {WD_NETWORK_PACKET, WD_NETWORK_PACKET},
        [WD_NETWORK_FORWARD] = {WD_NETWORK_PACKET, WD_NETWORK_PACKET},
        [WD_FLOW] = {WD_FLOW_ESTABLISHED, WD_FLOW_DELETED},
        [WD_SOCKET] = {WD_SOCKET_BIND, WD_SOCKET_CLOSE},
        [WD_REFLECT] = {WD_REFLECT_OPEN, WD_REFLECT_CLOSE},
    };

    return event >= events[layer].first && event <= events[layer].last;
}

unsigned field_words(enum field field)
{
    switch ((enum range)fields[field].range) {
    case RANGE_128:
        return 4;
    case RANGE_64:
    case RANGE_SIGNED_64:
        return 2;
    default:
        return 1;
    }
}

bool field_is_indexed(enum field field)
{
    return fields[field].range == RANGE_INDEX;
}

bool field_accepts(const struct wd_filter_object *object, enum wd_layer layer)
{
    const uint32_t *arg = object->arg;
    bool high_zero = arg[2] == 0 && arg[3] == 0;
    uint32_t max;
    int32_t index;

    if (object->field >= FIELD_COUNT || !(fields[object->field].layers & 1 << layer))
        return false;
    max = fields[object->field].max;
    if (object->negative) {
        if (fields[object->field].range == RANGE_SIGNED_64)
            return high_zero && (arg[0] || arg[1]);
        return fields[object->field].range == RANGE_SIGNED && high_zero && arg[1] == 0 && arg[0] != 0 && arg[0] <= max;
    }
    switch ((enum range)fields[object->field].range) {
    case RANGE_MAX:
    case RANGE_SIGNED:
        return high_zero && arg[1] == 0 && arg[0] <= max;
    case RANGE_LENGTH:
        return high_zero && arg[1] == 0 && arg[0] >= 20 && arg[0] <= WD_PACKET_MAX;
    case RANGE_IPV4:
        return high_zero && arg[1] == 0xffff;
    case RANGE_64:
    case RANGE_SIGNED_64:
        return high_zero;
    case RANGE_128:
        return true;
    case RANGE_EVENT:
        return high_zero && arg[1] == 0 && event_of_layer(arg[0], layer);
    case RANGE_INDEX:
        index = (int32_t)arg[1];
        return high_zero && arg[0] <= max && index >= -WD_PACKET_MAX && index <= WD_PACKET_MAX;
    }
    return false;
}
