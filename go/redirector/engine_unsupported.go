// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build !(windows && amd64)

package redirector

func startEngine(Config) (engine, error) {
	return nil, &Error{
		Status: ErrUnsupported,
		Text:   "redirecting is not supported by this program; build it for windows/amd64",
	}
}

func testRules([]Rule, RuleCase) (Verdict, error) {
	return Verdict{}, &Error{
		Status: ErrUnsupported,
		Text:   "rules cannot be tested by this program; build it for windows/amd64",
	}
}

// Version is the version of the C library, "0.1.0"; "" in a program that has none.
func Version() string { return "" }
