/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the script of each fault, as the daemon has given it: its value, how often it is still
 * to strike and at which layer. Whoever may be struck asks; the answer is "yes" that often, and the daemon
 * is told each time. Where the faults act:
 *
 *   open, open-late, stall-*   between the framework and the driver (requests_present, hold.c)
 *   recv        instead of the driver, and RECVs that wait in its queue are taken out
 *   recv-single the program's capacity is made one packet before the driver reads it
 *   send        the middle packet's injection fails (requests_injection_fails)
 *   send-cut    the driver is shown the first half of the batch, and the final status is replaced
 *   queue       in the driver's own queue (limit.c)
 *   unload      see start.c
 *
 * While stall-recv is on, the driver's read queue yields nothing. When it ends, the driver's own work item,
 * which serves reads, is run.
 */
#include "requests.h"

#include "../../daemon/packet.h"
#include "../runtime/thread.h"

enum { SUMS = LAB_IP_SUM_MISSING | LAB_TCP_SUM_MISSING | LAB_UDP_SUM_MISSING, ANY_LAYER = WD_LAYERS };

#define FOR_EVER UINT64_MAX

struct slot {
    uint32_t value, layer;
    uint64_t left; /* 0: not scripted */
};

static struct slot slots[DRVFAULTS];
static struct mutex lock;

static bool is_set(const struct slot *slot, uint32_t layer, uint32_t *value)
{
    if (!slot->left || (slot->layer != ANY_LAYER && slot->layer != layer)) {
        return false;
    }
    if (value) {
        *value = slot->value;
    }
    return true;
}

static void tell(enum drvfault fault, uint32_t times, uint64_t left)
{
    struct lab_struck record = {
        .head = {LAB_STRUCK, sizeof(record)},
        .fault = fault,
        .times = times,
        .left = left,
    };

    wire_put(&record, NULL, 0);
    wire_flush();
}

bool fault_is_set(enum drvfault fault, uint32_t layer, uint32_t *value)
{
    bool set;

    if (!slots[fault].left) {
        return false;
    }
    mutex_lock(&lock);
    set = is_set(&slots[fault], layer, value);
    mutex_unlock(&lock);
    return set;
}

bool fault_strikes(enum drvfault fault, uint32_t layer, uint32_t *value)
{
    struct slot *slot = &slots[fault];
    uint64_t left;
    bool strikes;

    if (!slot->left) {
        return false;
    }
    mutex_lock(&lock);
    strikes = is_set(slot, layer, value);
    if (strikes && slot->left != FOR_EVER) {
        slot->left--;
    }
    left = slot->left;
    mutex_unlock(&lock);
    if (strikes) {
        tell(fault, 1, left);
    }
    return strikes;
}

void fault_struck(enum drvfault fault, uint32_t times)
{
    tell(fault, times, slots[fault].left);
}

void faults_forget(void)
{
    mutex_lock(&lock);
    memset(slots, 0, sizeof(slots));
    mutex_unlock(&lock);
}

/* ------------------------------------------------------------------ when the script changes */

/* RECVs that wait fail at once. Nothing strikes what is stalled. */
static void fail_waiting(struct file *file)
{
    uint32_t layer = file->handle.layer, status;
    struct wdf_request *request;

    while (fault_is_set(DRVFAULT_RECV, layer, NULL) && !fault_is_set(DRVFAULT_STALL_RECV, layer, NULL)) {
        request = wdf_queue_take(file->queue, NULL, NULL);
        if (!request) {
            break;
        }
        if (fault_strikes(DRVFAULT_RECV, layer, &status)) {
            wdf_request_complete(request, (NTSTATUS)status, 0);
        } else {
            present(request);
        }
    }
    if (!fault_is_set(DRVFAULT_STALL_RECV, layer, NULL) && wdf_queue_count(file->queue, NULL, NULL) > 0) {
        wdf_workitem_enqueue_of(&file->wdf->object);
    }
}

static void changed(void)
{
    struct file *file;
    uint32_t last = 0;

    limit_apply_all();
    hold_release();
    while ((file = files_next(&last)) != NULL) {
        mutex_lock(&presenting);
        if (file->wdf && file->queue) {
            fail_waiting(file);
        }
        mutex_unlock(&presenting);
        file_release(file);
    }
}

void requests_fault(const struct lab_fault *fault)
{
    if (fault->fault >= DRVFAULTS) {
        return;
    }
    mutex_lock(&lock);
    slots[fault->fault] = (struct slot){.value = fault->value, .layer = fault->layer, .left = fault->left};
    mutex_unlock(&lock);
    job_start(changed);
}

/* ------------------------------------------------------------------ requests on their way to the driver */

static void prepare_recv(union input *input)
{
    if (!input->recv.addresses && !input->recv.addresses_size) {
        input->recv.addresses = CLIENT_NOWHERE;
    }
}

static void prepare_send(struct wdf_request *request, union input *input)
{
    enum { ADDRESS = sizeof(struct wd_address) };
    uint32_t layer = file_of(request)->handle.layer, status;
    uint64_t size = input->send.addresses_size;

    if (!request_can_send(request) || !input->send.addresses || size < ADDRESS || size > WD_BATCH_MAX * ADDRESS) {
        return;
    }
    request->packets = (unsigned)(size / ADDRESS);
    if (fault_strikes(DRVFAULT_SEND_CUT, layer, &status)) {
        request->cut = (NTSTATUS)status;
        if (request->packets > 1) {
            input->send.addresses_size = request->packets / 2 * ADDRESS;
        }
    } else if (fault_strikes(DRVFAULT_SEND, layer, &status)) {
        request->struck = (NTSTATUS)status;
    }
}

void faults_prepare(struct wdf_request *request)
{
    union input *input = request_input(request);

    if (input && wdf_request_code(request) == WD_RECV) {
        prepare_recv(input);
    }
    if (input && wdf_request_code(request) == WD_SEND) {
        prepare_send(request, input);
    }
}

/* Counted is what would have had more than one packet. */
static void make_single(const struct wdf_request *request, struct wdf_memory *memory)
{
    const struct file *file = file_of(request);
    const uint32_t one = sizeof(struct wd_address);
    uint32_t layer = file->handle.layer, wanted;
    bool several = file->driver && file->driver->packet_queue_length > 1;

    memcpy(&wanted, memory->buffer, sizeof(wanted));
    if (wanted < 2 * one || wanted > WD_BATCH_MAX * one) {
        return;
    }
    if (several ? fault_strikes(DRVFAULT_RECV_SINGLE, layer, NULL)
                : fault_is_set(DRVFAULT_RECV_SINGLE, layer, NULL) && slots[DRVFAULT_RECV_SINGLE].left == FOR_EVER) {
        memcpy(memory->buffer, &one, sizeof(one));
    }
}

void requests_locked(struct wdf_request *request, struct wdf_memory *memory)
{
    const union input *input = request_input(request);

    if (wdf_request_code(request) == WD_RECV && !request->addresses_size &&
        memory->client == input->recv.addresses_size && memory->size == sizeof(uint32_t)) {
        request->addresses_size = memory;
        make_single(request, memory);
    } else {
        request->addresses = memory;
    }
}

bool faults_end(struct wdf_request *request)
{
    ULONG code = wdf_request_code(request);
    uint32_t status, length;

    request_output(request, &length);
    if (code == WD_SEND && request->cut && request->packets == 1) {
        status = (uint32_t)request->cut;
    } else if (!(code == WD_INITIALIZE && length == sizeof(struct wd_version) &&
                 fault_strikes(DRVFAULT_OPEN, request_layer(request), &status)) &&
               !(code == WD_RECV && request_can_recv(request) &&
                 fault_strikes(DRVFAULT_RECV, request_layer(request), &status))) {
        return false;
    }
    wdf_request_complete(request, (NTSTATUS)status, 0);
    return true;
}

static enum drvfault stall_of(ULONG code)
{
    return code == WD_SEND ? DRVFAULT_STALL_SEND : code == WD_RECV ? DRVFAULT_STALL_RECV : DRVFAULT_STALL_CONTROL;
}

void requests_present(struct wdf_request *request)
{
    ULONG code = wdf_request_code(request);
    enum drvfault stall = stall_of(code);
    uint32_t layer = request_layer(request), delay;

    if ((code != WD_RECV || request_can_recv(request)) && fault_strikes(stall, layer, NULL)) {
        hold(request, stall, INT64_MAX);
    } else if (code == WD_INITIALIZE && fault_strikes(DRVFAULT_OPEN_LATE, layer, &delay)) {
        hold(request, DRVFAULT_OPEN_LATE, jobs_now() + delay);
    } else if (!faults_end(request)) {
        present(request);
    }
}

bool requests_yield(const struct wdf_queue *queue)
{
    return !queue->file || !fault_is_set(DRVFAULT_STALL_RECV, queue->file->handle.layer, NULL);
}

/* ------------------------------------------------------------------ injections */

bool requests_sending(void)
{
    const struct thread_state *state = thread_state_find();

    return state && state->send;
}

/* The packet that the driver injects next. It does not inject another driver's packet at its last hop. */
static unsigned next_packet(struct wdf_request *request, const struct wd_address *addresses, unsigned count)
{
    enum { LEAST = 20, HOPS4 = 8, HOPS6 = 7 };
    uint32_t length;
    const uint8_t *data = request_output(request, &length);
    unsigned at;

    for (;;) {
        uint32_t left = length > request->offset ? length - request->offset : 0;
        const uint8_t *packet = data + request->offset;
        bool dead;

        at = request->at++;
        if (left < LEAST || at >= count) {
            return at;
        }
        dead = addresses[at].impostor && packet[packet[0] >> 4 == 4 ? HOPS4 : HOPS6] <= 1;
        request->offset += packet_claimed_length(packet);
        if (!dead) {
            return at;
        }
    }
}

bool requests_injection_fails(NTSTATUS *status)
{
    struct thread_state *state = thread_state_find();
    struct wdf_request *request = state ? state->send : NULL;
    const struct wd_address *addresses;
    unsigned at, count;

    if (!request || !request->addresses) {
        return false;
    }
    addresses = request->addresses->buffer;
    count = (unsigned)(request->addresses->size / sizeof(*addresses)); /* with send-cut, half of them */
    at = next_packet(request, addresses, count);
    request->claimed = 0;
    if (at < count) {
        request->claimed = (addresses[at].ip_checksum ? LAB_IP_SUM_MISSING : 0) |
                           (addresses[at].tcp_checksum ? LAB_TCP_SUM_MISSING : 0) |
                           (addresses[at].udp_checksum ? LAB_UDP_SUM_MISSING : 0) |
                           (addresses[at].impostor ? LAB_IMPOSTOR : 0);
    }
    if (!request->struck || at != request->packets / 2) {
        return false;
    }
    *status = request->struck;
    return true;
}

uint32_t requests_claimed(void)
{
    const struct thread_state *state = thread_state_find();

    return state && state->send ? state->send->claimed : SUMS;
}
