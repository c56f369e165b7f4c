//go:build unix

package program

import (
	"os/exec"
	"syscall"
)

// apart puts a program into a group of its own, so that Ctrl-C at the terminal does not
// end it under a call, and what it starts can be ended, but for what leaves the group.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// End ends what is left of a program and of what it started.
func End(cmd *exec.Cmd) error {
	if cmd.Process == nil {
		return nil
	}
	return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
