// SPDX-License-Identifier: LGPL-3.0-or-later

// A module of its own: it links an archive that is put beside it (keploy/lab_test.sh), so that it is no part of the
// module that others get.
module github.com/windows-redirector/windows-redirector/keploy/test

go 1.19
