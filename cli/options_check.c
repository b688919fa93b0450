/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is wrong with a command line whose options are right one by one. */
#include "options.h"

#include "output.h"

static const char *udp_contradiction(const struct options *o)
{
    if (o->udp && o->udp_proxy_port) {
        return "--udp is for the relay, --udp-proxy-port for your own proxy: give one of them";
    }
    if (o->no_outgoing && (o->udp || o->udp_proxy_port)) {
        return "--no-outgoing leaves what the programs send alone, so --udp and --udp-proxy-port have no meaning with "
               "it";
    }
    if (o->block_quic && o->udp_proxy_port) {
        return "--udp-proxy-port leads datagrams to port 443 to your proxy, too: it may drop them, --block-quic cannot";
    }
    return NULL;
}

/* The contradiction between options; NULL: there is none. */
static const char *contradiction(const struct options *o)
{
    if (o->json + o->plain + o->live > 1) {
        return "--json, --plain and --live exclude one another";
    }
    if (o->incoming && o->incoming_proxy) {
        return "--incoming is for the relay, --incoming-proxy for your own proxy: give one of them";
    }
    if (o->no_outgoing && !o->incoming && !o->incoming_proxy) {
        return "--no-outgoing needs --incoming or --incoming-proxy: nothing would be redirected";
    }
    if (o->listen_port_count && !o->incoming && !o->incoming_proxy) {
        return "--listen-port needs --incoming or --incoming-proxy: it says what else comes in";
    }
    if (o->no_outgoing && o->proxy_port) {
        return "--no-outgoing and --proxy-port exclude one another";
    }
    if (o->proxy_port && (o->upstreams.count || o->relay_port)) {
        return "--proxy-port takes the place of the relay, so --upstream and --relay-port have no meaning with it";
    }
    if (o->connect_timeout && o->proxy_port && !o->incoming) {
        return "--connect-timeout is for the relay, and --proxy-port takes its place";
    }
    return udp_contradiction(o);
}

/* The arguments that a command requires. */
enum options_result options_check(const struct options *o)
{
    const char *complaint = contradiction(o);
    if (!complaint && o->command == COMMAND_RUN && (!o->program || !*o->program)) {
        complaint = "no program given; usage: redirector run [options] -- program [arguments]";
    }
    bool named = false;
    for (uint32_t i = 0; i < o->rule_count; i++) {
        named |= o->rules[i].action == REDIRECTOR_RULE_REDIRECT;
    }
    if (!complaint && o->command == COMMAND_ATTACH && !o->pid_count && !named && !o->rules_path) {
        complaint = "attach needs --pid or --name, or --rules; redirector ps shows what runs";
    }
    if (!complaint && (o->command & (COMMAND_FLOWS | COMMAND_STATS)) && o->pid_count > 1) {
        complaint = "one --pid is enough: that of the redirector";
    }
    if (complaint) {
        output_message("%s", complaint);
    }
    return complaint ? OPTIONS_WRONG : OPTIONS_OK;
}

enum udp_mode options_udp(const struct options *o)
{
    if (o->no_outgoing || o->udp_proxy_port) {
        return UDP_PASS;
    }
    return o->udp ? o->udp : o->proxy_port ? UDP_PASS : UDP_RELAY;
}
