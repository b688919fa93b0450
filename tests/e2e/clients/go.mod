// The path only names the project: these are programs of the tests.
module github.com/windows-redirector/windows-redirector/tests/e2e/clients

go 1.19

require (
	github.com/gomodule/redigo v1.8.9
	github.com/gorilla/websocket v1.5.0
	github.com/lib/pq v1.10.9
)
