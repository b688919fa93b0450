// SPDX-License-Identifier: LGPL-3.0-or-later

// R1: rules as the library judges them, which needs no driver.

package redirector

import (
	"net/netip"
	"strings"
	"testing"
)

// What is wrong with a rule is found before anything else happens, and the text says which rule, and what it is.
func TestRuleFailures(t *testing.T) {
	client := livePID(t)
	var many [257]Rule
	long := strings.Repeat("a", 513)
	cases := []struct {
		name  string
		rules []Rule
		text  string // "": it is right
	}{
		{"right", []Rule{{Action: ActionRedirect, PID: 4}, {Pattern: "curl.exe"}, {Pattern: `*\tools\*`}, {}}, ""},
		{"action", []Rule{{PID: 4}, {Action: 3}}, "rule 1: its action is none of"},
		{"direction", []Rule{{Direction: 3}}, "rule 0: its direction is none of"},
		{"protocol", []Rule{{Protocol: 1}}, "rule 0: its protocol is neither"},
		{"process id beside a pattern", []Rule{{PID: 4, Pattern: "a"}}, "rule 0: it has both a pid and a pattern"},
		{"ports backwards", []Rule{{FirstPort: 2, LastPort: 1}}, "rule 0: its range of ports runs backwards"},
		{"ports from 0", []Rule{{LastPort: 1}}, "rule 0: its range of ports begins with 0"},
		{"NUL", []Rule{{Pattern: "a\x00b"}}, "rule 0: the pattern"},
		{"listener alone", []Rule{{Listener: `*\guard\*`}, {PID: 4, Listener: "b"}}, ""},
		{"listener too long", []Rule{{Listener: long}}, "rule 0: its listener is empty or longer"},
		{"longest pattern", []Rule{{Pattern: long[1:], Host: long[1:]}}, ""},
		{"pattern too long", []Rule{{Pattern: long}}, "rule 0: its pattern is empty or longer"},
		{"host too long", []Rule{{Host: long}}, "rule 0: its host is empty or longer"},
		{"as many as may be", many[:256], ""},
		{"too many", many[:257], "more than 256 rules"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := mustFail(t, Config{ClientPID: client, ProxyPort: 8080, Rules: c.rules})
			if c.text == "" {
				wantStatus(t, err, ErrDLLNotFound)
				return
			}
			wantStatus(t, err, ErrInvalidArgument)
			_, tested := TestRules(c.rules, RuleCase{Addr: netip.MustParseAddrPort("192.0.2.1:1")})
			for _, err := range []error{err, tested} {
				if err == nil || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, which does not say %q", err, c.text)
				}
			}
		})
	}
}

// Every field of a rule, and of a connection, counts: the same with one of them different has another verdict.
func TestVerdicts(t *testing.T) {
	rule := Rule{Action: ActionBlock, Pattern: `*\APP.exe`, Host: "*.example", Protocol: UDP, Direction: Outgoing,
		Network: netip.MustParsePrefix("2001:db8::/32"), FirstPort: 5000, LastPort: 6000, Upstream: 7}
	connection := RuleCase{OutsideTree: true, PID: 9, Protocol: UDP, Addr: netip.MustParseAddrPort("[2001:db8::1]:5500"),
		Program: `C:\app.exe`, Host: "a.example"}
	ask := func(rule Rule, connection RuleCase) Verdict {
		t.Helper()
		v, err := TestRules([]Rule{{Action: ActionRedirect, PID: 1 << 30}, rule}, connection)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v, want := ask(rule, connection), (Verdict{ActionBlock, 1, 7}); v != want {
		t.Errorf("%+v, want %+v", v, want)
	}
	none := Verdict{ActionPass, -1, 0}
	for name, change := range map[string]func(r *Rule, c *RuleCase){
		"program":    func(_ *Rule, c *RuleCase) { c.Program = `C:\other.exe` },
		"host":       func(_ *Rule, c *RuleCase) { c.Host = "" },
		"protocol":   func(_ *Rule, c *RuleCase) { c.Protocol = 0 },
		"direction":  func(_ *Rule, c *RuleCase) { c.Direction = Incoming },
		"address":    func(_ *Rule, c *RuleCase) { c.Addr = netip.MustParseAddrPort("[2001:db9::1]:5500") },
		"family":     func(_ *Rule, c *RuleCase) { c.Addr = netip.MustParseAddrPort("10.0.0.1:5500") },
		"port":       func(_ *Rule, c *RuleCase) { c.Addr = netip.MustParseAddrPort("[2001:db8::1]:6001") },
		"one port":   func(r *Rule, _ *RuleCase) { r.LastPort = 0 },
		"process":    func(r *Rule, _ *RuleCase) { r.Pattern, r.PID = "", 8 },
		"listener":   func(r *Rule, _ *RuleCase) { r.Listener = "guard.exe" },
		"no process": func(r *Rule, _ *RuleCase) { r.Pattern = "" }, // it is then about the tree's alone
	} {
		r, c := rule, connection
		if change(&r, &c); ask(r, c) != none {
			t.Errorf("%s: %+v", name, ask(r, c))
		}
	}
	tree := connection
	tree.OutsideTree = false
	if v, want := ask(Rule{PID: 8}, tree), (Verdict{ActionRedirect, -1, 0}); v != want {
		t.Errorf("of the tree: %+v, want %+v", v, want)
	}
	mapped := RuleCase{Addr: netip.MustParseAddrPort("[::ffff:10.1.2.3]:80"), Listener: `C:\guard.exe`}
	if v, want := ask(Rule{Network: netip.MustParsePrefix("10.0.0.0/8"), Listener: "guard.exe", FirstPort: 80}, mapped),
		(Verdict{ActionPass, 1, 0}); v != want {
		t.Errorf("IPv4: %+v, want %+v", v, want)
	}
	if _, err := TestRules(nil, RuleCase{}); err == nil {
		t.Error("a connection to nowhere was judged")
	} else {
		wantStatus(t, err, ErrInvalidArgument)
	}
}
