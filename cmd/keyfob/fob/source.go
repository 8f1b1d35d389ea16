package fob

import (
	"strings"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
	"keyfob/engine/tokenfile"
)

// Source holds the flags for reading a file of tokens.
type Source struct {
	format, encoding, PasswordFile, deviceID string
}

// Flags adds the flags.
func (s *Source) Flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.format, "format", "", "format of the file: "+formats()+" (default: detect it)")
	f.StringVar(&s.encoding, "encoding", "", "encoding of the secrets, if the file does not say: hex or base32")
	f.StringVar(&s.PasswordFile, "password-file", "", "`FILE` with the password of the token file, - for standard input")
	f.StringVar(&s.deviceID, "device-id", "", "device that a CTF string is bound to")
}

func formats() string {
	var names []string
	for _, f := range tokenfile.Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

func (s *Source) Options(e *cli.Environment) (tokenfile.Options, error) {
	o := tokenfile.Options{
		Format: tokenfile.Format(s.format), Encoding: tokenfile.Encoding(s.encoding), DeviceID: s.deviceID,
	}
	if s.PasswordFile != "" {
		password, err := e.ReadSecret(s.PasswordFile)
		if err != nil {
			return o, err
		}
		o.Password = tokenfile.Secret(password)
	}
	return o, nil
}
