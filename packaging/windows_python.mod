// A Python for Windows, as files of a module: packaging/tools.sh. The tests run the Python package in it.
module windows_python

go 1.19

require github.com/kluctl/go-embed-python v0.0.0-3.11.11-20241219-1
