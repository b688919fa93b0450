# SPDX-License-Identifier: LGPL-3.0-or-later
"""The library as a Conan package, from the checkout that this file lies in: git checkout vVERSION && conan create .

For Windows x64 with mingw-w64's gcc or clang; shared=True: the DLL, else the archive. See docs/building.md.
"""
import pathlib
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class WindowsRedirector(ConanFile):
    name = "windows-redirector"
    license = "LGPL-3.0-or-later"
    url = "https://github.com/windows-redirector/windows-redirector"
    description = "Leads the TCP connections of a process tree on Windows through a local proxy"
    topics = ("proxy", "tcp", "windows", "windivert")
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}
    package_type = "library"
    exports_sources = "CMakeLists.txt", "cmake/*", "include/*", "src/*", "cli/*", "keploy/*", "COPYING*"

    def set_version(self):
        """The public header is the only place where the version is written down."""
        header = pathlib.Path(self.recipe_folder, "include", "windows_redirector.h").read_text(encoding="utf-8")
        self.version = re.search(r'^#define REDIRECTOR_VERSION_STRING "(.+)"', header, re.M)[1]

    def validate(self):
        if self.settings.os != "Windows" or self.settings.arch != "x86_64":
            raise ConanInvalidConfiguration("windows-redirector is for Windows x64")
        if self.settings.compiler == "msvc":
            raise ConanInvalidConfiguration("windows-redirector is compiled by gcc or clang; for Microsoft's compiler take "
                                            "windows_redirector.dll and .lib of its package (make dist)")

    def configure(self):
        del self.settings.compiler.libcxx  # it is C
        del self.settings.compiler.cppstd

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeToolchain(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build(target="windows_redirector" if self.options.shared else "windows_redirector_static")

    def package(self):
        copy(self, "COPYING*", self.source_folder, str(pathlib.Path(self.package_folder, "licenses")))
        copy(self, "*.h", str(pathlib.Path(self.source_folder, "include")), str(pathlib.Path(self.package_folder, "include")))
        for pattern, folder in (("windows_redirector.dll", "bin"), ("libwindows_redirector*.a", "lib"),
                                ("windows_redirector.lib", "lib")):
            copy(self, pattern, self.build_folder, str(pathlib.Path(self.package_folder, folder)))

    def package_info(self):
        self.cpp_info.libs = ["windows_redirector"]
        self.cpp_info.set_property("cmake_file_name", "windows_redirector")
        self.cpp_info.set_property("cmake_target_name", f"windows_redirector::{'dll' if self.options.shared else 'static'}")
        self.cpp_info.set_property("pkg_config_name", "windows_redirector")
        if self.options.shared:
            self.cpp_info.defines = ["REDIRECTOR_USE_DLL"]
        else:
            self.cpp_info.system_libs = ["ws2_32", "userenv", "ntdll", "advapi32", "ole32", "oleaut32"]
