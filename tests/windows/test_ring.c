/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Moving batches through a handle of the driver, and closing it under whoever uses it. Argument: the folder of fake_driver.h. */
#include "fake_driver.h"

/* ---- receiving */

static bool next_is(struct divert_ring *ring, enum divert_result wanted, uint32_t first, uint32_t count)
{
    struct divert_batch batch;
    uint32_t code = 0, number = 0;
    bool event = is_set(divert_wait_handle(ring));
    enum divert_result result = divert_next(ring, &batch, &code);
    bool good = result == wanted && event == (result != DIVERT_NOTHING);
    if (good && result == DIVERT_ERROR) {
        good = code == first;
    }
    if (good && result == DIVERT_BATCH) {
        good = batch.count == count && batch.addresses[count - 1].network.if_index == first + count - 1;
        if (batch.data) {
            memcpy(&number, batch.data + (count - 1) * FAKE_PACKET_BYTES, sizeof number);
            good = good && batch.bytes == count * FAKE_PACKET_BYTES && number == first + count - 1;
        } else {
            good = good && batch.bytes == 0;
        }
    }
    if (!good) {
        printf("# result %d, error %lu, event %d\n", result, (unsigned long)code, event);
    }
    if (result == DIVERT_BATCH || result == DIVERT_ERROR) {
        divert_recycle(ring);
    }
    return good;
}

static void hands_batches_over_in_order(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = open_network();
    CHECK(next_is(ring, DIVERT_NOTHING, 0, 0));
    uint32_t sent = 0, got = 0;
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 4; i++, sent += i) {
            CHECK(complete(sent, i + 1));
        }
        CHECK(!complete(0, 1)); /* four are outstanding, no more */
        for (uint32_t i = 0; i < 4; i++, got += i) {
            CHECK(next_is(ring, DIVERT_BATCH, got, i + 1));
        }
        CHECK(next_is(ring, DIVERT_NOTHING, 0, 0));
    }
    CHECK(complete(5, 64) && next_is(ring, DIVERT_BATCH, 5, 64));
    divert_close(ring);
    unload_fake();
}

static void keeps_a_batch_until_it_is_recycled(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = open_network();
    struct divert_batch batch, other;
    uint32_t code;
    CHECK(complete(1, 1) && complete(2, 1));
    CHECK(divert_next(ring, &batch, &code) == DIVERT_BATCH);
    CHECK(divert_next(ring, &other, &code) == DIVERT_NOTHING);
    CHECK(fake->receives == 4); /* its memory is not given to the driver yet */
    divert_recycle(ring);
    CHECK(fake->receives == 5);
    divert_recycle(ring);
    CHECK(fake->receives == 5);
    CHECK(next_is(ring, DIVERT_BATCH, 2, 1));
    divert_close(ring);
    unload_fake();
}

static void takes_what_completes_at_once(void)
{
    if (!load_fake()) {
        return;
    }
    fake->recv_at_once = 6; /* numbered 1005, 1004, ... */
    struct divert_ring *ring = open_network();
    for (uint32_t number = 1005; number >= 1000; number--) {
        CHECK(next_is(ring, DIVERT_BATCH, number, 1));
    }
    CHECK(next_is(ring, DIVERT_NOTHING, 0, 0));
    CHECK(complete(1, 1) && next_is(ring, DIVERT_BATCH, 1, 1));
    divert_close(ring);
    unload_fake();
}

static void survives_failed_receives(void)
{
    static const struct {
        uint32_t status, os_error;
    } cases[] = {{0xC0000023, 122}, {0xC000009A, 1450}, {0xC000000D, 87}};
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = open_network();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(fail(cases[i].status) && complete(9, 2));
        CHECK(next_is(ring, DIVERT_ERROR, cases[i].os_error, 0));
        CHECK(next_is(ring, DIVERT_BATCH, 9, 2));
    }
    /* A post that fails at once, then works again. */
    fake->recv_error = ERROR_NO_SYSTEM_RESOURCES;
    CHECK(complete(20, 1) && next_is(ring, DIVERT_BATCH, 20, 1));
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(complete(21 + i, 1) && next_is(ring, DIVERT_BATCH, 21 + i, 1));
    }
    CHECK(next_is(ring, DIVERT_ERROR, ERROR_NO_SYSTEM_RESOURCES, 0));
    fake->recv_error = 0;
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(next_is(ring, DIVERT_ERROR, ERROR_NO_SYSTEM_RESOURCES, 0));
    }
    CHECK(next_is(ring, DIVERT_NOTHING, 0, 0));
    CHECK(complete(30, 1) && next_is(ring, DIVERT_BATCH, 30, 1));
    divert_close(ring);
    unload_fake();
}

/* Windows cancels the receives of a thread that ends; the engine need not hear of it. */
static void posts_cancelled_receives_again(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = open_network();
    struct divert_batch batch;
    uint32_t code;
    CHECK(fail(0xC0000120) && complete(1, 1));
    CHECK(divert_next(ring, &batch, &code) == DIVERT_NOTHING);
    CHECK(fake->receives == 5);
    CHECK(next_is(ring, DIVERT_BATCH, 1, 1));
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(complete(2 + i, 1));
    }
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(next_is(ring, DIVERT_BATCH, 2 + i, 1));
    }
    divert_close(ring);
    unload_fake();
}

static void drains(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = open_network();
    divert_shutdown_receive(ring);
    CHECK(fake->shutdowns == 1);
    CHECK(complete(1, 3));
    while (fail(0xC00000D9)) {
        ;
    }
    CHECK(next_is(ring, DIVERT_BATCH, 1, 3));
    CHECK(next_is(ring, DIVERT_DRAINED, 0, 0));
    CHECK(next_is(ring, DIVERT_DRAINED, 0, 0));
    divert_recycle(ring);
    CHECK(fake->receives == 5 && fake->closes == 0);
    divert_close(ring);
    unload_fake();
}

static void hands_events_over(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = divert_open(api, "tcp", DIVERT_LAYER_SOCKET, 0, &error);
    post_all(ring, 2);
    for (uint32_t i = 0; i < 6; i++) {
        CHECK(complete(i * 10, 1 + i) && next_is(ring, DIVERT_BATCH, i * 10, 1 + i));
        CHECK(next_is(ring, DIVERT_NOTHING, 0, 0));
    }
    divert_close(ring);
    unload_fake();
}

/* ---- sending */

static void sends(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = open_network();
    uint8_t data[120] = {0};
    struct divert_address addresses[3] = {0};
    SetLastError(ERROR_IO_PENDING); /* stale after a success: means nothing */
    CHECK(divert_send(ring, data, sizeof data, addresses, 3) == 0);
    CHECK(fake->sends == 1 && fake->sent_bytes == 120 && fake->sent_count == 3);
    fake->send_error = ERROR_HOST_UNREACHABLE;
    CHECK(divert_send(ring, data, sizeof data, addresses, 3) == ERROR_HOST_UNREACHABLE);
    CHECK(fake->sends == 2); /* never twice */
    fake->send_error = 0;
    CHECK(divert_send(ring, data, sizeof data, addresses, 3) == 0);
    divert_close(ring);
    unload_fake();
}

/* ---- abandoning */

static void abandon_closes_and_says_so(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = open_network();
    uint8_t data[40] = {0};
    struct divert_address address = {0};
    divert_abandon(ring);
    CHECK(fake->closes == 1);
    divert_abandon(ring);
    CHECK(fake->closes == 1);
    LONG receives = fake->receives;
    for (int i = 0; i < 6; i++) {
        CHECK(next_is(ring, DIVERT_ERROR, ERROR_OPERATION_ABORTED, 0));
    }
    CHECK(divert_send(ring, data, sizeof data, &address, 1) == ERROR_OPERATION_ABORTED);
    divert_shutdown_receive(ring);
    CHECK(fake->receives == receives && fake->sends == 0 && fake->shutdowns == 0);
    divert_close(ring);
    CHECK(fake->closes == 1);
    unload_fake();
}

struct send_call {
    struct divert_ring *ring;
    uint32_t result;
};

static DWORD WINAPI send_one(void *argument)
{
    struct send_call *call = argument;
    static uint8_t data[40];
    struct divert_address address = {0};
    call->result = divert_send(call->ring, data, sizeof data, &address, 1);
    return 0;
}

static void abandon_frees_a_waiting_send(bool driver_answers)
{
    if (!load_fake()) {
        return;
    }
    struct send_call call = {.ring = open_network()};
    fake->send_pends = true;
    fake->never_completes = !driver_answers;
    HANDLE thread = CreateThread(NULL, 0, send_one, &call, 0, NULL);
    for (int i = 0; i < 5000 && !fake->sends; i++) {
        Sleep(1);
    }
    CHECK(WaitForSingleObject(thread, 50) == WAIT_TIMEOUT); /* it does wait for the driver */
    divert_abandon(call.ring);
    CHECK(WaitForSingleObject(thread, 2000) == WAIT_OBJECT_0 && call.result == ERROR_OPERATION_ABORTED);
    CHECK(fake->closes == 1);
    CloseHandle(thread);
    ULONGLONG begin = GetTickCount64();
    divert_close(call.ring);
    CHECK(GetTickCount64() - begin < 900); /* also when the driver completes nothing */
    while (complete(1, 1)) {               /* and if it does so too late, the memory must still be there */
    }
    unload_fake();
}

static void abandon_frees_a_send_that_is_waited_for(void)
{
    abandon_frees_a_waiting_send(true);
}

static void abandon_frees_a_send_that_is_never_answered(void)
{
    abandon_frees_a_waiting_send(false);
}

/* A call that hangs inside the DLL holds the handle; the traffic matters more. */
static void abandon_does_not_wait_for_a_hanging_call(void)
{
    if (!load_fake()) {
        return;
    }
    struct send_call call = {.ring = open_network()};
    fake->hanging = CreateEventW(NULL, FALSE, FALSE, NULL);
    fake->unhang = CreateEventW(NULL, TRUE, FALSE, NULL);
    fake->send_hangs = true;
    fake->send_error = ERROR_OPERATION_ABORTED;
    HANDLE thread = CreateThread(NULL, 0, send_one, &call, 0, NULL);
    CHECK(WaitForSingleObject(fake->hanging, 5000) == WAIT_OBJECT_0);
    ULONGLONG begin = GetTickCount64();
    divert_abandon(call.ring);
    CHECK(GetTickCount64() - begin < 500);
    CHECK(fake->closes == 1);
    SetEvent(fake->unhang);
    CHECK(WaitForSingleObject(thread, 5000) == WAIT_OBJECT_0 && call.result == ERROR_OPERATION_ABORTED);
    CHECK(fake->closes == 1);
    CloseHandle(thread);
    CloseHandle(fake->hanging);
    CloseHandle(fake->unhang);
    divert_close(call.ring);
    unload_fake();
}

static DWORD WINAPI send_until_closed(void *argument)
{
    struct send_call *call = argument;
    uint8_t data[40] = {0};
    struct divert_address address = {0};
    do {
        call->result = divert_send(call->ring, data, sizeof data, &address, 1);
    } while (call->result == 0);
    return 0;
}

/* The fake notices every call with a handle that is closed. */
static void abandon_never_lets_a_closed_handle_be_used(void)
{
    if (!load_fake()) {
        return;
    }
    for (int round = 0; round < 300; round++) {
        fake->send_is_slow = round % 10 == 0;
        struct send_call call = {.ring = open_network()};
        LONG before = fake->sends;
        HANDLE thread = CreateThread(NULL, 0, send_until_closed, &call, 0, NULL);
        while (fake->sends < before + 1 + round % 5) {
            SwitchToThread();
        }
        divert_abandon(call.ring);
        CHECK(WaitForSingleObject(thread, 5000) == WAIT_OBJECT_0 && call.result == ERROR_OPERATION_ABORTED);
        CHECK(fake->closes == round + 1);
        CloseHandle(thread);
        divert_close(call.ring);
    }
    unload_fake();
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    snprintf(folder, sizeof folder, "%s", argv[1]);
    RUN(hands_batches_over_in_order);
    RUN(keeps_a_batch_until_it_is_recycled);
    RUN(takes_what_completes_at_once);
    RUN(survives_failed_receives);
    RUN(posts_cancelled_receives_again);
    RUN(drains);
    RUN(hands_events_over);
    RUN(sends);
    RUN(abandon_closes_and_says_so);
    RUN(abandon_frees_a_send_that_is_waited_for);
    RUN(abandon_frees_a_send_that_is_never_answered);
    RUN(abandon_does_not_wait_for_a_hanging_call);
    RUN(abandon_never_lets_a_closed_handle_be_used);
    return checks_done();
}
