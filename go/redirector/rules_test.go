// SPDX-License-Identifier: LGPL-3.0-or-later

// R1: what the package itself does about rules. What the library says of them is in engine_windows_amd64_test.go.

package redirector

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// What the translation to C would hide is refused, by a text that names rule and fault, and the former rules stay (R3).
func TestSetRulesChecks(t *testing.T) {
	e := &fakeEngine{}
	r := startFake(t, context.Background(), e)
	good := []Rule{{Action: ActionRedirect, PID: 4}, {Pattern: "a*"}, {}, {FirstPort: 65535},
		{Action: ActionBlock, Network: netip.MustParsePrefix("::ffff:10.0.0.0/104"), LastPort: 65535}}
	if err := r.SetRules(good); err != nil || len(e.rules) != len(good) {
		t.Errorf("%v, %+v", err, e.rules)
	}
	for _, c := range []struct {
		bad  Rule
		text string
	}{
		{Rule{Pattern: "a\x00b"}, `the pattern "a\x00b" contains a NUL`},
		{Rule{Listener: "a\x00b"}, `the pattern "a\x00b" contains a NUL`},
		{Rule{Host: "a\x00b"}, `the pattern "a\x00b" contains a NUL`},
		{Rule{FirstPort: -1, LastPort: 5}, "the port -1 is not"},
		{Rule{FirstPort: 1, LastPort: 1<<32 + 80}, "the port 4294967376 is not"},
		{Rule{Network: netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), 33)}, "the network has a longer prefix than its address"},
		{Rule{Network: netip.MustParsePrefix("::ffff:10.0.0.0/95")}, "the network ::ffff:10.0.0.0/95 is neither one of IPv4"},
	} {
		err := r.SetRules([]Rule{{PID: 4}, c.bad})
		if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "rule 1: "+c.text) || len(e.rules) != len(good) {
			t.Errorf("%+v: %v, %+v", c.bad, err, e.rules)
		}
		if _, err := TestRules([]Rule{{PID: 4}, c.bad}, RuleCase{}); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("TestRules of %+v: %v", c.bad, err)
		}
	}
	for _, bad := range []RuleCase{{Program: "a\x00b"}, {Listener: "a\x00b"}, {Host: "a\x00b"}} {
		if _, err := TestRules(nil, bad); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "NUL") {
			t.Errorf("TestRules of %+v: %v", bad, err)
		}
	}
}

func TestTellName(t *testing.T) {
	e := &fakeEngine{}
	r := startFake(t, context.Background(), e)
	there := netip.MustParseAddr("192.0.2.1")
	for name, want := range map[string]string{"example.test": "example.test", "example.test.": "example.test",
		strings.Repeat("a", 253) + ".": strings.Repeat("a", 253)} {
		if err := r.TellName(there, name); err != nil || e.names[there] != want {
			t.Errorf("%q: %v, %q", name, err, e.names[there])
		}
	}
	delete(e.names, there)
	for _, bad := range []string{"", ".", "a\x00b", strings.Repeat("a", 254)} {
		if err := r.TellName(there, bad); !errors.Is(err, ErrInvalidArgument) || e.names[there] != "" {
			t.Errorf("%q: %v, %q", bad, err, e.names[there])
		}
	}
	if err := r.TellName(netip.Addr{}, "a"); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("no address: %v", err)
	}
}

func TestActionNames(t *testing.T) {
	for action, want := range map[Action]string{0: "pass", ActionRedirect: "redirect", ActionBlock: "block", 3: "action 3"} {
		if got := action.String(); got != want {
			t.Errorf("action %d is called %q", uint32(action), got)
		}
	}
}
