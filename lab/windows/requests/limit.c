/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the fault "queue" makes the driver itself lose packets: the maximum length of its
 * packet queue is set below what it lets a program choose. The program does not notice: what it sets is
 * remembered here, and what it asks for is answered from here. Each packet that the driver then throws away
 * is noticed where it does so, see driver_context.h.
 */
#include "requests.h"

#include "../ntoskrnl/ntoskrnl.h"

void limit_apply(struct file *file)
{
    uint64_t length = file->max_length;
    uint32_t scripted;

    if (!file->driver) {
        return;
    }
    if (fault_is_set(DRVFAULT_QUEUE, file->handle.layer, &scripted) && scripted < length) {
        length = scripted;
    }
    file->driver->packet_queue_max_length = length;
}

static void apply(struct file *file, void *context)
{
    (void)context;
    limit_apply(file);
}

void limit_apply_all(void)
{
    files_each(apply, NULL);
}

void limit_completing(const struct wdf_request *request)
{
    const union input *input = request_input(request);
    struct file *file = file_of(request);
    uint32_t length;
    void *output = request_output(request, &length);

    if (wdf_request_code(request) == WD_SET_PARAM && input->set_param.param == WD_QUEUE_LENGTH) {
        file->max_length = input->set_param.value;
        limit_apply(file);
    } else if (wdf_request_code(request) == WD_GET_PARAM && input->get_param.param == WD_QUEUE_LENGTH &&
               length == sizeof(file->max_length)) {
        memcpy(output, &file->max_length, sizeof(file->max_length));
    }
}

static void lost(KSPIN_LOCK *lock)
{
    const struct handle *handle = handle_of_context(CONTAINING_RECORD(lock, struct driver_context, lock));

    if (handle && fault_is_set(DRVFAULT_QUEUE, handle->layer, NULL)) {
        fault_struck(DRVFAULT_QUEUE, 1);
    }
}

void driver_context_bind(const uint8_t *image)
{
    static const uint8_t call[] = {0xff, 0x15}; /* of an address, relative to the next instruction */
    const uint8_t *site, *next;
    int32_t distance;

    if (!image) {
        spinlock_watch(NULL, NULL);
        return;
    }
    site = image + DRIVER_LOSES_PACKET;
    next = site + sizeof(call) + sizeof(distance);
    memcpy(&distance, site + sizeof(call), sizeof(distance));
    if (memcmp(site, call, sizeof(call)) == 0 && next + distance == image + DRIVER_ACQUIRE_ADDRESS) {
        spinlock_watch(next, lost);
    } else {
        lab_log("requests: packets lost to the fault \"queue\" cannot be counted");
    }
}
