// SPDX-License-Identifier: LGPL-3.0-or-later
//
// rules AGENT_PID PROXY_PORT ROOT_PID
//
// Redirects the connections of a tree to another process' proxy, as controlled by lines of standard input:
//
//   + PATTERN           include the programs that match
//   - PATTERN           exclude them
//   ! A.B.C.D/LENGTH    block what goes to these addresses
//   .                   only count connections
//
// The last line that matches a connection decides. Each line is answered with "ok" and the number of connections, or with
// "error" and what is wrong with it.

#include "redirector.hpp"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <list>

/// Whether the text is a network of IPv4. That its prefix is not too long the library checks.
static bool read_network(const std::string &text, redirector_rule &rule)
{
    unsigned bytes[4];
    char rest;
    rule.family = 4;
    if (std::sscanf(text.c_str(), "%3u.%3u.%3u.%3u/%3u%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
                    &rule.prefix_length, &rest) != 5) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        if (bytes[i] > 255) {
            return false;
        }
        rule.network[i] = static_cast<uint8_t>(bytes[i]);
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::cerr << "usage: rules AGENT_PID PROXY_PORT ROOT_PID\n";
        return 2;
    }
    redirector_config config = Redirector::config();
    config.agent_pid = static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10));
    config.proxy_port = static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10));
    config.client_pid = static_cast<uint32_t>(std::strtoul(argv[3], nullptr, 10));
    config.log_path = "";
    try {
        Redirector redirector(config);
        std::list<std::string> patterns; // a list, because the rules point into it
        std::vector<redirector_rule> rules;
        std::cout << "ready" << std::endl;
        for (std::string line; std::getline(std::cin, line);) {
            while (!line.empty() && line.back() == '\r') {
                line.pop_back();
            }
            const char kind = line.size() > 2 ? line[0] : '.';
            redirector_rule rule = Redirector::rule(kind == '+'   ? REDIRECTOR_RULE_REDIRECT
                                                    : kind == '!' ? REDIRECTOR_RULE_BLOCK
                                                                  : REDIRECTOR_RULE_PASS);
            if (kind == '!' && !read_network(line.substr(2), rule)) {
                std::cout << "error: this is no network of IPv4: " << line.substr(2) << std::endl;
                continue;
            }
            if (kind == '+' || kind == '-') {
                patterns.push_back(line.substr(2));
                rule.pattern = patterns.back().c_str();
            }
            if (kind == '+' || kind == '-' || kind == '!') {
                rules.push_back(rule);
                try {
                    redirector.set_rules(rules);
                } catch (const Redirector::Error &error) {
                    rules.pop_back(); // the former rules are still there
                    std::cout << "error: " << error.what() << std::endl;
                    continue;
                }
            }
            std::cout << "ok " << redirector.flows().size() << std::endl;
        }
    } catch (const Redirector::Error &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
