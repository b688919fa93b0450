# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Reads the version from the public header, the only place where it is written down. Sets REDIRECTOR_VERSION.

set(header "${CMAKE_CURRENT_LIST_DIR}/../include/windows_redirector.h")
# A new version in the header must reach the resources of the DLL without a manual cmake run.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")

foreach(part MAJOR MINOR PATCH)
    file(STRINGS "${header}" line REGEX "^#define REDIRECTOR_VERSION_${part} [0-9]+$")
    if(NOT line MATCHES "([0-9]+)$")
        message(FATAL_ERROR "${header} has no line '#define REDIRECTOR_VERSION_${part} <number>'")
    endif()
    set(version_${part} "${CMAKE_MATCH_1}")
endforeach()
set(REDIRECTOR_VERSION "${version_MAJOR}.${version_MINOR}.${version_PATCH}")

file(STRINGS "${header}" line REGEX "^#define REDIRECTOR_VERSION_STRING ")
if(NOT line STREQUAL "#define REDIRECTOR_VERSION_STRING \"${REDIRECTOR_VERSION}\"")
    message(FATAL_ERROR "${header}: REDIRECTOR_VERSION_STRING is not \"${REDIRECTOR_VERSION}\"")
endif()
