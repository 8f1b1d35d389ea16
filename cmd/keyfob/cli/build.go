package cli

import (
	"crypto/fips140"
	"runtime"
	"runtime/debug"
)

// version is set when a release is linked: -ldflags "-X keyfob/cmd/keyfob/cli.version=1.0.0".
var version string

// Build describes this binary.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// FIPS is the FIPS 140-3 mode of this process: off, on or only. FIPSModule is
	// the version of the Go Cryptographic Module in the binary.
	FIPS       string `json:"fips"`
	FIPSModule string `json:"fips_module"`
}

func ThisBuild() Build {
	b := Build{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		FIPS: fipsMode(), FIPSModule: fips140.Version(),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func fipsMode() string {
	switch {
	case fips140.Enforced():
		return "only"
	case fips140.Enabled():
		return "on"
	}
	return "off"
}
