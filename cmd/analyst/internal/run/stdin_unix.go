//go:build unix

package run

import (
	"os"

	"golang.org/x/sys/unix"
)

// waits reports whether something can be read from a pipe now.
func waits(f *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
}
