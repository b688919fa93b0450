# SPDX-License-Identifier: LGPL-3.0-or-later
"""The wheel's tag: any Python 3, on Windows, x64. No code in it is compiled for one version of Python."""
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-win_amd64"
