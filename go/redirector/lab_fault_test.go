// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

package redirector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// A driver that fails, by order of lab_test.sh: the first opening is denied, and when the test has said so, it gives no
// more packets. The program is told, and traffic flows (S3).
func TestFaultOfDriver(t *testing.T) {
	c, inner := startClient(t), mustListen(t)
	config := Config{ClientPID: c.pid(), ProxyPort: Port(inner), NoLogFile: true}
	r, err := Start(context.Background(), config)
	var detail *Error
	if !errors.Is(err, ErrNotElevated) || !errors.Is(err, fs.ErrPermission) || !errors.As(err, &detail) ||
		detail.OSError != 5 {
		r.Stop()
		t.Fatalf("the driver denies access, and Start says %v", err)
	}

	r, err = Start(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	l := r.Listener(inner)
	c.dial(servers[0])
	conn, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(conn, "welcome")
	c.line()
	if err := r.Err(); err != nil {
		t.Fatalf("while all is well: %v", err)
	}

	fmt.Println("the driver may fail now")
	if conn, err := l.AcceptConn(); err == nil { // it ends with the redirection
		t.Fatalf("accepted %v", conn.RemoteAddr())
	}
	<-r.Done()
	if err := r.Err(); !errors.Is(err, ErrDriverFailed) || !strings.Contains(err.Error(), "no more") {
		t.Errorf("the reason is %v", err)
	}
	c.wantLine(servers[0], "error ") // it gets to the server
	if _, err := r.Flows(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Flows: %v", err)
	}
}
