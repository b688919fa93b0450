// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A C++17 class over the C interface: stops by its destructor, throws what went wrong.
#ifndef EXAMPLES_REDIRECTOR_HPP
#define EXAMPLES_REDIRECTOR_HPP

#include <stdexcept>
#include <string>
#include <vector>

#include <windows_redirector.h>

class Redirector
{
  public:
    struct Error : std::runtime_error {
        explicit Error(uint32_t status, const char *text = nullptr)
            : std::runtime_error(text ? text : redirector_status_name(status)), status(status)
        {
        }
        uint32_t status;
    };

    /// A configuration with everything at its default.
    static redirector_config config()
    {
        redirector_config c{};
        c.size = sizeof c;
        return c;
    }

    explicit Redirector(const redirector_config &config)
    {
        redirector_error error{};
        error.size = sizeof error;
        if (uint32_t status = redirector_start(&config, &r_, &error)) {
            throw Error(status, error.text);
        }
    }

    ~Redirector()
    {
        redirector_free(r_);
    }

    Redirector(const Redirector &) = delete;
    Redirector &operator=(const Redirector &) = delete;

    /// A rule that names nothing yet: about all that is in scope.
    static redirector_rule rule(redirector_rule_action action)
    {
        redirector_rule r{};
        r.size = sizeof r;
        r.action = action;
        return r;
    }

    /// If it throws, the text says which rule is not right, and why, and the former rules stay.
    void set_rules(const std::vector<redirector_rule> &rules)
    {
        redirector_error error{};
        error.size = sizeof error;
        if (uint32_t status = redirector_set_rules(r_, rules.data(), static_cast<uint32_t>(rules.size()), &error)) {
            throw Error(status, error.text);
        }
    }

    std::vector<redirector_flow> flows() const
    {
        std::vector<redirector_flow> list;
        uint32_t total = 16;
        do { // there may be more of them by the time there is room
            list.resize(total + 16);
            list[0].size = sizeof list[0];
            if (uint32_t status = redirector_list_flows(r_, list.data(), static_cast<uint32_t>(list.size()), &total)) {
                throw Error(status);
            }
        } while (total > list.size());
        list.resize(total);
        return list;
    }

  private:
    redirector *r_ = nullptr;
};

#endif
