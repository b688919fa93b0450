/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The first bytes of a connection, in which the program redirector looks for the name of the host.
 *
 * Input: a byte that says where the bytes are cut, as by a network, and the bytes. What must hold: nothing behind them
 * is read; a name has only characters that host names have; what was found in a part is found in the whole.
 */
#include "fuzz.h"

#include "../cli/host_name.h"

static enum host_name_result find(const uint8_t *bytes, size_t size, char name[HOST_NAME_MAX_BYTES])
{
    uint8_t *exact = exact_copy(bytes, size);
    memset(name, 0, HOST_NAME_MAX_BYTES);
    enum host_name_result result = host_name_find(exact, size, name);
    free(exact);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
    char whole[HOST_NAME_MAX_BYTES], part[HOST_NAME_MAX_BYTES];
    if (size < 2) {
        return -1;
    }
    size_t length = size - 1, cut = data[0] % (length + 1);
    enum host_name_result result = find(data + 1, length, whole), before = find(data + 1, cut, part);
    if (result == HOST_NAME_FOUND) {
        size_t end = strnlen(whole, sizeof whole);
        MUST(end > 0 && end < sizeof whole && strspn(whole, allowed) == end);
    }
    MUST(before != HOST_NAME_FOUND || (result == HOST_NAME_FOUND && !strcmp(whole, part)));
    return 0;
}
