package run

import "golang.org/x/sys/windows"

// flush drops what was typed at a terminal and not read yet.
func flush(fd uintptr) error { return windows.FlushConsoleInputBuffer(windows.Handle(fd)) }
