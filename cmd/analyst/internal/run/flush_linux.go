package run

import "golang.org/x/sys/unix"

// flush drops what was typed at a terminal and not read yet.
func flush(fd uintptr) error {
	return unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCIFLUSH)
}
