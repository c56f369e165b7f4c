//go:build unix

package mcp

import (
	"os/exec"
	"syscall"
)

// apart puts a program into a group of its own, so that Ctrl-C at the terminal does not
// end it under a call, and what it starts can be ended, but for what leaves the group.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endAll ends what is left of the group.
func endAll(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}
