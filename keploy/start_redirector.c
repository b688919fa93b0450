/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: start_redirector() as Keploy calls it has six arguments; the last two are the mode and whether to
 * log more.
 *
 * This file replaces src/classic_start.c in a separate archive; all else is the same. The public header's declaration
 * with four arguments is hidden here under another name.
 */
#define start_redirector start_redirector_of_the_header
#include "classic.h"
#undef start_redirector

#include <windows.h>

enum { MODE_OFF = 0, MODE_RECORD = 1, MODE_TEST = 2 };

unsigned int start_redirector(unsigned int client_pid, unsigned int agent_pid, unsigned int proxy_port,
                              unsigned int incoming_proxy, unsigned int mode, unsigned int debug);

/*
 * The client is Keploy's own process, which starts the program under test: it is a root, but is not redirected itself.
 * The agent is another such root, because programs can be its descendants, too.
 */
unsigned int start_redirector(unsigned int client_pid, unsigned int agent_pid, unsigned int proxy_port,
                              unsigned int incoming_proxy, unsigned int mode, unsigned int debug)
{
    if (mode == MODE_OFF) {
        return classic_start(NULL);
    }
    if (mode != MODE_RECORD && mode != MODE_TEST) {
        return classic_refuse(REDIRECTOR_INVALID_ARGUMENT, "the mode is neither 0 (off), 1 (record) nor 2 (test)");
    }
    uint32_t agent = agent_pid ? agent_pid : GetCurrentProcessId();
    redirector_config config = {
        .size = sizeof config,
        .client_pid = client_pid,
        .agent_pid = agent,
        .roots = &agent,
        .root_count = 1,
        .proxy_port = proxy_port,
        .incoming_port = mode == MODE_RECORD ? incoming_proxy : 0,
        .flags = REDIRECTOR_DESCENDANTS_ONLY,
        .log_level = debug ? REDIRECTOR_LOG_DEBUG : REDIRECTOR_LOG_DEFAULT,
    };
    return classic_start(&config);
}
