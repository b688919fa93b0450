// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The fields a filter can test: numbers, layers they exist at, values they can be compared with.
#ifndef LAB_FIELD_H
#define LAB_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"

// name, number, layers (N network, W forward, F flow, S socket, R reflect), range of its argument
#define FIELD_LIST(X)                                                                                                  \
    X(ZERO, 0, AT_ALL, RANGE_MAX, 1)                                                                                   \
    X(INBOUND, 1, AT_NFS, RANGE_MAX, 1)                                                                                \
    X(OUTBOUND, 2, AT_NFS, RANGE_MAX, 1)                                                                               \
    X(IF_IDX, 3, AT_NW, RANGE_MAX, UINT32_MAX)                                                                         \
    X(SUB_IF_IDX, 4, AT_NW, RANGE_MAX, UINT32_MAX)                                                                     \
    X(IP, 5, AT_NWFS, RANGE_MAX, 1)                                                                                    \
    X(IPV6, 6, AT_NWFS, RANGE_MAX, 1)                                                                                  \
    X(ICMP, 7, AT_NWFS, RANGE_MAX, 1)                                                                                  \
    X(TCP, 8, AT_NWFS, RANGE_MAX, 1)                                                                                   \
    X(UDP, 9, AT_NWFS, RANGE_MAX, 1)                                                                                   \
    X(ICMPV6, 10, AT_NWFS, RANGE_MAX, 1)                                                                               \
    X(IP_HDR_LENGTH, 11, AT_NW, RANGE_MAX, 15)                                                                         \
    X(IP_TOS, 12, AT_NW, RANGE_MAX, 255)                                                                               \
    X(IP_LENGTH, 13, AT_NW, RANGE_MAX, UINT16_MAX)                                                                     \
    X(IP_ID, 14, AT_NW, RANGE_MAX, UINT16_MAX)                                                                         \
    X(IP_DF, 15, AT_NW, RANGE_MAX, 1)                                                                                  \
    X(IP_MF, 16, AT_NW, RANGE_MAX, 1)                                                                                  \
    X(IP_FRAG_OFF, 17, AT_NW, RANGE_MAX, 0x1fff)                                                                       \
    X(IP_TTL, 18, AT_NW, RANGE_MAX, 255)                                                                               \
    X(IP_PROTOCOL, 19, AT_NW, RANGE_MAX, 255)                                                                          \
    X(IP_CHECKSUM, 20, AT_NW, RANGE_MAX, UINT16_MAX)                                                                   \
    X(IP_SRC_ADDR, 21, AT_NW, RANGE_IPV4, 0)                                                                           \
    X(IP_DST_ADDR, 22, AT_NW, RANGE_IPV4, 0)                                                                           \
    X(IPV6_TRAFFIC_CLASS, 23, AT_NW, RANGE_MAX, 255)                                                                   \
    X(IPV6_FLOW_LABEL, 24, AT_NW, RANGE_MAX, 0xfffff)                                                                  \
    X(IPV6_LENGTH, 25, AT_NW, RANGE_MAX, UINT16_MAX)                                                                   \
    X(IPV6_NEXT_HDR, 26, AT_NW, RANGE_MAX, 255)                                                                        \
    X(IPV6_HOP_LIMIT, 27, AT_NW, RANGE_MAX, 255)                                                                       \
    X(IPV6_SRC_ADDR, 28, AT_NW, RANGE_128, 0)                                                                          \
    X(IPV6_DST_ADDR, 29, AT_NW, RANGE_128, 0)                                                                          \
    X(ICMP_TYPE, 30, AT_NW, RANGE_MAX, 255)                                                                            \
    X(ICMP_CODE, 31, AT_NW, RANGE_MAX, 255)                                                                            \
    X(ICMP_CHECKSUM, 32, AT_NW, RANGE_MAX, UINT16_MAX)                                                                 \
    X(ICMP_BODY, 33, AT_NW, RANGE_MAX, UINT32_MAX)                                                                     \
    X(ICMPV6_TYPE, 34, AT_NW, RANGE_MAX, 255)                                                                          \
    X(ICMPV6_CODE, 35, AT_NW, RANGE_MAX, 255)                                                                          \
    X(ICMPV6_CHECKSUM, 36, AT_NW, RANGE_MAX, UINT16_MAX)                                                               \
    X(ICMPV6_BODY, 37, AT_NW, RANGE_MAX, UINT32_MAX)                                                                   \
    X(TCP_SRC_PORT, 38, AT_NW, RANGE_MAX, UINT16_MAX)                                                                  \
    X(TCP_DST_PORT, 39, AT_NW, RANGE_MAX, UINT16_MAX)                                                                  \
    X(TCP_SEQ_NUM, 40, AT_NW, RANGE_MAX, UINT32_MAX)                                                                   \
    X(TCP_ACK_NUM, 41, AT_NW, RANGE_MAX, UINT32_MAX)                                                                   \
    X(TCP_HDR_LENGTH, 42, AT_NW, RANGE_MAX, 15)                                                                        \
    X(TCP_URG, 43, AT_NW, RANGE_MAX, 1)                                                                                \
    X(TCP_ACK, 44, AT_NW, RANGE_MAX, 1)                                                                                \
    X(TCP_PSH, 45, AT_NW, RANGE_MAX, 1)                                                                                \
    X(TCP_RST, 46, AT_NW, RANGE_MAX, 1)                                                                                \
    X(TCP_SYN, 47, AT_NW, RANGE_MAX, 1)                                                                                \
    X(TCP_FIN, 48, AT_NW, RANGE_MAX, 1)                                                                                \
    X(TCP_WINDOW, 49, AT_NW, RANGE_MAX, UINT16_MAX)                                                                    \
    X(TCP_CHECKSUM, 50, AT_NW, RANGE_MAX, UINT16_MAX)                                                                  \
    X(TCP_URG_PTR, 51, AT_NW, RANGE_MAX, UINT16_MAX)                                                                   \
    X(TCP_PAYLOAD_LENGTH, 52, AT_NW, RANGE_MAX, UINT16_MAX)                                                            \
    X(UDP_SRC_PORT, 53, AT_NW, RANGE_MAX, UINT16_MAX)                                                                  \
    X(UDP_DST_PORT, 54, AT_NW, RANGE_MAX, UINT16_MAX)                                                                  \
    X(UDP_LENGTH, 55, AT_NW, RANGE_MAX, UINT16_MAX)                                                                    \
    X(UDP_CHECKSUM, 56, AT_NW, RANGE_MAX, UINT16_MAX)                                                                  \
    X(UDP_PAYLOAD_LENGTH, 57, AT_NW, RANGE_MAX, UINT16_MAX)                                                            \
    X(LOOPBACK, 58, AT_NFS, RANGE_MAX, 1)                                                                              \
    X(IMPOSTOR, 59, AT_NW, RANGE_MAX, 1)                                                                               \
    X(PROCESS_ID, 60, AT_FSR, RANGE_MAX, UINT32_MAX)                                                                   \
    X(LOCAL_ADDR, 61, AT_NFS, RANGE_128, 0)                                                                            \
    X(REMOTE_ADDR, 62, AT_NFS, RANGE_128, 0)                                                                           \
    X(LOCAL_PORT, 63, AT_NFS, RANGE_MAX, UINT16_MAX)                                                                   \
    X(REMOTE_PORT, 64, AT_NFS, RANGE_MAX, UINT16_MAX)                                                                  \
    X(PROTOCOL, 65, AT_NFS, RANGE_MAX, 255)                                                                            \
    X(ENDPOINT_ID, 66, AT_FS, RANGE_64, 0)                                                                             \
    X(PARENT_ENDPOINT_ID, 67, AT_FS, RANGE_64, 0)                                                                      \
    X(LAYER, 68, AT_R, RANGE_MAX, WD_LAYERS - 1)                                                                       \
    X(PRIORITY, 69, AT_R, RANGE_SIGNED, WD_PRIORITY_MAX)                                                               \
    X(EVENT, 70, AT_ALL, RANGE_EVENT, 0)                                                                               \
    X(PACKET8, 71, AT_NW, RANGE_INDEX, UINT8_MAX)                                                                      \
    X(PACKET16, 72, AT_NW, RANGE_INDEX, UINT16_MAX)                                                                    \
    X(PACKET32, 73, AT_NW, RANGE_INDEX, UINT32_MAX)                                                                    \
    X(TCP_PAYLOAD8, 74, AT_NW, RANGE_INDEX, UINT8_MAX)                                                                 \
    X(TCP_PAYLOAD16, 75, AT_NW, RANGE_INDEX, UINT16_MAX)                                                               \
    X(TCP_PAYLOAD32, 76, AT_NW, RANGE_INDEX, UINT32_MAX)                                                               \
    X(UDP_PAYLOAD8, 77, AT_NW, RANGE_INDEX, UINT8_MAX)                                                                 \
    X(UDP_PAYLOAD16, 78, AT_NW, RANGE_INDEX, UINT16_MAX)                                                               \
    X(UDP_PAYLOAD32, 79, AT_NW, RANGE_INDEX, UINT32_MAX)                                                               \
    X(LENGTH, 80, AT_NW, RANGE_LENGTH, 0)                                                                              \
    X(TIMESTAMP, 81, AT_ALL, RANGE_SIGNED_64, 0)                                                                       \
    X(RANDOM8, 82, AT_NW, RANGE_MAX, UINT8_MAX)                                                                        \
    X(RANDOM16, 83, AT_NW, RANGE_MAX, UINT16_MAX)                                                                      \
    X(RANDOM32, 84, AT_NW, RANGE_MAX, UINT32_MAX)                                                                      \
    X(FRAGMENT, 85, AT_NW, RANGE_MAX, 1)

enum field {
#define X(name, number, layers, range, max) FIELD_##name = number,
    FIELD_LIST(X)
#undef X
        FIELD_COUNT
};

// Of how many 32-bit words are its values? Has it an index, too?
unsigned field_words(enum field field);
bool field_is_indexed(enum field field);

// May a filter of this layer contain this test?
bool field_accepts(const struct wd_filter_object *object, enum wd_layer layer);

#endif
