/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The WinDivert layer against a DLL that the test commands (fake_windivert.c).
 * Arguments: a folder, in which are fake\WinDivert.dll, old\WinDivert.dll, empty\WinDivert.dll and text\WinDivert.dll
 * (not a DLL); then, if there is one, the folder of the genuine DLL.
 */
#include "check.h"
#include "fake_windivert.h"
#include "windows/divert.h"

#include <stdlib.h>
#include <string.h>

static char folder[600], genuine_folder[600];
static redirector_error error;
static struct divert_api *api;
static struct fake_state *fake;
static fake_complete_fn *complete;
static fake_fail_fn *fail;

static const char *in_folder(const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s\\%s", folder, name);
    return path;
}

static FARPROC fake_export(const char *name)
{
    char path[720];
    snprintf(path, sizeof path, "%s\\WinDivert.dll", in_folder("fake"));
    return GetProcAddress(GetModuleHandleA(path), name);
}

static bool load_fake(void)
{
    api = divert_load(in_folder("fake"), &error);
    if (!api) {
        CHECK(api != NULL);
        return false;
    }
    fake = ((fake_state_fn *)(void (*)(void))fake_export("fake_state"))();
    complete = (fake_complete_fn *)(void (*)(void))fake_export("fake_complete");
    fail = (fake_fail_fn *)(void (*)(void))fake_export("fake_fail");
    return true;
}

static void unload_fake(void)
{
    CHECK(!fake->bad_call);
    divert_unload(api); /* the next load begins with a fresh state */
}

/* The first calls of divert_next() post the receives. */
static void post_all(struct divert_ring *ring, int receives)
{
    struct divert_batch batch;
    uint32_t code;
    for (int i = 0; i < receives; i++) {
        CHECK(WaitForSingleObject(divert_wait_handle(ring), 0) == WAIT_OBJECT_0);
        CHECK(divert_next(ring, &batch, &code) == DIVERT_NOTHING);
    }
}

static struct divert_ring *open_network(void)
{
    struct divert_ring *ring = divert_open(api, "outbound", DIVERT_LAYER_NETWORK, 7, &error);
    if (ring) {
        post_all(ring, 4);
    }
    return ring;
}

static bool is_set(HANDLE event)
{
    return WaitForSingleObject(event, 0) == WAIT_OBJECT_0;
}

/* ---- loading ---- */

static void refuses_a_missing_dll(void)
{
    CHECK(!divert_load(in_folder("nowhere"), &error) && error.code == REDIRECTOR_DLL_NOT_FOUND && error.os_error);
    CHECK(strstr(error.text, "nowhere\\WinDivert.dll"));
    CHECK(!divert_load(NULL, &error) && error.code == REDIRECTOR_DLL_NOT_FOUND); /* none beside the test program */
    CHECK(!divert_load("\xff", &error) && error.code == REDIRECTOR_DLL_NOT_FOUND);
}

static void refuses_a_relative_folder(void)
{
    SetCurrentDirectoryA(folder);
    static const char *const folders[] = {"fake", ".\\fake", "", ".", "\\fake", "C:fake"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        CHECK(!divert_load(folders[i], &error) && error.code == REDIRECTOR_DLL_NOT_FOUND &&
              strstr(error.text, "must be absolute"));
    }
}

static void refuses_other_dlls(void)
{
    CHECK(!divert_load(in_folder("empty"), &error) && error.code == REDIRECTOR_DLL_VERSION);
    CHECK(strstr(error.text, "WinDivertOpen"));
    CHECK(!divert_load(in_folder("old"), &error) && error.code == REDIRECTOR_DLL_VERSION);
    CHECK(strstr(error.text, "WinDivertHelperNtohIPv6Address"));
    CHECK(!divert_load(in_folder("text"), &error) && error.code == REDIRECTOR_DLL_VERSION);
}

static void accepts_forward_slashes_and_long_paths(void)
{
    char path[600];
    snprintf(path, sizeof path, "%s", in_folder("fake/"));
    for (char *p = path; *p; p++) {
        *p = *p == '\\' ? '/' : *p;
    }
    struct divert_api *loaded = divert_load(path, &error);
    CHECK(loaded != NULL);
    divert_unload(loaded);

    wchar_t deep[800], from[700], to[820];
    char utf8[800];
    int length = swprintf(deep, 800, L"\\\\?\\%hs", folder);
    for (int i = 0; i < 3; i++) {
        length += swprintf(deep + length, 800 - (size_t)length, L"\\%0100d", i);
        CreateDirectoryW(deep, NULL);
    }
    swprintf(from, 700, L"%hs\\WinDivert.dll", in_folder("fake"));
    swprintf(to, 820, L"%ls\\WinDivert.dll", deep);
    CHECK(CopyFileW(from, to, FALSE));
    snprintf(utf8, sizeof utf8, "%ls", deep + 4);
    loaded = divert_load(utf8, &error);
    CHECK(loaded != NULL);
    divert_unload(loaded);
    DeleteFileW(to);
}

static void loads_the_genuine_dll(void)
{
    if (!genuine_folder[0]) {
        SKIP("no genuine WinDivert.dll given");
        return;
    }
    struct divert_api *genuine = divert_load(genuine_folder, &error);
    CHECK(genuine != NULL);
    divert_unload(genuine);
}

/* The folder given has no WinDivert64.sys, and no driver runs where these tests run. */
static void names_the_missing_driver(void)
{
    struct divert_api *genuine = genuine_folder[0] ? divert_load(genuine_folder, &error) : NULL;
    if (!genuine) {
        SKIP("no genuine WinDivert.dll given");
        return;
    }
    CHECK(!divert_open(genuine, "true", DIVERT_LAYER_NETWORK, 0, &error));
    CHECK(error.code == REDIRECTOR_DRIVER_NOT_FOUND && strstr(error.text, "WinDivert64.sys (Windows"));
    printf("# %s\n", error.text);
    divert_unload(genuine);
}

/* ---- opening ---- */

static void translates_open_errors(void)
{
    static const struct {
        uint32_t os_error;
        redirector_status status;
    } cases[] = {
        {2, REDIRECTOR_DRIVER_NOT_FOUND},  {3, REDIRECTOR_DRIVER_NOT_FOUND},
        {5, REDIRECTOR_NOT_ELEVATED},      {87, REDIRECTOR_INTERNAL},
        {110, REDIRECTOR_DRIVER_SERVICE},  {577, REDIRECTOR_DRIVER_SIGNATURE},
        {654, REDIRECTOR_DRIVER_CONFLICT}, {1053, REDIRECTOR_DRIVER_SERVICE},
        {1058, REDIRECTOR_DRIVER_SERVICE}, {1060, REDIRECTOR_DRIVER_SERVICE},
        {1072, REDIRECTOR_DRIVER_SERVICE}, {1275, REDIRECTOR_DRIVER_BLOCKED},
        {225, REDIRECTOR_DRIVER_BLOCKED},  {1260, REDIRECTOR_DRIVER_BLOCKED},
        {4551, REDIRECTOR_DRIVER_BLOCKED}, {1753, REDIRECTOR_FILTERING_STOPPED},
        {1450, REDIRECTOR_NO_MEMORY},      {8, REDIRECTOR_NO_MEMORY},
        {22, REDIRECTOR_DRIVER_FAILED},    {1167, REDIRECTOR_DRIVER_FAILED},
    };
    if (!load_fake()) {
        return;
    }
    fclose(fopen(in_folder("fake\\WinDivert64.sys"), "w"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int null = 0; null < 2; null++) {
            fake->open_error = cases[i].os_error;
            fake->open_null = null;
            CHECK(!open_network());
            CHECK(error.code == (uint32_t)cases[i].status && error.os_error == cases[i].os_error);
        }
    }
    fake->open_error = 2;
    CHECK(!open_network() && strstr(error.text, "fake\\WinDivert64.sys is there"));
    DeleteFileA(in_folder("fake\\WinDivert64.sys"));
    CHECK(!open_network() && strstr(error.text, ": no ") && strstr(error.text, "fake\\WinDivert64.sys (Windows"));
    fake->open_error = 1114; /* the missing file explains this one */
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_NOT_FOUND && error.os_error == 1114);
    fake->open_error = 5; /* but not this one */
    CHECK(!open_network() && error.code == REDIRECTOR_NOT_ELEVATED);
    unload_fake();
}

static void opens_with_the_right_arguments(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = divert_open(api, "outbound", DIVERT_LAYER_NETWORK, 7, &error);
    CHECK(ring && strcmp(fake->filter, "outbound") == 0 && fake->layer == 0 && fake->priority == 7 &&
          fake->flags == FAKE_NO_INSTALL);
    CHECK(fake->params[0] == 16384 && fake->params[1] == 16000 && fake->params[2] == 33554432);
    CHECK(fake->receives == 0); /* the opening thread may end at any time */
    post_all(ring, 4);
    CHECK(fake->receives == 4 && fake->closes == 0);
    divert_close(ring);
    CHECK(fake->closes == 1);
    ring = divert_open(api, "tcp", DIVERT_LAYER_SOCKET, -3, &error);
    CHECK(ring && fake->layer == 3 && fake->priority == -3 && fake->flags == (5 | FAKE_NO_INSTALL));
    post_all(ring, 2);
    CHECK(fake->receives == 6);
    divert_close(ring);
    divert_close(NULL);
    unload_fake();
}

/* Installing without the file would leave a broken service behind. */
static void installs_the_driver_only_when_its_file_is_there(void)
{
    if (!load_fake()) {
        return;
    }
    fake->not_installed = true;
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_NOT_FOUND && fake->opens == 1);
    CHECK(strstr(error.text, "fake\\WinDivert64.sys"));
    fclose(fopen(in_folder("fake\\WinDivert64.sys"), "w"));
    struct divert_ring *ring = open_network();
    CHECK(ring && fake->opens == 3 && fake->flags == 0);
    divert_close(ring);
    DeleteFileA(in_folder("fake\\WinDivert64.sys"));
    unload_fake();
}

static void refuses_another_driver_version(void)
{
    if (!load_fake()) {
        return;
    }
    fake->version_minor = 0;
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_CONFLICT && strstr(error.text, "version 2.0"));
    CHECK(fake->closes == 1 && fake->receives == 0);
    fake->version_minor = 2;
    fake->param_error = ERROR_NO_SYSTEM_RESOURCES;
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_FAILED && error.os_error == ERROR_NO_SYSTEM_RESOURCES);
    CHECK(fake->closes == 2);
    unload_fake();
}

/* ---- receiving ---- */

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

/* ---- sending ---- */

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

/* ---- abandoning ---- */

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

/* ---- conversions ---- */

static struct divert_address socket_address(uint8_t event, uint8_t flags)
{
    return (struct divert_address){
        .layer = DIVERT_LAYER_SOCKET,
        .event = event,
        .flags = flags,
        .socket = {.process_id = 1234, .local_port = 49152, .remote_port = 443, .protocol = 6},
    };
}

static void converts_socket_events(void)
{
    struct socket_event e;
    struct divert_address a = socket_address(4, DIVERT_OUTBOUND | DIVERT_LOOPBACK);
    a.socket.local_addr[0] = 0x0A000002; /* 10.0.0.2 */
    a.socket.local_addr[1] = 0xffff;
    a.socket.remote_addr[0] = 0x7f000001;
    a.socket.remote_addr[1] = 0xffff;
    CHECK(divert_socket_event(&a, &e));
    CHECK(e.kind == SOCKET_CONNECT && e.pid == 1234 && e.loopback && e.tuple.family == FAMILY_IP4);
    CHECK(be16_to_host(e.tuple.src_port) == 49152 && be16_to_host(e.tuple.dst_port) == 443);
    CHECK(memcmp(e.tuple.src.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2", 16) == 0);
    ip_addr loopback = ip_addr_loopback(FAMILY_IP4);
    CHECK(ip_addr_equal(&e.tuple.dst, &loopback));

    a = socket_address(5, DIVERT_OUTBOUND); /* LISTEN on 0.0.0.0: all zeros, not mapped */
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_LISTEN && e.tuple.family == FAMILY_IP4 && !e.loopback);
    CHECK(ip_addr_is_any(&e.tuple.src, FAMILY_IP4) && e.tuple.src.bytes[10] == 0xff);

    a = socket_address(6, DIVERT_IPV6);
    a.socket.local_addr[0] = 5; /* 2001:db8::5 */
    a.socket.local_addr[3] = 0x20010DB8;
    a.socket.remote_addr[0] = 1;
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_ACCEPT && e.tuple.family == FAMILY_IP6);
    CHECK(memcmp(e.tuple.src.bytes, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\5", 16) == 0);
    loopback = ip_addr_loopback(FAMILY_IP6);
    CHECK(ip_addr_equal(&e.tuple.dst, &loopback));

    a = socket_address(3, 0);
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_BIND);
    a = socket_address(7, 0);
    CHECK(divert_socket_event(&a, &e) && e.kind == SOCKET_CLOSE);
}

static void leaves_other_events_alone(void)
{
    struct socket_event e;
    struct divert_address a = socket_address(4, 0);
    a.socket.protocol = 17;
    CHECK(!divert_socket_event(&a, &e));
    a.socket.protocol = 255; /* PID 4's raw packets */
    CHECK(!divert_socket_event(&a, &e));
    for (int event = 0; event < 256; event++) {
        a = socket_address((uint8_t)event, 0);
        CHECK(divert_socket_event(&a, &e) == (event >= 3 && event <= 7));
    }
    a = socket_address(4, 0);
    a.layer = DIVERT_LAYER_NETWORK;
    CHECK(!divert_socket_event(&a, &e));
}

static void converts_packet_meta_both_ways(void)
{
    for (int flags = 0; flags < 256; flags++) {
        struct divert_address a, b;
        memset(&a, 0x5a, sizeof a);
        a.flags = (uint8_t)flags;
        a.network.if_index = 7;
        a.network.sub_if_index = 9;
        struct packet_meta m = divert_packet_meta(&a);
        CHECK(m.if_index == 7 && m.sub_if_index == 9 && m.outbound == !!(flags & 2) && m.loopback == !!(flags & 4) &&
              m.impostor == !!(flags & 8) && m.ip_checksum_valid == !!(flags & 0x20) &&
              m.tcp_checksum_valid == !!(flags & 0x40));
        b = a;
        divert_apply_meta(&b, &m);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
        m = (struct packet_meta){.if_index = 1, .outbound = true, .ip_checksum_valid = true};
        divert_apply_meta(&b, &m);
        CHECK(b.network.if_index == 1 && b.network.sub_if_index == 0);
        CHECK(b.flags ==
              ((flags & (DIVERT_SNIFFED | DIVERT_IPV6 | DIVERT_UDP_CHECKSUM)) | DIVERT_OUTBOUND | DIVERT_IP_CHECKSUM));
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    snprintf(folder, sizeof folder, "%s", argv[1]);
    if (argc > 2) {
        snprintf(genuine_folder, sizeof genuine_folder, "%s", argv[2]);
    }
    RUN(refuses_a_missing_dll);
    RUN(refuses_a_relative_folder);
    RUN(refuses_other_dlls);
    RUN(accepts_forward_slashes_and_long_paths);
    RUN(loads_the_genuine_dll);
    RUN(names_the_missing_driver);
    RUN(translates_open_errors);
    RUN(opens_with_the_right_arguments);
    RUN(installs_the_driver_only_when_its_file_is_there);
    RUN(refuses_another_driver_version);
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
    RUN(converts_socket_events);
    RUN(leaves_other_events_alone);
    RUN(converts_packet_meta_both_ways);
    return checks_done();
}
