package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/jitagent/jitagent/internal/plain"
)

// Build names this program's release and what it was built from.
func Build() string {
	release, revision := version()
	return fmt.Sprintf("%s%s %s %s/%s", release, plain.Between(" (", revision, ")"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Release is the version of this program.
func Release() string {
	release, _ := version()
	return release
}

// UserAgent names this program to servers.
func UserAgent() string { return "jitagent-analyst/" + Release() }

// version is the release, as the build knows it.
func version() (release, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	release = info.Main.Version
	if release == "" || release == "(devel)" {
		release = "development"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return release, revision
}
