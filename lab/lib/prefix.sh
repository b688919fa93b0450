# SPDX-License-Identifier: LGPL-3.0-or-later
# The Wine prefix. One template is made per machine and Wine version; each lab gets a copy.
# Sourced by lab/lab.
#
# A fresh prefix is 700 MB of copies of Wine's own files; links to them instead make it 20 MB. The
# template never sees the WinDivert service: a prefix remembers a service with the path of its driver
# file, and a copy would load the wrong one. The copy gets the lab's own system DLLs (iphlpapi/, fwpuclnt/) and the kernel
# modules that the genuine driver asks for (windows/); Wine finds them there whatever the case of the name.

template=$lab_build/prefix-template
wine_files=/usr/lib/x86_64-linux-gnu/wine/x86_64-windows

prefix_link_files() {
    local file name
    find "$1/drive_c" -type f -print0 | while IFS= read -r -d '' file; do
        name=${file##*/}
        if [ -f "$wine_files/$name" ] && cmp -s "$file" "$wine_files/$name"; then
            ln -sf "$wine_files/$name" "$file"
        fi
    done
}

# Made in a namespace of its own with nothing in it, so that nothing gets out.
prefix_make_template() (
    local new=$template.new.$$ version=$1
    prefix=$new
    wine_environment
    rm -rf "$template" "$new"
    mkdir -p "$new"
    unshare --net -- "$wine" wineboot -i > "$template.log" 2>&1 </dev/null &&
        "$wineserver" -w &&
        prefix_link_files "$new" &&
        prefix_remove_server_dir "$new" &&
        echo "$version" > "$new/lab-wine-version" &&
        mv "$new" "$template"
)

# Copies the template to $prefix, making it first if it is missing or of another Wine.
prefix_prepare() {
    local version
    version=$("$wine" --version)
    mkdir -p "$lab_build"
    (
        flock 9
        if [ "$(cat "$template/lab-wine-version" 2>/dev/null)" != "$version" ]; then
            say "preparing the Wine prefix (once)"
            prefix_make_template "$version" || { say "failed, see $template.log" >&2; exit 1; }
        fi
    ) 9> "$template.lock" || return 1
    cp -a "$template" "$prefix" &&
        cp --remove-destination "$lab_build"/system32/*.dll "$lab_build"/drivers/*.sys \
            "$prefix/drive_c/windows/system32/"
}

# Removes wineserver's directory, whose name Debian's Wine keeps in a file of the prefix.
prefix_remove_server_dir() {
    local name
    [ -r "$1/wineserver" ] && read -r name < <(cat "$1/wineserver"; echo) || return 0
    case $name in wine-??????) rm -rf "/tmp/$name" ;; esac
    rm -f "$1/wineserver"
}
