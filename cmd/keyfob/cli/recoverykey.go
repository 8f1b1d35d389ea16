package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"keyfob/cluster/vault"
)

// RecoveryKeyFiles adds the flag for the files that ReadRecoveryKey reads.
func RecoveryKeyFiles(f *pflag.FlagSet, files *[]string) {
	f.StringArrayVar(files, "recovery-key-file", nil, "`FILE` with the recovery key or with shares of it, one per line, - for standard input; may be repeated (default: ask)")
}

// ReadRecoveryKey reads a recovery key, or enough shares of one, from files, or asks
// for it on the terminal. On the command line, other users of the machine could see
// it.
func (e *Environment) ReadRecoveryKey(files []string) (vault.RecoveryKey, error) {
	read := &vault.RecoveryReader{}
	if len(files) == 0 {
		return e.askRecoveryKey(read)
	}
	for _, file := range files {
		text, err := e.ReadSecret(file)
		if err != nil {
			return vault.RecoveryKey{}, err
		}
		for _, part := range parts(text) {
			if err := read.Add(part); err != nil {
				return vault.RecoveryKey{}, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return read.Key()
}

// parts splits the content of a file into shares. A key may go over several lines.
func parts(text string) []string {
	var shares []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case len(shares) > 0 && !beginsKey(line):
			shares[len(shares)-1] += line
		default:
			shares = append(shares, line)
		}
	}
	return shares
}

func beginsKey(line string) bool {
	line = strings.ToUpper(line)
	return strings.HasPrefix(line, "KFR") || strings.HasPrefix(line, "KFS")
}

func (e *Environment) askRecoveryKey(read *vault.RecoveryReader) (vault.RecoveryKey, error) {
	in, ok := e.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return vault.RecoveryKey{}, errors.New("a recovery key is required: use --recovery-key-file FILE, or - for standard input")
	}
	for read.Missing() > 0 {
		question := "Recovery key, or a share of it: "
		if given := read.Given(); given > 0 {
			question = fmt.Sprintf("Share %d of the %d that are needed: ", given+1, given+read.Missing())
		}
		fmt.Fprint(e.Err, question)
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(e.Err)
		if err == nil && len(bytes.TrimSpace(text)) == 0 {
			err = errors.New("nothing was typed")
		}
		if err != nil {
			return vault.RecoveryKey{}, fmt.Errorf("reading the recovery key: %w", err)
		}
		if err := read.Add(string(text)); err != nil {
			e.Say("%s", OneLine(err)) // may be typed again
		}
		clear(text)
	}
	return read.Key()
}
