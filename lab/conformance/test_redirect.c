/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The recipes by which WinDivert programs lead a connection elsewhere must work as on Windows:
 * both ends to loopback, reflection, another port on the way in.
 */
#include "pump.h"

#define CLOSED_PORT 4500 /* on the server; only a redirected connection gets anywhere */

/* The one flow of each test. */
static uint16_t original_port, substitute_port;
static uint8_t original_source[16], original_target[16];
static uint32_t original_interface;

static uint8_t *source(uint8_t *d)
{
    return d[0] >> 4 == 4 ? d + 12 : d + 8;
}

static size_t address_size(const uint8_t *d)
{
    return d[0] >> 4 == 4 ? 4 : 16;
}

static uint8_t *target(uint8_t *d)
{
    return source(d) + address_size(d);
}

static uint8_t *ports(uint8_t *d)
{
    return d + (d[0] >> 4 == 4 ? 20 : 40);
}

static void seal(uint8_t *data, unsigned len, struct windivert_address *addr)
{
    WinDivertHelperCalcChecksums(data, len, addr, 0);
}

/* Both addresses to loopback, outbound; answers back inbound with what they replaced. */
static void to_loopback(uint8_t *data, unsigned len, struct windivert_address *addr)
{
    static const uint8_t loopback4[4] = {127, 0, 0, 1};
    static const uint8_t loopback6[16] = {[15] = 1};
    const uint8_t *loopback = data[0] >> 4 == 4 ? loopback4 : loopback6;
    size_t size = address_size(data);

    if (net_get16(ports(data) + 2) == original_port) {
        memcpy(original_source, source(data), size);
        memcpy(original_target, target(data), size);
        original_interface = addr->network.if_idx;
        memcpy(source(data), loopback, size);
        memcpy(target(data), loopback, size);
        net_be16(ports(data) + 2, substitute_port);
    } else {
        memcpy(source(data), original_target, size);
        memcpy(target(data), original_source, size);
        net_be16(ports(data), original_port);
        addr->outbound = 0;
        addr->network.if_idx = original_interface;
    }
    seal(data, len, addr);
}

/* Addresses swapped and turned inbound, both ways: the proxy sees the server as its peer. */
static void reflect(uint8_t *data, unsigned len, struct windivert_address *addr)
{
    uint8_t swap[16];
    size_t size = address_size(data);

    memcpy(swap, source(data), size);
    memcpy(source(data), target(data), size);
    memcpy(target(data), swap, size);
    if (net_get16(ports(data) + 2) == original_port) {
        net_be16(ports(data) + 2, substitute_port);
    } else {
        net_be16(ports(data), original_port);
    }
    addr->outbound = 0;
    seal(data, len, addr);
}

/* Only the port, in place: both ends are loopback already, or the connection comes from outside. */
static void change_port(uint8_t *data, unsigned len, struct windivert_address *addr)
{
    if (net_get16(ports(data) + 2) == original_port) {
        net_be16(ports(data) + 2, substitute_port);
    } else {
        net_be16(ports(data), original_port);
    }
    seal(data, len, addr);
}

static void test_outgoing(const char *name, const char *proxy_address, const char *address,
                          void (*change)(uint8_t *, unsigned, struct windivert_address *))
{
    SOCKET proxy = net_listen(proxy_address, 0, false);
    HANDLE server = CreateThread(NULL, 0, pump_echo_server, (void *)(uintptr_t)proxy, 0, NULL);
    struct pump pump = {.batch = 64, .change = change};
    char filter[80];

    original_port = CLOSED_PORT;
    substitute_port = net_local_port(proxy);
    snprintf(filter, sizeof filter, "outbound and (tcp.DstPort == %u or tcp.SrcPort == %u)", original_port,
             substitute_port);
    pump.handle = open_or_exit(filter, LAYER_NETWORK, 0, 0);
    pump_start(&pump);
    check(name, pump_echo_identical(net_connect(address, CLOSED_PORT)), "the data differ");
    WaitForSingleObject(server, PATIENCE_MS);
    pump_stop(&pump, "and the pump stops cleanly");
    closesocket(proxy);
}

/* The server host connects to a port where nobody listens; it must reach another one. */
static void test_incoming(const char *name, const char *own, const char *server)
{
    SOCKET proxy = net_listen(own, 0, false), order, s;
    struct pump pump = {.batch = 64, .change = change_port};
    char text[80];
    int n;

    original_port = CLOSED_PORT;
    substitute_port = net_local_port(proxy);
    snprintf(text, sizeof text, "(inbound and tcp.DstPort == %u) or (outbound and tcp.SrcPort == %u)", original_port,
             substitute_port);
    pump.handle = open_or_exit(text, LAYER_NETWORK, 0, 0);
    pump_start(&pump);
    order = net_connect(server, CALL_BACK_PORT);
    n = snprintf(text, sizeof text, "%s %u\n", own, CLOSED_PORT);
    send(order, text, n, 0);
    n = recv(order, text, sizeof text - 1, 0);
    check(name, n == 3 && !memcmp(text, "ok\n", 3), "%.*s", n > 0 ? n - 1 : 0, text);
    s = accept(proxy, NULL, NULL);
    closesocket(s);
    closesocket(order);
    pump_stop(&pump, "and its pump stops cleanly");
    closesocket(proxy);
}

int main(void)
{
    net_start();
    test_outgoing("IPv4 to loopback", "127.0.0.1", SERVER4, to_loopback);
    test_outgoing("IPv6 to loopback", "::1", SERVER6, to_loopback);
    test_outgoing("IPv4 reflected", "0.0.0.0", SERVER4, reflect);
    test_outgoing("IPv6 reflected", "::", SERVER6, reflect);
    test_outgoing("IPv4 loopback to another port", "127.0.0.1", "127.0.0.1", change_port);
    test_outgoing("IPv6 loopback to another port", "::1", "::1", change_port);
    test_incoming("IPv4 incoming to another port", CLIENT4, SERVER4);
    test_incoming("IPv6 incoming to another port", CLIENT6, SERVER6);
    return check_failures != 0;
}
