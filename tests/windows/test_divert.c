/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Loading WinDivert.dll and opening its driver. Arguments: the folder of fake_driver.h; then, if there is one, the folder of
 * the genuine DLL.
 */
#include "fake_driver.h"

static char genuine_folder[600];

/* ---- loading */

static void refuses_a_missing_dll(void)
{
    CHECK(!divert_load(in_folder("nowhere"), &error) && error.code == REDIRECTOR_DLL_NOT_FOUND && error.os_error);
    CHECK(strstr(error.text, "nowhere\\WinDivert.dll"));
    CHECK(!divert_load(NULL, &error) && error.code == REDIRECTOR_DLL_NOT_FOUND); /* none beside the test program */
    CHECK(!divert_load("\xff", &error) && error.code == REDIRECTOR_DLL_NOT_FOUND);
}

static void refuses_a_relative_folder(void)
{
    SetCurrentDirectoryA(folder);
    static const char *const folders[] = {"fake", ".\\fake", "", ".", "\\fake", "C:fake"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        CHECK(!divert_load(folders[i], &error) && error.code == REDIRECTOR_DLL_NOT_FOUND &&
              strstr(error.text, "must be absolute"));
    }
}

static void refuses_other_dlls(void)
{
    CHECK(!divert_load(in_folder("empty"), &error) && error.code == REDIRECTOR_DLL_VERSION);
    CHECK(strstr(error.text, "WinDivertOpen"));
    CHECK(!divert_load(in_folder("old"), &error) && error.code == REDIRECTOR_DLL_VERSION);
    CHECK(strstr(error.text, "WinDivertHelperNtohIPv6Address"));
    CHECK(!divert_load(in_folder("text"), &error) && error.code == REDIRECTOR_DLL_VERSION);
}

static void accepts_forward_slashes_and_long_paths(void)
{
    char path[600];
    snprintf(path, sizeof path, "%s", in_folder("fake/"));
    for (char *p = path; *p; p++) {
        *p = *p == '\\' ? '/' : *p;
    }
    struct divert_api *loaded = divert_load(path, &error);
    CHECK(loaded != NULL);
    divert_unload(loaded);

    wchar_t deep[800], from[700], to[820];
    char utf8[800];
    int length = swprintf(deep, 800, L"\\\\?\\%hs", folder);
    for (int i = 0; i < 3; i++) {
        length += swprintf(deep + length, 800 - (size_t)length, L"\\%0100d", i);
        CreateDirectoryW(deep, NULL);
    }
    swprintf(from, 700, L"%hs\\WinDivert.dll", in_folder("fake"));
    swprintf(to, 820, L"%ls\\WinDivert.dll", deep);
    CHECK(CopyFileW(from, to, FALSE));
    snprintf(utf8, sizeof utf8, "%ls", deep + 4);
    loaded = divert_load(utf8, &error);
    CHECK(loaded != NULL);
    divert_unload(loaded);
    DeleteFileW(to);
}

static void loads_the_genuine_dll(void)
{
    if (!genuine_folder[0]) {
        SKIP("no genuine WinDivert.dll given");
        return;
    }
    struct divert_api *genuine = divert_load(genuine_folder, &error);
    CHECK(genuine != NULL);
    divert_unload(genuine);
}

/* The folder given has no WinDivert64.sys, and no driver runs where these tests run. */
static void names_the_missing_driver(void)
{
    struct divert_api *genuine = genuine_folder[0] ? divert_load(genuine_folder, &error) : NULL;
    if (!genuine) {
        SKIP("no genuine WinDivert.dll given");
        return;
    }
    CHECK(!divert_open(genuine, "true", DIVERT_LAYER_NETWORK, 0, &error));
    CHECK(error.code == REDIRECTOR_DRIVER_NOT_FOUND && strstr(error.text, "WinDivert64.sys (Windows"));
    printf("# %s\n", error.text);
    divert_unload(genuine);
}

/* ---- opening */

static void translates_open_errors(void)
{
    static const struct {
        uint32_t os_error;
        redirector_status status;
    } cases[] = {
        {2, REDIRECTOR_DRIVER_NOT_FOUND},   {3, REDIRECTOR_DRIVER_NOT_FOUND},  {5, REDIRECTOR_NOT_ELEVATED},
        {87, REDIRECTOR_INTERNAL},          {110, REDIRECTOR_DRIVER_SERVICE},  {577, REDIRECTOR_DRIVER_SIGNATURE},
        {654, REDIRECTOR_DRIVER_CONFLICT},  {1053, REDIRECTOR_DRIVER_SERVICE}, {1058, REDIRECTOR_DRIVER_SERVICE},
        {1060, REDIRECTOR_DRIVER_SERVICE},  {1072, REDIRECTOR_DRIVER_SERVICE}, {1275, REDIRECTOR_DRIVER_BLOCKED},
        {225, REDIRECTOR_DRIVER_BLOCKED},   {1260, REDIRECTOR_DRIVER_BLOCKED}, {4551, REDIRECTOR_DRIVER_BLOCKED},
        {1753, REDIRECTOR_BFE_NOT_RUNNING}, {1450, REDIRECTOR_NO_MEMORY},      {8, REDIRECTOR_NO_MEMORY},
        {22, REDIRECTOR_DRIVER_FAILED},     {1167, REDIRECTOR_DRIVER_FAILED},
    };
    if (!load_fake()) {
        return;
    }
    fclose(fopen(in_folder("fake\\WinDivert64.sys"), "w"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int null = 0; null < 2; null++) {
            fake->open_error = cases[i].os_error;
            fake->open_null = null;
            CHECK(!open_network());
            CHECK(error.code == (uint32_t)cases[i].status && error.os_error == cases[i].os_error);
        }
    }
    fake->open_error = 2;
    CHECK(!open_network() && strstr(error.text, "fake\\WinDivert64.sys is there"));
    DeleteFileA(in_folder("fake\\WinDivert64.sys"));
    CHECK(!open_network() && strstr(error.text, ": no ") && strstr(error.text, "fake\\WinDivert64.sys (Windows"));
    fake->open_error = 1114; /* the missing file explains this one */
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_NOT_FOUND && error.os_error == 1114);
    fake->open_error = 5; /* but not this one */
    CHECK(!open_network() && error.code == REDIRECTOR_NOT_ELEVATED);
    unload_fake();
}

static void opens_with_the_right_arguments(void)
{
    if (!load_fake()) {
        return;
    }
    struct divert_ring *ring = divert_open(api, "outbound", DIVERT_LAYER_NETWORK, 7, &error);
    CHECK(ring && strcmp(fake->filter, "outbound") == 0 && fake->layer == 0 && fake->priority == 7 &&
          fake->flags == FAKE_NO_INSTALL);
    CHECK(fake->params[0] == 16384 && fake->params[1] == 16000 && fake->params[2] == 33554432);
    CHECK(fake->receives == 0); /* the opening thread may end at any time */
    post_all(ring, 4);
    CHECK(fake->receives == 4 && fake->closes == 0);
    divert_close(ring);
    CHECK(fake->closes == 1);
    ring = divert_open(api, "tcp", DIVERT_LAYER_SOCKET, -3, &error);
    CHECK(ring && fake->layer == 3 && fake->priority == -3 && fake->flags == (5 | FAKE_NO_INSTALL));
    post_all(ring, 2);
    CHECK(fake->receives == 6);
    divert_close(ring);
    divert_close(NULL);
    unload_fake();
}

/* Installing without the file would leave a broken service behind. */
static void installs_the_driver_only_when_its_file_is_there(void)
{
    if (!load_fake()) {
        return;
    }
    fake->not_installed = true;
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_NOT_FOUND && fake->opens == 1);
    CHECK(strstr(error.text, "fake\\WinDivert64.sys"));
    fclose(fopen(in_folder("fake\\WinDivert64.sys"), "w"));
    struct divert_ring *ring = open_network();
    CHECK(ring && fake->opens == 3 && fake->flags == 0);
    divert_close(ring);
    DeleteFileA(in_folder("fake\\WinDivert64.sys"));
    unload_fake();
}

static void refuses_another_driver_version(void)
{
    if (!load_fake()) {
        return;
    }
    fake->version_minor = 0;
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_CONFLICT && strstr(error.text, "version 2.0"));
    CHECK(fake->closes == 1 && fake->receives == 0);
    fake->version_minor = 2;
    fake->param_error = ERROR_NO_SYSTEM_RESOURCES;
    CHECK(!open_network() && error.code == REDIRECTOR_DRIVER_FAILED && error.os_error == ERROR_NO_SYSTEM_RESOURCES);
    CHECK(fake->closes == 2);
    unload_fake();
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    snprintf(folder, sizeof folder, "%s", argv[1]);
    if (argc > 2) {
        snprintf(genuine_folder, sizeof genuine_folder, "%s", argv[2]);
    }
    RUN(refuses_a_missing_dll);
    RUN(refuses_a_relative_folder);
    RUN(refuses_other_dlls);
    RUN(accepts_forward_slashes_and_long_paths);
    RUN(loads_the_genuine_dll);
    RUN(names_the_missing_driver);
    RUN(translates_open_errors);
    RUN(opens_with_the_right_arguments);
    RUN(installs_the_driver_only_when_its_file_is_there);
    RUN(refuses_another_driver_version);
    return checks_done();
}
