//go:build !unix

package mcp

import "os/exec"

func apart(*exec.Cmd) {}

// endAll ends the program, if it is still there.
func endAll(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = cmd.Process.Kill()
	}
}
