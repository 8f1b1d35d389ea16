package admin

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
)

// backedUp is the result of cluster backup.
type backedUp struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	RecoveryKey string `json:"recovery_key"`               // short name
	New         string `json:"new_recovery_key,omitempty"` // the key itself, if it was made now
}

func (e *commands) clusterBackup() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var fresh bool
	c := cli.Command("backup FILE", "Back up the state and the audit trail to a new FILE, sealed for the recovery key", func(c *cobra.Command, args []string) error {
		if _, err := os.Lstat(args[0]); err == nil {
			return fmt.Errorf("%s already exists; choose another name", args[0])
		}
		done := backedUp{File: args[0]}
		var err error
		if done.RecoveryKey, done.New, err = recoveryKey(r, c, fresh); err != nil {
			return err
		}
		if done.New != "" {
			e.Say("The recovery key, shown only once. It opens the backups made from now on. Keep it on paper or in a safe, not on the nodes:")
			if !out.JSON() {
				fmt.Fprintln(e.Out, done.New)
			}
		}
		if done.Bytes, err = e.fetchBackup(c.Context(), r, args[0], r.Reason(c)); err != nil {
			return fmt.Errorf("writing %s: %w", args[0], err)
		}
		e.Say("%s written, %d bytes; it opens with recovery key %s", done.File, done.Bytes, done.RecoveryKey)
		return out.Shown(e.Environment, done)
	})
	c.Flags().BoolVar(&fresh, "new-recovery-key", false, "make a new recovery key; earlier backups still need the old one")
	return out.Flag(r.Because(c))
}

// recoveryKey returns the short name of the key that backups are sealed for. If
// there is none, or a new one is wanted, it is made here. Its private half leaves
// this process only on the screen.
func recoveryKey(r *cli.Remote, c *cobra.Command, fresh bool) (name, made string, err error) {
	key, err := r.ShowRecoveryKey(c.Context())
	if err != nil || key.Name != "" && !fresh {
		return key.Name, "", err
	}
	secret, err := vault.NewRecoveryKey()
	if err != nil {
		return "", "", err
	}
	if made, err = secret.Reveal(); err != nil {
		return "", "", err
	}
	key, err = r.SetRecoveryKey(c.Context(), api.SetRecoveryKeyRequest{CommandRequest: r.Reason(c), Public: secret.Public().Bytes()})
	return key.Name, made, err
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
