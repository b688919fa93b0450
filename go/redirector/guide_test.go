// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the guide shows is the text of examples, which are compiled everywhere and run in the lab. Only that a program
// is shown as one: package main, with a main.
func TestGuideShowsExamples(t *testing.T) {
	guide, err := os.ReadFile("../../docs/go.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	examples := ""
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		examples += unindented(string(text)) + "\n"
	}
	examples = strings.ReplaceAll(examples, "package redirector_test", "package main")
	examples = strings.ReplaceAll(examples, "func Example_recorder()", "func main()")

	blocks := regexp.MustCompile("(?ms)^ *```go$(.*?)^ *```$").FindAllStringSubmatch(string(guide), -1)
	if len(blocks) < 3 || !strings.Contains(blocks[len(blocks)-1][1], "func main()") {
		t.Fatalf("the guide shows %d pieces of code", len(blocks))
	}
	for _, block := range blocks {
		if code := strings.TrimSpace(unindented(block[1])); !strings.Contains(examples, code) {
			t.Errorf("this is in no example as it stands:\n%s", block[1])
		}
	}
}

func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
