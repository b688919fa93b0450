/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Everything is diverted and sent on unchanged: transfers must come out identical, in both families,
 * with single packets and batches, over the wire and over loopback.
 */
#include "pump.h"

/* With the server host's echo service at `address`, or one of our own there. */
static void transfer(const char *name, const char *address, bool local, unsigned batch)
{
    struct pump pump = {.batch = batch};
    char filter[64], check_name[96];
    uint16_t port = ECHO_PORT;
    SOCKET listener = INVALID_SOCKET;
    HANDLE server = NULL;

    if (local) {
        listener = net_listen(address, 0, false);
        port = net_local_port(listener);
        server = CreateThread(NULL, 0, pump_echo_server, (void *)(uintptr_t)listener, 0, NULL);
    }
    snprintf(filter, sizeof filter, "tcp.DstPort == %u or tcp.SrcPort == %u", port, port);
    pump.handle = open_or_exit(filter, LAYER_NETWORK, 0, 0);
    WinDivertSetParam(pump.handle, PARAM_QUEUE_LENGTH, 16384);
    WinDivertSetParam(pump.handle, PARAM_QUEUE_SIZE, 33554432);
    pump_start(&pump);
    snprintf(check_name, sizeof check_name, "%s identical", name);
    check(check_name, pump_echo_identical(net_connect(address, port)), "the data differ");
    snprintf(check_name, sizeof check_name, "%s stops cleanly", name);
    pump_stop(&pump, check_name);
    snprintf(check_name, sizeof check_name, "%s went through the handle", name);
    check(check_name, pump.bytes > 2u << 20, "only %llu bytes did", pump.bytes);
    snprintf(check_name, sizeof check_name, "%s address fields", name);
    check_equal(check_name, pump.wrong_flags, 0);
    snprintf(check_name, sizeof check_name, "%s batches", name);
    check(check_name, batch == 1 ? pump.largest_batch == 1 : pump.largest_batch > 1, "largest batch %llu",
          pump.largest_batch);
    if (local) {
        WaitForSingleObject(server, INFINITE);
        closesocket(listener);
        snprintf(check_name, sizeof check_name, "%s large packets captured whole", name);
        check(check_name, pump.largest_packet > 1500, "largest %llu", pump.largest_packet);
    }
}

int main(void)
{
    net_start();
    transfer("IPv4 batches", SERVER4, false, 64);
    transfer("IPv4 single", SERVER4, false, 1);
    transfer("IPv6 batches", SERVER6, false, 64);
    transfer("IPv4 loopback", "127.0.0.1", true, 64);
    transfer("IPv6 loopback", "::1", true, 64);
    transfer("IPv4 to own address", CLIENT4, true, 64);
    return check_failures != 0;
}
