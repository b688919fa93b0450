// SPDX-License-Identifier: LGPL-3.0-or-later

// The path only names the project: the package is part of the repository and links the archive that is built there,
// so it is used from a checkout (a replace directive or a workspace), not downloaded by its path.
module github.com/windows-redirector/windows-redirector/go

go 1.19
