package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

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

func userAgent() string {
	release, _ := version()
	return "jitagent-analyst/" + release
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  analyst version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			release, revision := version()
			if revision != "" {
				revision = " (" + revision + ")"
			}
			_, err := fmt.Fprintf(p.stdout, "analyst %s%s %s %s/%s\n", release, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
