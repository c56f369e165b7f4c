// Package program starts programs that the operator names: with nothing of our environment
// but what every program needs, and apart, so that what they start can be ended with them.
package program

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// needed are the variables that every program needs, on one system or another. No
// credential is in them.
var needed = strings.Fields(`PATH HOME USER LOGNAME SHELL TERM LANG LC_ALL TZ TMPDIR
	SYSTEMROOT SYSTEMDRIVE COMSPEC PATHEXT WINDIR TEMP TMP USERPROFILE USERNAME APPDATA LOCALAPPDATA PROGRAMFILES PROGRAMDATA`)

// Command returns a program with its arguments, which the end of ctx ends, with all that it
// started. It gets more variables, as NAME, which ours have, or NAME=VALUE.
func Command(ctx context.Context, words []string, more ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the operator's own
	cmd.Env = []string{}
	for _, variable := range append(slices.Clone(needed), more...) {
		if value, ok := os.LookupEnv(variable); ok && !strings.Contains(variable, "=") {
			variable += "=" + value
		}
		if strings.Contains(variable, "=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	apart(cmd)
	cmd.Cancel = func() error { return End(cmd) }
	return cmd
}
