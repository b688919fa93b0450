/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* start_redirector() as the public header declares it, in a file of its own: Keploy's archive replaces this file. */
#include "classic.h"

uint32_t start_redirector(uint32_t client_pid, uint32_t agent_pid, uint32_t proxy_port, uint32_t incoming_proxy)
{
    redirector_config config = {
        .size = sizeof config,
        .client_pid = client_pid,
        .agent_pid = agent_pid,
        .proxy_port = proxy_port,
        .incoming_port = incoming_proxy,
    };
    return classic_start(&config);
}
