// The path only names the project: these are programs of the tests.
module github.com/windows-redirector/windows-redirector/tests/e2e/clients

go 1.19

require (
	github.com/beevik/ntp v0.3.0
	github.com/gomodule/redigo v1.8.9
	github.com/gorilla/websocket v1.5.0
	github.com/lib/pq v1.10.9
	github.com/quic-go/quic-go v0.36.4
)

require (
	github.com/go-task/slim-sprig v0.0.0-20230315185526-52ccab3ef572 // indirect
	github.com/golang/mock v1.6.0 // indirect
	github.com/google/pprof v0.0.0-20210407192527-94a9f03dee38 // indirect
	github.com/onsi/ginkgo/v2 v2.9.5 // indirect
	github.com/quic-go/qtls-go1-19 v0.3.3 // indirect
	github.com/quic-go/qtls-go1-20 v0.2.3 // indirect
	golang.org/x/crypto v0.4.0 // indirect
	golang.org/x/exp v0.0.0-20221205204356-47842c84f3db // indirect
	golang.org/x/mod v0.10.0 // indirect
	golang.org/x/net v0.10.0 // indirect
	golang.org/x/sys v0.8.0 // indirect
	golang.org/x/tools v0.9.1 // indirect
)
