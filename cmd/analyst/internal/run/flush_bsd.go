//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package run

import "golang.org/x/sys/unix"

// flush drops what was typed at a terminal and not read yet.
func flush(fd uintptr) error {
	const input = 1 // FREAD
	return unix.IoctlSetPointerInt(int(fd), unix.TIOCFLUSH, input)
}
