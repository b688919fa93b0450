// SPDX-License-Identifier: LGPL-3.0-or-later

module fetch

go 1.19
