package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

// backedUp is the result of cluster backup.
type backedUp struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	RecoveryKey string `json:"recovery_key"`               // short names of the keys that open it
	New         string `json:"new_recovery_key,omitempty"` // the key itself, if it was made now
}

func (e *commands) clusterBackup() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var fresh bool
	c := cli.Command("backup FILE", "Back up the state and the audit trail to a new FILE, sealed for the recovery keys", func(c *cobra.Command, args []string) error {
		if _, err := os.Lstat(args[0]); err == nil {
			return fmt.Errorf("%s already exists; choose another name", args[0])
		}
		done := backedUp{File: args[0]}
		keys, err := recoveryKeyNames(c.Context(), r.Client)
		if err != nil {
			return err
		}
		if len(keys) == 0 || fresh {
			made, err := makeRecoveryKey(c.Context(), r, r.Reason(c), splitting{}, fresh)
			var waits *api.PendingCommand
			if err != nil && !errors.As(err, &waits) {
				return err
			}
			keys, done.New = []string{made.Name}, made.Key
			e.say(made)
			if !out.JSON() {
				fmt.Fprintln(e.Out, made.Key)
			}
			if waits != nil {
				return waits
			}
		}
		done.RecoveryKey = strings.Join(keys, ", ")
		if done.Bytes, err = e.fetchBackup(c.Context(), r, args[0], r.Reason(c)); err != nil {
			return fmt.Errorf("writing %s: %w", args[0], err)
		}
		e.Say("%s written, %d bytes; it opens with recovery key %s", done.File, done.Bytes, done.RecoveryKey)
		return out.Shown(e.Environment, done)
	})
	c.Flags().BoolVar(&fresh, "new-recovery-key", false, "make a new recovery key, in place of all others; earlier backups still need those")
	return out.Flag(r.Because(c))
}

// fetchBackup writes a backup from a node to a file, whole or not at all.
func (e *commands) fetchBackup(ctx context.Context, r *cli.Remote, file string, reason api.CommandRequest) (size int64, err error) {
	backup, total, err := r.BackUp(ctx, reason)
	if err != nil {
		return 0, err
	}
	defer backup.Close()
	progress := e.Meter("backup, bytes", int(total))
	defer progress.End()

	err = cli.CreateFile(file, func(w io.Writer) error {
		size, err = io.Copy(w, progress.Reader(backup))
		return err
	})
	return size, err
}
