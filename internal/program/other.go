//go:build !unix

package program

import "os/exec"

func apart(*exec.Cmd) {}

// End ends a program, if it is still there.
func End(cmd *exec.Cmd) error {
	if cmd.Process == nil {
		return nil
	}
	return cmd.Process.Kill()
}
