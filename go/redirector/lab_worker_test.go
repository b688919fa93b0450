// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

// The program whose connections are redirected in the lab: this test program once more.

package redirector

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func init() { childWork = worker }

// worker is a client, or a server. With an address, or a URL of http, on its command line it connects there and ends;
// with "resolve" it does what that word does on its input, and ends. Else for each address on its input it connects, says
// hello and passes on the answer; for "listen" and an address it listens there, tells the address, and answers each hello;
// for "start" it starts another worker, which goes on with its input; for the words of udpWork it does that.
func worker() {
	if len(os.Args) > 3 && os.Args[1] == "resolve" {
		udpWork("resolve", os.Args[2:])
		return
	}
	if to := os.Getenv("REDIRECTOR_TEST_SEND"); to != "" { // the child of an example, which gives it no arguments
		udpWork("send", []string{to})
		return
	}
	if len(os.Args) > 1 {
		if strings.HasPrefix(os.Args[1], "http:") {
			fetch(os.Args[1])
		} else {
			dial(os.Args[1])
		}
		return
	}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		word, address, _ := strings.Cut(input.Text(), " ")
		switch word {
		case "listen":
			serve(address)
		case "start":
			startAnother()
			return
		case "resolve", "send":
			udpWork(word, strings.Fields(address))
		default:
			go dial(word)
		}
	}
}

// startAnother reads its own input no more: what comes is the other one's. It ends with that one.
func startAnother() {
	cmd := exec.Command(os.Args[0])
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	if err := cmd.Start(); err != nil {
		fmt.Printf("error %v\n", err)
		return
	}
	fmt.Println(cmd.Process.Pid)
	cmd.Wait()
}

func fetch(url string) {
	response, err := http.Get(url)
	if err != nil {
		fmt.Printf("error %v\n", err)
		return
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}

func dial(address string) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		fmt.Printf("error %v\n", err)
		return
	}
	fmt.Fprintln(conn, "hello from", address)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		fmt.Printf("cut off: %v\n", err)
	} else {
		fmt.Printf("%s heard %s", conn.RemoteAddr(), answer)
	}
	conn.Close()
}

func serve(address string) {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		fmt.Printf("error %v\n", err)
		return
	}
	fmt.Println(listener.Addr())
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
					fmt.Fprintf(conn, "the program itself, to %s\n", conn.RemoteAddr().(*net.TCPAddr).IP)
				}
				conn.Close()
			}()
		}
	}()
}

// client is a worker process.
type client struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Writer
	lines *bufio.Reader
}

func startClient(t *testing.T) *client {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := firstError(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	return &client{t, cmd, stdin, bufio.NewReader(stdout)}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *client) dial(address string) { fmt.Fprintln(c.stdin, address) }

func (c *client) pid() uint32 { return uint32(c.cmd.Process.Pid) }

// listen makes it a server on the host's own address.
func (c *client) listen() string {
	fmt.Fprintln(c.stdin, "listen "+ownAddress+":0")
	address := c.line()
	if !strings.HasPrefix(address, ownAddress) {
		c.t.Fatal(address)
	}
	return address
}

// startAnother makes it start another one, which takes its place, and gives the process id of that one.
func (c *client) startAnother() uint32 {
	c.t.Helper()
	fmt.Fprintln(c.stdin, "start")
	pid, err := strconv.ParseUint(c.line(), 10, 32)
	if err != nil {
		c.t.Fatal(err)
	}
	return uint32(pid)
}

// wantLine dials, and compares what the client says then; want is its beginning.
func (c *client) wantLine(address, want string) {
	c.t.Helper()
	c.dial(address)
	if got := c.line(); !strings.HasPrefix(got, want) {
		c.t.Errorf("%s: the client says %q, not %q", address, got, want)
	}
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// LabServer starts a server on the host's own address; for the examples.
func LabServer(t *testing.T) string { return startClient(t).listen() }
