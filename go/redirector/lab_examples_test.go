// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

// The examples that need a driver, with what they print.

package redirector_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

// printed runs an example, whose program is this test program once more, and gives what both print.
func printed(t *testing.T, example func(), args ...string) string {
	t.Helper()
	t.Setenv("REDIRECTOR_TEST_CHILD", "1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, ownArgs := os.Stdout, os.Args
	defer func() { os.Stdout, os.Args = stdout, ownArgs }()
	os.Stdout, os.Args = w, append([]string{"example"}, args...)
	all := make(chan string)
	go func() {
		text, _ := io.ReadAll(r)
		all <- string(text)
	}()
	example()
	w.Close()
	return <-all
}

func TestLabExampleRecorder(t *testing.T) {
	server := redirector.LabServer(t)
	got := printed(t, Example_recorder, os.Args[0], server)
	address := regexp.QuoteMeta(server)
	for _, want := range []string{
		fmt.Sprintf(`(?m)^process \d+ -> %s: "hello from %s\\n"$`, address, address),
		fmt.Sprintf(`(?m)^process \d+ <- %s: "the program itself, to 10\.77\.0\.1\\n"$`, address),
		fmt.Sprintf(`(?m)^%s heard the program itself, to 10\.77\.0\.1$`, address),
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("it does not print %s, but\n%s", want, got)
		}
	}
}

// lab_test.sh has made a copy of the test program that is called curl.exe.
func TestLabExampleMock(t *testing.T) {
	t.Setenv("PATH", filepath.Dir(os.Args[0])+";"+os.Getenv("PATH"))
	const want = "this is not 192.0.2.1:80, but you may have /a/page\n"
	if got := printed(t, ExampleOriginalDst); got != want {
		t.Errorf("it prints %q", got)
	}
}

// lab_test.sh has made a copy of the test program that is called client.exe.
func TestLabExamplePackets(t *testing.T) {
	t.Setenv("PATH", filepath.Dir(os.Args[0])+";"+os.Getenv("PATH"))
	t.Setenv("REDIRECTOR_TEST_SEND", "10.77.0.2:9")
	const want = `10.77.0.2:9 said this is not 10.77.0.2:9, which you told "to 10.77.0.2:9"` + "\n"
	if got := printed(t, ExampleRedirector_PacketConn); got != want {
		t.Errorf("it prints %q", got)
	}
}
