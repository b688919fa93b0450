// SPDX-License-Identifier: LGPL-3.0-or-later

// Rules about connections.

package redirector

import (
	"net/netip"
	"strconv"
	"strings"
)

// Rule is about connections, and UDP flows: whose, to where, and what becomes of them. All that it names must match; what
// is left at its zero value is not named. Rules are applied in order, and the last one that matches decides; where none
// does, the tree's connections are redirected, and all others pass. Rules apply to new connections only.
//
//	{Action: redirector.ActionRedirect, Pattern: "curl.exe"}                             // curl's, of the tree or not
//	{PID: 4711}                                                                          // pass: not those of process 4711
//	{Action: redirector.ActionBlock, Network: netip.MustParsePrefix("192.0.2.0/24")}     // the tree's to there
//	{FirstPort: 5432}                                                                    // pass: the tree's to this port
//
// A rule that names a process (PID or Pattern) is about that process, of the tree or not; if it names nothing else, it
// says whether the process is in scope. A rule that names no process is about those in scope: the tree's, as the rules
// before it have it; one that names a Listener and no process is about those of any process. A rule that names nothing is
// about all that is in scope.
type Rule struct {
	Action Action
	PID    uint32 // the process, if Pattern is ""; else 0

	// Pattern is 1 to 512 bytes of UTF-8. With a slash or backslash in it, it is matched against the full path of the
	// program, else against its file name. '*' stands for any characters, '?' for one; ASCII letters match in either
	// case, slashes in either direction. "": by PID, or any process.
	Pattern string

	// Listener is a pattern as above: only outgoing TCP connections that reach a listening socket of this machine whose
	// program matches it.
	Listener string

	// Host is a pattern of the name under which the other end was looked up, as [Redirector.TellName] has told it. Where
	// no name is known it does not match.
	Host string

	Protocol  Protocol  // 0: either
	Direction Direction // 0: either

	// Network is where the address of the other end is (the destination, or of an incoming connection the peer).
	Network netip.Prefix

	// FirstPort and LastPort are the range of the port that the connection goes to, 1 to 65535. LastPort 0: FirstPort
	// alone. Both 0: any port.
	FirstPort, LastPort int

	// Upstream is any number of yours: [Destination] and [Connection] have it of what this rule has redirected.
	Upstream uint32
}

// Action is what becomes of the connections that a [Rule] matches; the numbers are those of the C library.
type Action uint32

// The actions.
const (
	ActionPass     Action = 0 // they go directly to their destination
	ActionRedirect Action = 1 // they go to the proxy
	ActionBlock    Action = 2 // they are refused at once, as by a closed port; datagrams are dropped
)

// String gives the action in a word.
func (a Action) String() string {
	switch a {
	case ActionPass:
		return "pass"
	case ActionRedirect:
		return "redirect"
	case ActionBlock:
		return "block"
	}
	return "action " + strconv.FormatUint(uint64(a), 10)
}

// Direction says who opened a connection; the numbers are those of the C library.
type Direction uint32

// The directions.
const (
	BothWays Direction = 0
	Outgoing Direction = 1 // what a process opens
	Incoming Direction = 2 // what comes to a listener of a process
)

// RuleCase is a connection that [TestRules] is asked about. What is not known is left at its zero value.
type RuleCase struct {
	OutsideTree bool           // its process does not belong to the tree
	PID         uint32         // its process
	Protocol    Protocol       // 0: TCP
	Direction   Direction      // 0: Outgoing
	Addr        netip.AddrPort // address of the other end, and the port that the connection goes to
	Program     string         // path of its process' program
	Listener    string         // path of the program that listens at the other end, on this machine
	Host        string         // the other end's name
}

// Verdict is what rules say of a connection.
type Verdict struct {
	Action   Action
	Rule     int    // index of the rule that has decided; -1: none, the tree alone
	Upstream uint32 // of that rule
}

// TestRules says what rules would make of a connection, by the code that redirects. It needs no running redirector, and
// no administrator rights. What is never redirected, such as the agent's own, is not known to it. It fails with
// [ErrInvalidArgument] for what [Start] would refuse, or an Addr without a port.
func TestRules(rules []Rule, connection RuleCase) (Verdict, error) {
	if err := checkRules(rules); err != nil {
		return Verdict{}, err
	}
	for _, text := range []string{connection.Program, connection.Listener, connection.Host} {
		if strings.IndexByte(text, 0) >= 0 {
			return Verdict{}, invalidArgument("the connection's %q contains a NUL character", text)
		}
	}
	if connection.Protocol == 0 {
		connection.Protocol = TCP
	}
	if connection.Direction == BothWays {
		connection.Direction = Outgoing
	}
	return testRules(rules, connection)
}

const longestHostName = 253

// TellName tells under which name an address was looked up, for rules that name a Host: to be called by whoever has seen
// the answer of the DNS, before the program gets it, or has read a hosts file. Nothing else makes names known; they are
// never guessed. An address has the name that was told last. 4096 addresses are kept; beyond that the first ones are
// forgotten. It takes milliseconds, at most one second, and fails with [ErrNotRunning] after Stop.
func (r *Redirector) TellName(address netip.Addr, name string) error {
	if !address.IsValid() {
		return invalidArgument("no address is given for the name %q", name)
	}
	name = strings.TrimSuffix(name, ".") // as the DNS has it
	if name == "" || len(name) > longestHostName || strings.IndexByte(name, 0) >= 0 {
		return invalidArgument("the name %q is not 1 to %d bytes without a NUL", name, longestHostName)
	}
	return r.engine.tellName(address, name)
}

// checkRules finds errors that the translation to C would hide. The library finds all others.
func checkRules(rules []Rule) error {
	for i := range rules {
		if err := rules[i].check(i); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) check(number int) error {
	for _, pattern := range []string{r.Pattern, r.Listener, r.Host} {
		if strings.IndexByte(pattern, 0) >= 0 {
			return invalidArgument("rule %d: the pattern %q contains a NUL character", number, pattern)
		}
	}
	for _, port := range []int{r.FirstPort, r.LastPort} {
		if port < 0 || port > 65535 {
			return invalidArgument("rule %d: the port %d is not between 1 and 65535", number, port)
		}
	}
	if r.Network != (netip.Prefix{}) && !r.Network.IsValid() {
		return invalidArgument("rule %d: the network has a longer prefix than its address, or no address; use netip.ParsePrefix",
			number)
	}
	if r.Network.Addr().Is4In6() && r.Network.Bits() < 96 {
		return invalidArgument("rule %d: the network %v is neither one of IPv4 nor one of IPv6", number, r.Network)
	}
	return nil
}
