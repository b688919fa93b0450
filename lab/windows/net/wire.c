/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: two connections to the daemon (wire.h). A thread reads `traffic`; what the records
 * ask for is done on it: packets and events go through the layers in the order in which they came. What is
 * written is collected in one buffer, by all threads, and sent as one message when somebody flushes.
 * `calls` is a question and its answer, one at a time.
 *
 * End of file on either means that the daemon is gone. Both are shut down; the reading thread notices, lets
 * all that hung on the daemon end, and ends. The next CREATE connects anew.
 */
#include "net.h"

#include <string.h>

#include "../runtime/linux.h"
#include "../runtime/thread.h"

enum { LINUX_SETSOCKOPT = 54, LINUX_SOL_SOCKET = 1, LINUX_SO_SNDBUFFORCE = 32, SEND_BUFFER = 8 << 20 };

struct lab_settings net_settings;

static struct mutex open_lock, call_lock, out_lock;
static volatile bool connected;
static int traffic = -1, calls = -1;
static void *reader;
static uint8_t in[LAB_MESSAGE_MAX] __attribute__((aligned(8)));
static uint8_t out[LAB_MESSAGE_MAX] __attribute__((aligned(8)));
static uint32_t out_length;

static void disconnect(void)
{
    connected = false;
    linux_call(LINUX_SHUTDOWN, traffic, LINUX_SHUT_RDWR, 0, 0);
    linux_call(LINUX_SHUTDOWN, calls, LINUX_SHUT_RDWR, 0, 0);
}

/* Packets in a row may go through the layers together; anything else waits until they have. */
static void take_record(const struct lab_head *head)
{
    if (head->type == LAB_PACKET) {
        packets_take((const struct lab_packet *)head);
        return;
    }
    packets_end();
    switch (head->type) {
    case LAB_ALE:
        ale_take((const struct lab_ale *)head);
        break;
    case LAB_FAULT:
        requests_fault((const struct lab_fault *)head);
        break;
    case LAB_SETTINGS:
        net_settings = *(const struct lab_settings *)head;
        break;
    case LAB_ADDRESSES:
        addresses_set((const struct lab_addresses *)head);
        break;
    case LAB_UNLOAD:
        requests_unload();
        break;
    case LAB_QUERY:
        requests_tell_states();
        wire_put(head, NULL, 0);
        break;
    default:
        lab_log("wire: a record of unknown type %u", head->type);
    }
}

static uint32_t least_size(uint32_t type)
{
    switch (type) {
    case LAB_PACKET:
        return sizeof(struct lab_packet);
    case LAB_ALE:
        return sizeof(struct lab_ale);
    case LAB_FAULT:
        return sizeof(struct lab_fault);
    case LAB_SETTINGS:
        return sizeof(struct lab_settings);
    case LAB_ADDRESSES:
        return sizeof(struct lab_addresses);
    case LAB_QUERY:
        return sizeof(struct lab_query);
    default:
        return sizeof(struct lab_head);
    }
}

static void take_message(uint32_t length)
{
    for (uint32_t at = 0; at + sizeof(struct lab_head) <= length;) {
        const struct lab_head *head = (const struct lab_head *)(in + at);

        if (head->size < least_size(head->type) || head->size > length - at) {
            lab_log("wire: a record of type %u has %u bytes of %u", head->type, head->size, length - at);
            break;
        }
        take_record(head);
        at += lab_padded(head->size);
    }
    packets_end();
    wire_flush();
}

static void read_traffic(void *context)
{
    int64_t length;

    (void)context;
    /*
     * What a packet completes is not waited for here either: wineserver may stand still until the answer to a
     * veto, and the question comes behind the packet.
     */
    completions_defer();
    while ((length = linux_read(traffic, in, sizeof(in))) > 0) {
        take_message((uint32_t)length);
    }
    completions_resume();
    disconnect();
    ale_end_all();
    addresses_forget();
    memset(&net_settings, 0, sizeof(net_settings));
    requests_wire_lost();
}

static int connect_as(uint32_t type)
{
    struct lab_head hello = {type, sizeof(hello)};
    int fd = linux_connect(LAB_SOCKET_NAME, sizeof(LAB_SOCKET_NAME) - 1);
    int32_t buffer = SEND_BUFFER;

    if (fd < 0) {
        return -1;
    }
    linux_call6(LINUX_SETSOCKOPT, fd, LINUX_SOL_SOCKET, LINUX_SO_SNDBUFFORCE, (int64_t)&buffer, sizeof(buffer), 0);
    if (linux_write(fd, &hello, sizeof(hello)) != sizeof(hello)) {
        linux_close(fd);
        return -1;
    }
    return fd;
}

/* Waits until the reader of the last connection has ended, then frees what that held. */
static void release(void)
{
    thread_join(reader);
    reader = NULL;
    if (traffic >= 0) {
        linux_close(traffic);
    }
    if (calls >= 0) {
        linux_close(calls);
    }
    traffic = calls = -1;
    out_length = 0;
}

static bool open_locked(void)
{
    if (connected) {
        return true;
    }
    release();
    traffic = connect_as(LAB_HELLO_TRAFFIC);
    if (traffic >= 0) {
        calls = connect_as(LAB_HELLO_CALLS);
    }
    if (calls < 0) {
        release();
        return false;
    }
    connected = true;
    reader = thread_start(read_traffic, NULL);
    if (!reader) {
        connected = false;
        release();
    } else if (!addresses_wait()) {
        lab_log("wire: the daemon has not told the host's addresses");
    }
    return connected;
}

bool wire_open(void)
{
    bool open;

    mutex_lock(&open_lock);
    open = open_locked();
    mutex_unlock(&open_lock);
    return open;
}

void wire_close(void)
{
    mutex_lock(&open_lock);
    if (connected) {
        disconnect();
    }
    release();
    mutex_unlock(&open_lock);
}

static void flush_locked(void)
{
    if (out_length > 0 && connected && linux_write(traffic, out, out_length) != out_length) {
        disconnect();
    }
    out_length = 0;
}

void wire_put(const void *record, const void *data, uint32_t length)
{
    const struct lab_head *given = record;
    uint32_t whole = given->size + length;
    struct lab_head *head;

    if (lab_padded(whole) > sizeof(out)) {
        return;
    }
    mutex_lock(&out_lock);
    if (connected) {
        if (out_length + lab_padded(whole) > sizeof(out)) {
            flush_locked();
        }
        head = (struct lab_head *)(out + out_length);
        memcpy(head, record, given->size);
        if (length) {
            memcpy((uint8_t *)head + given->size, data, length);
        }
        head->size = whole;
        out_length += lab_padded(whole);
    }
    mutex_unlock(&out_lock);
}

void wire_flush(void)
{
    mutex_lock(&out_lock);
    flush_locked();
    mutex_unlock(&out_lock);
}

bool wire_call(void *record, const void *data, uint32_t length)
{
    const struct lab_head *given = record;
    uint32_t size = given->size, whole = size + length;
    struct lab_head *message = lab_allocate(whole);
    bool done = false;

    if (!message) {
        return false;
    }
    memcpy(message, record, size);
    if (length) {
        memcpy((uint8_t *)message + size, data, length);
    }
    message->size = whole;
    mutex_lock(&call_lock);
    if (connected) {
        done = linux_write(calls, message, whole) == whole && linux_read(calls, record, size) > 0;
        if (!done) {
            disconnect();
        }
    }
    mutex_unlock(&call_lock);
    lab_free(message);
    return done;
}
