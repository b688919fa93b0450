// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The control socket: a test asks and sets one line at a time and gets one line of JSON each.
#ifndef LAB_CONTROL_H
#define LAB_CONTROL_H

// Exits with a message if the socket cannot be made.
void control_open(const char *path);
void control_close(void);

#endif
