/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file stack_guard.h
 * Put before every source of the Windows builds, with their precompiled headers (cmake/windows.cmake); see stack_guard.c.
 *
 * The two names that the compiler gives to the stack protector's parts become this library's own.
 */
#ifndef WINDOWS_STACK_GUARD_H
#define WINDOWS_STACK_GUARD_H

__asm__(".set __stack_chk_guard, redirector_stack_guard\n\t"
        ".set __stack_chk_fail, redirector_stack_smashed");

#endif
