// SPDX-License-Identifier: LGPL-3.0-or-later
//
// rules AGENT_PID PROXY_PORT ROOT_PID
//
// Redirects the connections of a tree to another process' proxy, as controlled by lines of standard input:
//
//   + PATTERN    include the programs that match
//   - PATTERN    exclude them
//   .            only count connections
//
// The last line that matches a program decides. Each line is answered with "ok" and the number of connections.

#include "redirector.hpp"

#include <cstdlib>
#include <iostream>
#include <list>

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
            if (line.size() > 2 && (line[0] == '+' || line[0] == '-')) {
                patterns.push_back(line.substr(2));
                redirector_rule rule{};
                rule.include = line[0] == '+';
                rule.pattern = patterns.back().c_str();
                rules.push_back(rule);
                redirector.set_rules(rules);
            }
            std::cout << "ok " << redirector.flows().size() << std::endl;
        }
    } catch (const Redirector::Error &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
